"""Judges what a peer has learnt by Matinee's own evaluation: same split, same ids, same rule for ranks.

    python benchmarks/train_judge.py VERSION OUT        # OUT: what a trainer of train_peers/ left

Of the snapshots the one that is best on validation counts, as it does for Matinee.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from matinee.model.recommender import Known, Recommender
from matinee.train.evaluate import evaluate_split
from matinee.version import open_version

sys.path.append(str(Path(__file__).parent / "train_peers"))  # scripts for another environment, not a package
from exchange import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories
    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["JUDGED", "KEPT", "StateVectors", "judge"]

KEPT = ("events", "users_asked", "metrics", "segments", "coverage", "wall_s")  # of an evaluation, in the results
JUDGED = {
    "leave-one-out, full ranking": {"protocol": "leave-one-out"},
    "leave-one-out, 100 negatives": {"protocol": "leave-one-out", "negatives": 100, "users": 10_000},
    "time, full ranking": {"protocol": "time"},
}
_METRIC = "ndcg@10"
_VALIDATION_EVENTS = 10_000


class StateVectors(Recommender):
    """What a peer learnt, in the form in which it is judged by Matinee's own evaluation: vectors and dot products.

    It knows one state a user, that before the user's event of one split, and refuses any other history.
    """

    name: ClassVar[str] = "state-vectors"

    def __init__(self, version: Version, moment: Split, snapshot: Path) -> None:
        self._states, items = (np.load(snapshot / f"{part}.npy", allow_pickle=False) for part in (moment, "items"))
        learnt = ~np.isnan(items).any(axis=1)
        self._items = np.where(learnt[:, None], items, 0)
        super().__init__(None, Known(version.known_users, version.known_items & learnt))
        asked = np.flatnonzero(np.diff(version.sequences(moment).offsets) > 0)
        self._row = np.full(version.users + 1, -1)
        self._row[asked] = np.arange(asked.size)
        before = MOMENTS[: MOMENTS.index(moment)]
        self._lengths = sum(np.diff(version.sequences(split).offsets) for split in ("train", *before))

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """See `Recommender.scores`.

        Raises:
            ValueError: a history is not the one that the peer was asked about.
        """
        if not np.array_equal(asked.lengths, self._lengths[asked.users]) or (self._row[asked.users] < 0).any():
            raise ValueError(
                "a history is asked about that no state was said for; expected all events before the split"
            )
        return self.mask_unknown(self._states[self._row[asked.users]] @ self._items.T)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `Recommender.arrays`."""
        return {"states": self._states, "items": self._items}

    @classmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """A peer's vectors are never kept."""
        raise NotImplementedError


def judge(version: Version, out: Path) -> dict[str, Any]:
    """Validation of every snapshot, and test of the best one."""
    snapshots = json.loads((out / "run.json").read_text())["snapshots"]
    for snapshot in snapshots:
        model = StateVectors(version, "eval", out / snapshot["folder"])
        found = evaluate_split(model, version, split="eval", protocol="leave-one-out", limit=_VALIDATION_EVENTS)
        snapshot[_METRIC] = found.metrics[_METRIC]
    best = max(snapshots, key=lambda snapshot: snapshot[_METRIC])
    model = StateVectors(version, "test", out / best["folder"])
    judged = {}
    for name, how in JUDGED.items():
        if how["protocol"] == "leave-one-out":
            whole = evaluate_split(model, version, split="test", **how).as_json()  # type: ignore[arg-type]  # a table's values
            judged[name] = {key: value for key, value in whole.items() if key in KEPT}
    return {"snapshots": snapshots, "best_s": best["trained_s"], "judged": judged}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Judge what a peer has learnt.")
    parser.add_argument("version", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    found = judge(open_version(asked.version), asked.out)
    (asked.out / "judged.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
