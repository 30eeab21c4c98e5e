"""What remains of the events, and their order: repeats, k-core, shuffled ties, and the sort by time in ranges."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sql

from matinee.errors import SourceFormatError
from matinee.etl.order import tie_keys
from matinee.etl.spark.parts import base_of, bases, in_arrow, sorted_parts, write_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

    from matinee.schema.transform_settings import TransformSettings

    Summary = dict[str, Any]

__all__ = ["Remaining", "remaining", "shuffled", "tied_events", "ties"]


@dataclass(slots=True)
class Remaining:
    """The events that are left, and how many were left out on the way."""

    frame: DataFrame
    events: int
    repeats: int
    below_core: int = 0
    core_rounds: int = 0


def remaining(frame: DataFrame, events: int, settings: TransformSettings, folder: Path) -> Remaining:
    """Leave exact repeats out, the earliest stays; then, if asked, all that the k-core leaves out.

    Raises:
        SourceFormatError: nothing is left.
    """
    once = frame.groupBy("user", "item", "rating", "time").agg(sql.min("pos").alias("pos"))
    kept = _written(once, folder / "once")
    left = kept.count()
    found = Remaining(kept, left, events - left)
    if settings.min_user_events > 1 or settings.min_item_events > 1:
        _keep_core(found, settings, folder)
    return found


def shuffled(frame: DataFrame, seed: int, parts: int, folder: Path) -> DataFrame:
    """The events with a column `key` that orders each tie by its seeded hash (docs/format.md, section 5).

    An event's index within its tie is its place among all minus that of the tie's first one.
    """
    summaries = sorted_parts(frame, ["time", "pos"], parts, partial(_write_runs, folder))
    before = bases(summaries)
    within = base_of({part: before[part] - start for part, start in _heads(summaries, before).items()})
    # In a range's first run, whose tie may begin in an earlier range, else counted from the run's own start.
    index = sql.when(sql.col("run") == 0, sql.col("row") + within).otherwise(sql.col("row") - sql.col("run"))
    session = frame.sparkSession
    columns = [name for name in frame.columns if name != "key"]
    runs = _read(session, folder, frame, "run long, row long, part int").withColumn("index", index)

    def with_key(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys = tie_keys(np.uint64(seed), batch["time"].to_numpy(), batch["index"].to_numpy())
            signed = (keys ^ np.uint64(1 << 63)).view(np.int64)  # in the same order
            arrays = [batch[name] for name in columns]
            yield pa.RecordBatch.from_arrays([*arrays, pa.array(signed)], [*columns, "key"])

    types = dict(frame.dtypes)
    return in_arrow(runs, with_key, ", ".join([*(f"{name} {types[name]}" for name in columns), "key bigint"]))


def ties(time: NDArray[np.int64]) -> Summary:
    """The runs of equal times in a range: what must be known of them where ranges meet.

    `head` and `tail` are the lengths of the first and last run (the same one where there is no other); `tied` counts
    events of the runs between them that are ties.
    """
    starts = np.concatenate([[0], np.flatnonzero(time[1:] != time[:-1]) + 1, [time.size]])
    lengths = np.diff(starts)
    inner = lengths[1:-1]
    return {
        "count": int(time.size),
        "first": int(time[0]),
        "last": int(time[-1]),
        "head": int(lengths[0]),
        "tail": int(lengths[-1]),
        "tied": int(inner[inner > 1].sum()),
    }


def tied_events(summaries: list[Summary]) -> int:
    """Events that share their time with another one; `summaries` are of `ties`, in order."""
    tied, run, instant = 0, 0, None
    for part in summaries:
        if part["first"] == instant:
            run += part["head"]
        else:
            tied += run if run > 1 else 0
            run, instant = part["head"], part["first"]
        if part["head"] < part["count"]:
            tied += (run if run > 1 else 0) + part["tied"]
            run, instant = part["tail"], part["last"]
    return tied + (run if run > 1 else 0)


def _keep_core(found: Remaining, settings: TransformSettings, folder: Path) -> None:
    """Drop users and items with too few events, by the counts at a round's start, until none has."""
    least = {"user": settings.min_user_events, "item": settings.min_item_events}
    before, previous = found.events, folder / "once"
    while True:
        kept = found.frame
        for column, number in least.items():
            if number > 1:
                few = found.frame.groupBy(column).count().where(sql.col("count") < number).select(column)
                kept = kept.join(few, column, "left_anti")
        target = folder / f"core-{found.core_rounds}"
        kept = _written(kept.select(found.frame.columns), target)
        left = kept.count()
        if left == found.events:
            break
        shutil.rmtree(previous)
        previous = target
        found.frame, found.events, found.core_rounds = kept, left, found.core_rounds + 1
        if not left:
            break
    found.below_core = before - found.events
    if not found.events:
        raise SourceFormatError(
            f"no event is left of {before:,} after --min-user-events {settings.min_user_events} and --min-item-events "
            f"{settings.min_item_events}, applied until nothing changed; lower them"
        )


def _written(frame: DataFrame, folder: Path) -> DataFrame:
    """The same rows, read from the shared folder: no later step has to make them again, whoever dies."""
    frame.write.option("compression", "none").parquet(f"file://{folder}")
    return frame.sparkSession.read.schema(frame.schema).parquet(f"file://{folder}")


def _read(session: SparkSession, folder: Path, like: DataFrame, more: str) -> DataFrame:
    columns = ", ".join(f"{name} {kind}" for name, kind in like.dtypes)
    return session.read.schema(f"{columns}, {more}").parquet(f"file://{folder}")


def _write_runs(folder: Path, table: pa.Table, part: int) -> Summary:
    """A range by time and position, each event with its row, and the row at which its run of equal times begins."""
    time = table["time"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1]]))
    runs = np.repeat(starts, np.diff(np.append(starts, time.size)))
    numbers = {"run": pa.array(runs, pa.int64()), "row": pa.array(np.arange(time.size), pa.int64())}
    for name, values in {**numbers, "part": pa.array(np.full(time.size, part), pa.int32())}.items():
        table = table.append_column(name, values)
    write_part(table, folder, part)
    return ties(time)


def _heads(summaries: list[Summary], before: dict[int, int]) -> dict[int, int]:
    """For each range, the place among all events at which the tie of its first event begins."""
    heads: dict[int, int] = {}
    start, instant = 0, None
    for part in summaries:
        base = before[part["part"]]
        if part["first"] != instant:
            start = base
        heads[part["part"]] = start
        if part["head"] < part["count"]:
            start = base + part["count"] - part["tail"]
        instant = part["last"]
    return heads
