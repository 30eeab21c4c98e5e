"""Cuts found from the ranges' first and last times, and the events divided: text, splits and counts, range by range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from matinee.errors import SourceFormatError
from matinee.etl.facts import timeline_edges
from matinee.etl.spark.ids import places, translate
from matinee.etl.spark.parts import bases, part_path, placed, write_part
from matinee.etl.split import RandomSplitter, fold_shares, user_bounds
from matinee.etl.text import TextWriter
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pyspark import SparkContext

    from matinee.etl.spark.ids import Numbered
    from matinee.schema.transform_settings import TransformSettings

    Summary = dict[str, Any]

__all__ = ["Cuts", "Divided", "Ordered", "divide", "find_cuts"]


class Ordered:
    """All events in order, as ranges in a folder: `user` and `item` as the range's codes, `rating`, `time`."""

    def __init__(self, folder: Path, summaries: list[Summary]) -> None:
        self.folder = folder
        self.parts = summaries
        self.bases = bases(summaries)
        self.events: int = sum(part["count"] for part in summaries)
        self.first, self.last = int(summaries[0]["first"]), int(summaries[-1]["last"])

    def cut(self, target: int) -> tuple[int, int]:
        """The first position at or after `target` that divides no tie, and the time there."""
        if target <= 0:
            return 0, self.first
        before: int | None = None  # the time of the event before, once the target is reached
        for number, part in enumerate(self.parts):
            base = self.bases[part["part"]]
            if base + part["count"] <= target:
                continue
            at = max(target - base, 0)
            if at == 0 and before is None:
                before = self.parts[number - 1]["last"]
            if at == 0 and part["first"] != before:
                return base, int(part["first"])
            if part["last"] != before:
                time = self.column(part, "time")
                if at == 0 or time[at - 1] == time[at]:
                    at += int(np.searchsorted(time[at:], time[at], side="right"))
                if at < time.size:
                    return base + at, int(time[at])
            before = part["last"]
        return self.events, self.last + 1

    def position(self, instant: int) -> int:
        """How many events lie before an instant."""
        for part in self.parts:
            if int(part["last"]) >= instant:
                at = int(np.searchsorted(self.column(part, "time"), instant, side="left"))
                base = self.bases[part["part"]]
                return base + at
        return self.events

    def column(self, part: Summary, name: str) -> NDArray[np.int64]:
        """A column of a range."""
        table = parquet.read_table(part_path(self.folder, part["part"]), columns=[name])
        return np.asarray(table[name].to_numpy(), np.int64)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a split by time divides: positions, and instants; and rolling folds."""

    positions: tuple[int, int]
    instants: tuple[int, ...]
    folds: list[dict[str, int]]


def find_cuts(ordered: Ordered, settings: TransformSettings) -> Cuts | None:
    """The cuts of a split by time; None for another.

    Raises:
        SourceFormatError: train is empty.
    """
    if settings.split != "time":
        return None
    train, evaluation, _ = settings.exact_fractions
    found: dict[int, tuple[int, int]] = {}

    def cut(share: Any) -> tuple[int, int]:
        target = int(share * ordered.events)
        if target not in found:
            found[target] = ordered.cut(target)
        return found[target]

    if settings.cuts:
        instants = settings.cuts
        first, second = (ordered.position(instant) for instant in instants)
    else:
        (first, instant), (second, later) = cut(train), cut(train + evaluation)
        instants = (instant, later)
    if not first:
        raise SourceFormatError(
            f"train is empty: the first event has timestamp {ordered.first}; move --cut later or raise --fractions"
        )
    names = ("train_end", "eval_end", "test_end")
    folds = [dict(zip(names, (cut(share)[0] for share in shares), strict=True)) for shares in fold_shares(settings)]
    return Cuts((first, second), instants, folds)


@dataclass(frozen=True, slots=True)
class Divided:
    """All events in order, each with its split, and what was counted of each range on the way."""

    folder: Path
    edges: tuple[int, ...]
    parts: list[Summary]


@dataclass(frozen=True, slots=True)
class _Task:
    """What a worker must know to divide a range; `warm` are the largest user and item of train, in a split by time."""

    ordered: Path
    users: Path
    items: Path
    folder: Path
    settings: TransformSettings
    positions: tuple[int, int] | None
    warm: tuple[int, int] | None
    inner_edges: tuple[int, ...]


def divide(
    context: SparkContext,
    ordered: Ordered,
    users: Numbered,
    items: Numbered,
    settings: TransformSettings,
    cuts: Cuts | None,
    folder: Path,
) -> Divided:
    """Give each event its split; write the ranges' text, and the events with `split` and their place, `p`."""
    edges = timeline_edges(ordered.first, ordered.last)
    positions = cuts.positions if cuts else None
    warm = (users.before(positions[0]), items.before(positions[0])) if positions else None
    task = _Task(ordered.folder, users.folder, items.folder, folder, settings, positions, warm, edges[1:-1])
    parts = [(part["part"], ordered.bases[part["part"]]) for part in ordered.parts]
    told = context.parallelize(parts, len(parts)).map(partial(_divide_part, task)).collect()
    return Divided(folder, edges, told)


