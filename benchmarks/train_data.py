"""The data that training is measured on: versions of public and generated logs, and the folder that peers train from.

    python benchmarks/train_data.py games /tmp/bench --games games.txt

A process of its own for train_parts.py, because the process that measures must stay small.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

import matinee
from generate import generate
from matinee.version import open_version

sys.path.append(str(Path(__file__).parent / "train_peers"))  # scripts for another environment, not a package
from exchange import MOMENTS, Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["games", "large", "long_histories", "ml_100k", "write_task"]

_COPIES = 10
_NOISE_SHARE = 0.1


def games(source: Path, folder: Path) -> Version:
    """Games, leave-one-out: lines of `user item`, a user's in order of time."""
    made = matinee.transform(
        source, out=folder / "games", name="games", split="leave-one-out", columns={"user": 0, "item": 1}
    )
    return open_version(made.folder)


def ml_100k(folder: Path) -> Version:
    """MovieLens 100k, cut in time at 50/25/25."""
    return open_version(matinee.transform("ml-100k", out=folder / "ml-100k", archives=folder / "archives").folder)


def long_histories(folder: Path) -> Version:
    """MovieLens 100k ten times over, leave-one-out: the lengths of its histories at ten times its size.

    Each copy has users of its own and items under other names (one permutation a copy), one in ten drawn anew by
    popularity, so that no two copies tell the same.
    """
    out = folder / "long"
    if not out.exists():
        columns = _expanded(ml_100k(folder), np.random.default_rng(1))
        csv.write_csv(pa.table(columns), folder / "long.csv")
        matinee.transform(folder / "long.csv", out=out, name="long", split="leave-one-out", raw=False)
        (folder / "long.csv").unlink()
    return open_version(out)


def large(folder: Path, rows: int) -> Version:
    """A generated log (generate.py), leave-one-out, so that nearly all of it is trained on."""
    out = folder / "large"
    if not out.exists():
        generate(folder / "large.csv", rows)
        matinee.transform(folder / "large.csv", out=out, name="large", split="leave-one-out", raw=False)
        (folder / "large.csv").unlink()
    return open_version(out)


def write_task(version: Version, folder: Path) -> Path:
    """What peers train from, in `folder`: `train`, and the histories before each event of 'eval' and 'test'.

    The version's split is leave-one-out: one event of eval and of test a user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train = version.sequences("train")
    trained = np.flatnonzero(np.diff(train.offsets) >= 2)
    learnt = _ragged(version, trained, ("train",), version.known_items)
    learnt.write(folder, "train")
    known = np.zeros(version.items + 1, np.bool_)
    known[learnt.items] = True
    before: tuple[Split, ...] = ("train",)
    for moment in MOMENTS:
        asked = np.flatnonzero(np.diff(version.sequences(moment).offsets) > 0)
        _ragged(version, asked, before, known).write(folder, moment)
        before = (*before, moment)
    (folder / "task.json").write_text(json.dumps({"version": version.id, "items": version.items}) + "\n")
    return folder


def _expanded(version: Version, random: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """Columns of the log that `long_histories` describes."""
    batches = [batch for split in ("train", "eval", "test") for batch in version.events(split)]
    user, item, time = (np.concatenate([getattr(batch, name) for batch in batches]).astype(np.int64) for name in
                        ("user", "item", "timestamp"))  # fmt: skip
    copies: dict[str, list[NDArray[np.int64]]] = {"user": [], "item": [], "time": []}
    for copy in range(_COPIES):
        anew = random.random(item.size) < _NOISE_SHARE
        noisy = np.where(anew, random.choice(item, item.size), item)
        name_of = random.permutation(version.items + 1)
        copies["user"].append(user + copy * version.users)
        copies["item"].append(name_of[noisy])
        copies["time"].append(time)
    return {name: np.concatenate(parts) for name, parts in copies.items()}


def _ragged(version: Version, users: NDArray[np.int64], splits: tuple[Split, ...], known: NDArray[np.bool_]) -> Ragged:
    """The users' events of these splits in order, without the items that are not known."""
    parts = []
    for split in splits:
        sequences = version.sequences(split)
        owner = np.repeat(np.arange(version.users + 1), np.diff(sequences.offsets))
        parts.append(np.stack((owner, sequences.items.astype(np.int64))))
    owner, item = np.concatenate(parts, axis=1)
    keep = np.isin(owner, users) & known[item]
    order = np.argsort(owner[keep], kind="stable")
    owner, item = owner[keep][order], item[keep][order]
    offsets = np.concatenate(([0], np.searchsorted(owner, users, side="right")))
    return Ragged(users.astype(np.int64), offsets.astype(np.int64), item)


def main() -> None:
    """The command line: one data set, and what peers train from where there are peers."""
    parser = argparse.ArgumentParser(description="Make the data that training is measured on.")
    parser.add_argument("data", choices=("games", "long", "ml-100k", "large"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--games", type=Path, help="the log of Games")
    parser.add_argument("--rows", type=int, help="of the generated log")
    asked = parser.parse_args()
    match asked.data:
        case "games":
            write_task(games(asked.games, asked.folder), asked.folder / "games-task")
        case "long":
            write_task(long_histories(asked.folder), asked.folder / "long-task")
        case "ml-100k":
            ml_100k(asked.folder)
        case "large":
            large(asked.folder, asked.rows)


if __name__ == "__main__":
    main()
