"""The trainings of a data folder: what each wrote down epoch by epoch, and what came of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.dashboard.reading import number, text
from matinee.train.history import EPOCHS, Epoch, read
from matinee.train.trained import TRAINED

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.dashboard.reading import Reading

__all__ = ["CHECKPOINT", "METRICS", "Training", "read_trainings"]

METRICS: Final = ("ndcg@10", "hr@10", "mrr@10")
CHECKPOINT: Final = "checkpoint.json"
_MARKS: Final = (TRAINED, EPOCHS, CHECKPOINT)  # each of them makes a folder one of a training
_RUN: Final = re.compile(r"/#/experiments/(\w+)/runs/(\w+)$")


@dataclass(frozen=True, slots=True)
class Training:
    """One model, trained or under way.

    Attributes:
        name: of its folder, as in 'sse-pt-2c7a349c'.
        dataset, version: what it is trained on.
        folder: where it is.
        finished: whether it is there as a whole.
        epochs: those that are done; none for a model that is counted in one go.
        validation: metrics on the validation events, of the weights that were kept.
        evaluations: split -> metrics of `matinee evaluate` by time, and the file that they are read from.
        run: experiment and run in MLflow; None where MLflow has not got it.
        registered, champion: its address in the registry, and whether it is the best there.
        weights_sha256: of its weights; a server's title has the beginning of it.
        at_ns: when it was last written to.
    """

    name: str
    dataset: str
    version: str
    folder: Path
    finished: bool
    epochs: tuple[Epoch, ...]
    validation: dict[str, float]
    evaluations: dict[str, tuple[dict[str, float], Path]]
    run: tuple[str, str] | None
    registered: str
    champion: bool
    weights_sha256: str
    at_ns: int


def read_trainings(data_dir: Path, reading: Reading) -> tuple[Training, ...]:
    """All of them, in the order in which they were trained."""
    folders = {path.parent for mark in _MARKS for path in (data_dir / "models").glob(f"*/*/*/{mark}")}
    return tuple(sorted((_training(folder, reading) for folder in folders), key=lambda each: (each.at_ns, each.name)))


def _training(folder: Path, reading: Reading) -> Training:
    trained = reading.json(folder / TRAINED) or {}
    checkpoint = reading.json(folder / CHECKPOINT) or {}
    epochs = reading.get(folder / EPOCHS, _epochs) or ()
    run = _RUN.search(text(trained, "page"))
    return Training(
        name=folder.name,
        dataset=folder.parts[-3],
        version=folder.parts[-2],
        folder=folder,
        finished=bool(trained),
        epochs=epochs,
        validation=_metrics(checkpoint),
        evaluations=dict(_evaluations(folder, reading)),
        run=(run[1], run[2]) if run else None,
        registered=text(trained, "registered"),
        champion=trained.get("champion") is True,
        weights_sha256=text(checkpoint, "weights_sha256"),
        at_ns=max((path.stat().st_mtime_ns for path in map(folder.joinpath, _MARKS) if path.is_file()), default=0),
    )


def _epochs(path: Path) -> tuple[Epoch, ...]:
    return tuple(each for each in read(path.parent) if isinstance(each.number, int))


def _evaluations(folder: Path, reading: Reading) -> list[tuple[str, tuple[dict[str, float], Path]]]:
    found = []
    for path in sorted(folder.glob("evaluation-*-time.json")):
        plain = reading.get(path, _told_by_evaluation)
        if plain is not None:
            found.append((text(plain, "split"), (_metrics(plain), path)))
    return found


def _told_by_evaluation(path: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(path.read_bytes())
    if (plain["version"], plain["users"]) != (path.parts[-3], None):
        raise ValueError(path)  # of another version, or of some people only: no figure to stand beside the others
    return {"split": plain["split"], "metrics": plain["metrics"]}


def _metrics(plain: dict[str, Any]) -> dict[str, float]:
    found = {name: number(plain, "metrics", name) for name in METRICS}
    return {name: value for name, value in found.items() if value is not None}