def _divide_part(task: _Task, part: tuple[int, int]) -> Summary:
    number, base = part
    table = parquet.read_table(part_path(task.ordered, number))
    user, item = translate(table["user"], task.users, number), translate(table["item"], task.items, number)
    rating, time = table["rating"].to_numpy(), table["time"].to_numpy()
    split = _splits(task, table, number, base)
    with placed(task.folder / f"text-{number:06}") as aside:
        text = TextWriter(aside, task.settings.name, hashed=False)
        for which, part_of in enumerate(SPLITS):
            mine = split == which
            text.write(part_of, user[mine], item[mine], rating[mine], time[mine])
        text.close()
    columns = {
        "user": pa.array(user),
        "item": pa.array(item),
        "rating": table["rating"],
        "time": table["time"],
        "split": pa.array(split.astype(np.int32)),
        "p": pa.array(np.arange(base, base + time.size, dtype=np.int64)),
    }
    write_part(pa.table(columns), task.folder / "events", number)
    return {"part": number, **_count(task, user, item, time, split)}


def _splits(task: _Task, table: pa.Table, number: int, base: int) -> NDArray[np.uint8]:
    """The split of each event of a range, by the rules and the code of one machine."""
    settings = task.settings
    if task.positions is not None:
        return _reached(np.arange(base, base + table.num_rows), *task.positions)
    if settings.split == "random":
        splitter = RandomSplitter(settings, base)
        return splitter.split(table["user"].to_numpy(), table["time"].to_numpy())
    nth, total = places(table["user"], task.users, number)
    return _reached(nth, *user_bounds(settings, total))


def _reached(place: NDArray[np.int64], eval_from: Any, test_from: Any) -> NDArray[np.uint8]:
    """0 before the first bound, 1 before the second, else 2; the bounds for all, or for each."""
    splits: NDArray[np.uint8] = (place >= eval_from).astype(np.uint8) + (place >= test_from)
    return splits


def _count(
    task: _Task,
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    time: NDArray[np.int64],
    split: NDArray[np.uint8],
) -> Summary:
    """What the certificate needs of a range (docs/format.md, section 9)."""
    bins = len(task.inner_edges) + 1
    at = np.searchsorted(np.array(task.inner_edges, np.int64), time, side="right")
    times = [time[split == which] for which in range(3)]
    warm_user, warm_item = task.warm or (0, 0)
    cold_user, cold_item = (split > 0) & (user > warm_user), (split > 0) & (item > warm_item)
    return {
        "rows": [int(own.size) for own in times],
        "first": [int(own[0]) if own.size else None for own in times],
        "last": [int(own[-1]) if own.size else None for own in times],
        "bins": [np.bincount(at[which], minlength=bins) for which in (slice(None), cold_user, cold_item)],
        "cold_both": np.bincount(split[cold_user & cold_item], minlength=3).tolist(),
    }
