"""Dense ids in order of first appearance, ranked in parallel from the distinct ids of each range of events.

A range of ordered events holds codes into its own list of distinct raw ids. Only these lists are grouped, ranked and
joined across the cluster, each id once a range; the events stay where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import Window
from pyspark.sql import functions as sql

from matinee.errors import SourceFormatError
from matinee.etl.spark.parts import base_of, bases, in_arrow, part_path, placed, sorted_parts, write_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Numbered", "encode", "number", "places", "translate"]

_MOST_IDS = 2**31 - 2  # dense ids are int32, 0 stays free
_DISTINCT, _RANKED, _RAW, _LOOKUP = "distinct", "ranked", "raw", "lookup"


@dataclass(frozen=True, slots=True)
class Numbered:
    """The ids of a column, in the order of their numbers, as ranges in `folder`."""

    folder: Path
    count: int
    _parts: list[dict[str, Any]]

    def raw(self) -> pa.ChunkedArray:
        """The raw ids of 1, 2, 3, ..., from mapped files."""
        return pa.chunked_array([chunk for part in self._parts for chunk in self._column(part, "raw").chunks])

    def before(self, position: int) -> int:
        """How many ids appear before a position; these are 1, 2, 3, ..."""
        found = 0
        for part in self._parts:
            if part["last"] < position:
                found += part["count"]
            else:
                return found + int(np.searchsorted(self._column(part, "p").to_numpy(), position))
        return found

    def _column(self, part: dict[str, Any], name: str) -> pa.ChunkedArray:
        with pa.memory_map(str(part_path(self.folder / _RAW, part["part"], "arrow"))) as file:
            return pa.ipc.open_file(file).read_all()[name]


def encode(column: pa.ChunkedArray, folder: Path, part: int) -> pa.Array:
    """A range's raw ids as codes, in order of first appearance; which ids these are goes to `folder`."""
    encoded = pa.concat_arrays(column.chunks).dictionary_encode()
    codes = encoded.indices.to_numpy()
    _, rows = np.unique(codes, return_index=True)
    distinct = {
        "raw": encoded.dictionary,
        "part": pa.array(np.full(rows.size, part), pa.int32()),
        "code": pa.array(np.arange(rows.size), pa.int32()),
        "row": pa.array(rows, pa.int64()),
        "events": pa.array(np.bincount(codes), pa.int64()),
    }
    write_part(pa.table(distinct), folder / _DISTINCT, part)
    return encoded.indices


def number(session: SparkSession, kind: str, before: dict[int, int], parts: int, folder: Path) -> Numbered:
    """Give the ids that `encode` left in `folder` 1, 2, 3, ... in order of first appearance.

    Args:
        session: Spark's.
        kind: of the raw ids, as Spark calls it.
        before: events before each range.
        parts: ranges to sort in.
        folder: also for what comes of it: a list for each range of events that `translate` and `places` read.

    Raises:
        SourceFormatError: more ids than an int32 has.
    """
    types = f"raw {kind}, part int, code int, row bigint, events bigint"
    distinct = session.read.schema(types).parquet(f"file://{folder / _DISTINCT}")
    first = distinct.withColumn("p", base_of(before) + sql.col("row")).groupBy("raw").agg(sql.min("p").alias("p"))
    summaries = sorted_parts(first, ["p"], parts, partial(_write_ranked, folder))
    count = sum(summary["count"] for summary in summaries)
    if count > _MOST_IDS:
        raise SourceFormatError(f"the log has {count:,} distinct ids in a column, expected at most {_MOST_IDS:,}")
    ranked = session.read.schema(f"raw {kind}, part int, row bigint").parquet(f"file://{folder / _RANKED}")
    ids = ranked.select("raw", (base_of(bases(summaries)) + sql.col("row") + 1).cast("int").alias("id"))
    _write_lookups(distinct.join(ids, "raw"), parts, folder)
    return Numbered(folder, count, summaries)


def translate(codes: pa.ChunkedArray, folder: Path, part: int) -> NDArray[np.int32]:
    """The dense ids of a range's codes."""
    ids: NDArray[np.int32] = _lookup(folder, part, "id")[codes.to_numpy()]
    return ids


def places(codes: pa.ChunkedArray, folder: Path, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each event of a range its place among all events of its id, from 0, and how many these are."""
    code = codes.to_numpy()
    order = np.argsort(code, kind="stable")
    counts = np.bincount(code)
    within = np.empty(code.size, np.int64)
    within[order] = np.arange(code.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return within + _lookup(folder, part, "before")[code], _lookup(folder, part, "total")[code]


def _write_ranked(folder: Path, table: pa.Table, part: int) -> dict[str, Any]:
    """A range of ids, once for Spark and once to be mapped into memory."""
    rows = np.arange(table.num_rows)
    ids = table.select(["raw"]).append_column("part", pa.array(np.full(rows.size, part), pa.int32()))
    write_part(ids.append_column("row", pa.array(rows, pa.int64())), folder / _RANKED, part)
    with (
        placed(part_path(folder / _RAW, part, "arrow")) as aside,
        pa.ipc.new_file(str(aside), table.schema) as file,
    ):
        file.write_table(table)
    return {"count": table.num_rows, "last": table["p"][-1].as_py()}


def _write_lookups(distinct: DataFrame, parts: int, folder: Path) -> None:
    """For each range of events, by code: the dense id, and how many events it has in earlier ranges and in all."""
    own = Window.partitionBy("raw")
    earlier = own.orderBy("part").rowsBetween(Window.unboundedPreceding, -1)
    numbers = {
        "before": sql.coalesce(sql.sum("events").over(earlier), sql.lit(0)),
        "total": sql.sum("events").over(own),
    }
    lists = distinct.withColumns(numbers).select("part", "code", "id", "before", "total")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = list(batches)
        if found:
            table = pa.Table.from_batches(found)
            numbers, starts = np.unique(table["part"].to_numpy(), return_index=True)
            for part, start, stop in zip(numbers, starts, [*starts[1:], table.num_rows], strict=True):
                write_part(table.slice(start, stop - start), folder / _LOOKUP, int(part))
        yield pa.RecordBatch.from_pydict({"parts": pa.array([len(found)], pa.int32())})

    whole = lists.repartition(parts, "part").sortWithinPartitions("part", "code")
    in_arrow(whole, write, "parts int").collect()


def _lookup(folder: Path, part: int, column: str) -> NDArray[Any]:
    values: NDArray[Any] = parquet.read_table(part_path(folder / _LOOKUP, part), columns=[column])[column].to_numpy()
    return values
