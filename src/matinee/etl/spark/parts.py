"""Parts in the shared folder: a frame sorted across the cluster, each partition written as a file of its own."""

from __future__ import annotations

import json
import shutil
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import parquet
from pyspark import TaskContext
from pyspark.sql import functions as sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pyspark.sql import Column, DataFrame

    Summary = dict[str, Any]

__all__ = ["base_of", "bases", "in_arrow", "part_path", "placed", "sorted_parts", "write_part"]


def sorted_parts(
    frame: DataFrame, keys: Sequence[str], parts: int, write: Callable[[pa.Table, int], Summary]
) -> list[Summary]:
    """Sort a frame by `keys`, which no two rows share, in ranges; `write` gets each range with its number.

    Ranges follow each other in the keys' order, so that to know a row's place among all, the ranges' counts suffice.
    Rows with the same time fall into different ranges where they have to: no second is too large. What comes back, a
    range each in order, is what `write` returns: a few numbers.
    """
    schema = pa.schema([("part", pa.int32()), ("summary", pa.string())])

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        part = context.partitionId() if context else 0
        found = list(batches)
        if found:
            summary = write(pa.Table.from_batches(found), part)
            yield pa.RecordBatch.from_pydict({"part": [part], "summary": [json.dumps(summary)]}, schema)

    ranges = frame.repartitionByRange(parts, *keys).sortWithinPartitions(*keys)
    told = in_arrow(ranges, work, "part int, summary string").collect()
    return [{"part": row["part"], **json.loads(row["summary"])} for row in sorted(told)]


def in_arrow(
    frame: DataFrame, work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: str
) -> DataFrame:
    """The frame's partitions through `work`, as Arrow. No pandas has a part in this; PySpark warns of its version."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return frame.mapInArrow(work, schema)


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """A path beside `target`, for a file or a folder, that becomes it at the block's end.

    Two tasks that do the same work write the same, so whoever comes second changes nothing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".{target.name}-{uuid4().hex}"
    try:
        yield aside
        if aside.is_dir() and target.is_dir():
            return
        aside.replace(target)
    except OSError:
        if not (aside.is_dir() and target.is_dir()):
            raise
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)


def part_path(folder: Path, part: int, kind: str = "parquet") -> Path:
    """Where a part lies."""
    return folder / f"part-{part:06}.{kind}"


def write_part(table: pa.Table, folder: Path, part: int) -> None:
    """Write a part that Spark can read: in the shared folder for a while, so it is not compressed."""
    with placed(part_path(folder, part)) as aside:
        parquet.write_table(table, aside, compression="none", use_dictionary=False, store_schema=False)


def bases(summaries: Iterable[Summary]) -> dict[int, int]:
    """How many rows lie before each part; summaries in order, with their `count`."""
    before, total = {}, 0
    for summary in summaries:
        before[summary["part"]] = total
        total += summary["count"]
    return before


def base_of(numbers: dict[int, int]) -> Column:
    """A number for each part, as a column beside the column `part`."""
    by_part = [numbers.get(part, 0) for part in range(max(numbers, default=0) + 1)]
    return sql.element_at(sql.array(*[sql.lit(number).cast("long") for number in by_part]), sql.col("part") + 1)
