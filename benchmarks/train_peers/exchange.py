"""What a trainer is given and what it gives back, as plain files: the one thing that all ways of training share.

A peer runs in an environment of its own, where Matinee cannot be installed (RecBole wants NumPy 1), so nothing here
imports more than NumPy. `train_data.py` writes the folder that `Task.read` reads; ids in it are the version's.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["MOMENTS", "Clock", "Ragged", "Task", "arguments", "left_padded", "right_padded"]

MOMENTS = ("eval", "test")


class Ragged(NamedTuple):
    """n people's items, the oldest first: those of row r are `items[offsets[r]:offsets[r + 1]]`.

    Attributes:
        users: (n,) int64, the version's dense ids.
        offsets: (n + 1,) int64.
        items: (offsets[n],) int64; only items that somebody in `Task.train` has, as no peer has a row for any other.
    """

    users: NDArray[np.int64]
    offsets: NDArray[np.int64]
    items: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,)."""
        return np.diff(self.offsets)

    def write(self, folder: Path, name: str) -> None:
        """As three files."""
        for part, array in zip(self._fields, self, strict=True):
            np.save(folder / f"{name}-{part}.npy", array, allow_pickle=False)

    @classmethod
    def read(cls, folder: Path, name: str) -> Ragged:
        """What `write` wrote."""
        return cls(*(np.load(folder / f"{name}-{part}.npy", allow_pickle=False) for part in cls._fields))


@dataclass(frozen=True)
class Task:
    """One data set to train on.

    Attributes:
        items: the largest dense id.
        train: everybody with two events of `train` or more, so that there is something to predict.
        moments: 'eval' and 'test' -> the histories to say a state vector for.
    """

    items: int
    train: Ragged
    moments: dict[str, Ragged]

    @classmethod
    def read(cls, folder: Path) -> Task:
        """What `train_data.write_task` wrote."""
        facts = json.loads((folder / "task.json").read_text())
        moments = {name: Ragged.read(folder, name) for name in MOMENTS}
        return cls(facts["items"], Ragged.read(folder, "train"), moments)


class Clock:
    """Counts what has been trained on and how long it took, and says when to stop; saying vectors takes no time.

    Args:
        out: folder for run.json and the snapshots.
        limit_s: seconds of training.
        warm_up_s: the first seconds, which no rate is taken from.
        snapshots: how often vectors are said, evenly spread, the last time at the end.
        say_vectors: 'eval' or 'test' -> (n, d) state vectors of the moment's histories; 'items' -> (items + 1, d),
            NaN where the trainer has no row for an item, which then ranks last.
            Their dot products are the scores.
    """

    def __init__(
        self,
        out: Path,
        limit_s: float,
        warm_up_s: float = 0.0,
        snapshots: int = 0,
        say_vectors: Callable[[str], NDArray[np.float32]] | None = None,
    ) -> None:
        self._out, self._limit_s, self._warm_up_s = out, limit_s, warm_up_s
        self._due_s = [limit_s * (at + 1) / snapshots for at in range(snapshots)]
        self._say_vectors = say_vectors
        self._trained_s, self._counted_s, self._counted_cpu_s, self._rows = 0.0, 0.0, 0.0, 0
        self._snapshots: list[dict[str, Any]] = []
        self._resumed_s: float | None = None
        self._resumed_cpu_s = 0.0

    def start(self) -> None:
        """Just before the first batch is made."""
        self._resume()

    def tick(self, rows: int) -> bool:
        """After each batch of `rows` rows; False when the time is over and a rate can be told."""
        if self._resumed_s is None:
            raise RuntimeError("the clock has not been started")
        took_s = time.perf_counter() - self._resumed_s
        if self._trained_s >= self._warm_up_s:
            self._counted_s += took_s
            self._counted_cpu_s += time.process_time() - self._resumed_cpu_s
            self._rows += rows
        self._trained_s += took_s
        if self._due_s and self._trained_s >= self._due_s[0]:
            self._snapshot()
        self._resume()
        return self._trained_s < self._limit_s or not self._rows

    def finish(self, sequences_a_row: float, **facts: Any) -> None:
        """Write run.json; a row of this trainer is `sequences_a_row` of a pass over everybody's whole sequence."""
        rows_per_s = self._rows / self._counted_s
        result = {
            "trained_s": self._trained_s,
            "counted_s": self._counted_s,
            "rows_per_s": rows_per_s,
            "sequences_per_s": rows_per_s * sequences_a_row,
            "sequences_per_cpu_s": self._rows * sequences_a_row / self._counted_cpu_s,
            "snapshots": self._snapshots,
            **facts,
        }
        (self._out / "run.json").write_text(json.dumps(result, indent=2) + "\n")

    def _resume(self) -> None:
        self._resumed_s, self._resumed_cpu_s = time.perf_counter(), time.process_time()

    def _snapshot(self) -> None:
        if self._say_vectors is None:
            raise RuntimeError("snapshots are due, and nobody says vectors")
        self._due_s = [due_s for due_s in self._due_s if due_s > self._trained_s]
        folder = self._out / f"snapshot-{len(self._snapshots)}"
        folder.mkdir(exist_ok=True)
        for name in (*MOMENTS, "items"):
            np.save(folder / f"{name}.npy", self._say_vectors(name), allow_pickle=False)
        self._snapshots.append({"folder": folder.name, "trained_s": self._trained_s})


def arguments(description: str, **usual: float) -> argparse.Namespace:
    """The command line that all trainers share; `usual` are this trainer's own defaults for what it recommends."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("task", type=Path, help="folder of the task")
    parser.add_argument("out", type=Path, help="folder for run.json and the snapshots")
    parser.add_argument("--seconds", type=float, required=True, help="of training, saying vectors not counted")
    parser.add_argument("--warm-up", type=float, default=0.0, help="first seconds that no rate is taken from")
    parser.add_argument("--snapshots", type=int, default=1, help="how often vectors are said, the last at the end")
    parser.add_argument("--seed", type=int, default=0)
    for name, value in usual.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    return asked


def left_padded(asked: Ragged, rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The last `width` items of each of `rows`, zeros before them; (rows, width)."""
    ends = asked.offsets[rows + 1][:, None]
    places = ends - width + np.arange(width)
    inside = places >= asked.offsets[rows][:, None]
    return np.where(inside, asked.items[np.maximum(places, 0)], 0)


def right_padded(asked: Ragged, rows: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The last `width` items of each of `rows`, zeros after them, (rows, width), and how many they are, (rows,)."""
    lengths = np.minimum(asked.lengths[rows], width)
    starts = asked.offsets[rows + 1] - lengths
    place = np.arange(width)
    inside = place < lengths[:, None]
    places = np.minimum(starts[:, None] + place, asked.items.size - 1)
    return np.where(inside, asked.items[places], 0), lengths
