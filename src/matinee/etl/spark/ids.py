"""Dense ids in order of first appearance, ranked in parallel: each raw id's earliest event, sorted in ranges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sql

from matinee.errors import SourceFormatError
from matinee.etl.spark.parts import base_of, bases, part_path, placed, sorted_parts, write_part

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame

__all__ = ["Numbered", "number"]

_MOST_IDS = 2**31 - 2  # dense ids are int32, 0 stays free


@dataclass(frozen=True, slots=True)
class Numbered:
    """The ids of a column: `frame` has `raw` and `id`; `raw` gives the raw ids by dense id, from mapped files."""

    frame: DataFrame
    count: int
    _folder: Path
    _parts: list[int]

    def raw(self) -> pa.ChunkedArray:
        """The raw ids of 1, 2, 3, ..."""
        chunks = []
        for part in self._parts:
            with pa.memory_map(str(part_path(self._folder / "raw", part, "arrow"))) as file:
                chunks += pa.ipc.open_file(file).read_all()["raw"].chunks
        return pa.chunked_array(chunks)


def number(events: DataFrame, column: str, keys: list[str], parts: int, folder: Path) -> Numbered:
    """Give the raw ids of a column 1, 2, 3, ... in the order in which `keys` let them appear.

    Raises:
        SourceFormatError: more ids than an int32 has.
    """
    first = events.groupBy(column).agg(sql.min(sql.struct(*keys)).alias("first"))
    frame = first.select(sql.col(column).alias("raw"), *[sql.col(f"first.{key}").alias(key) for key in keys])
    summaries = sorted_parts(frame, keys, parts, partial(_write_ids, folder))
    before = bases(summaries)
    count = sum(summary["count"] for summary in summaries)
    if count > _MOST_IDS:
        raise SourceFormatError(f"the log has {count:,} distinct ids in a column, expected at most {_MOST_IDS:,}")
    kind = dict(events.dtypes)[column]
    read = events.sparkSession.read.schema(f"raw {kind}, part int, row long").parquet(f"file://{folder / 'ids'}")
    numbered = read.select("raw", (base_of(before) + sql.col("row") + 1).cast("int").alias("id"))
    return Numbered(numbered, count, folder, list(before))


def _write_ids(folder: Path, table: pa.Table, part: int) -> dict[str, Any]:
    """A range of ids, once for Spark and once to be mapped into memory."""
    raw = table.select(["raw"])
    rows = np.arange(raw.num_rows)
    ids = raw.append_column("part", pa.array(np.full(rows.size, part), pa.int32()))
    write_part(ids.append_column("row", pa.array(rows, pa.int64())), folder / "ids", part)
    with (
        placed(part_path(folder / "raw", part, "arrow")) as aside,
        pa.ipc.new_file(str(aside), raw.schema) as file,
    ):
        file.write_table(raw)
    return {"count": raw.num_rows}
