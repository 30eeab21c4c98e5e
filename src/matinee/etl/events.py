"""Parquet files of the splits: user, item, rating and timestamp in order, in row groups of a fixed length.

Encodings are chosen for the least processor time on sorted events. Ids stay plain and uncompressed (compressing or
packing them costs more time than hashing the bytes it saves), timestamps ascend and so pack as differences, and
ratings are a small dictionary. BYTE_STREAM_SPLIT with LZ4 would be smaller for a little more time, but not
every Spark in use can read it (SPARK-56894).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from matinee.etl.hashing import HashedFile, open_splits
from matinee.schema.layout import SPLITS, Split, events_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.schema.manifest import FileEntry

__all__ = ["ROW_GROUP", "EventsWriter"]

ROW_GROUP = 1 << 20  # rows


class EventsWriter:
    """events/train.parquet, eval.parquet and test.parquet. Used by one thread at a time.

    The bytes do not depend on the lengths of the parts they were written in.
    """

    def __init__(self, folder: Path, *, has_rating: bool) -> None:
        files = open_splits(folder, events_path)
        self._tables: dict[Split, _Table] = {}
        try:
            for split, file in files.items():
                self._tables[split] = _Table(file, has_rating=has_rating)
        except BaseException:
            self.abort()
            for file in files.values():
                file.abort()
            raise

    def write(
        self,
        split: Split,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        rating: NDArray[np.float64],
        time: NDArray[np.int64],
    ) -> None:
        """The next events of a split, in order; a rating of NaN is null; (n,) each.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        self._tables[split].write((user, item, rating, time))

    def close(self) -> list[FileEntry]:
        """Finish the files; their entries for train, eval and test."""
        return [self._tables[split].close() for split in SPLITS]

    def abort(self) -> None:
        """Let go of the files as they are."""
        for table in self._tables.values():
            table.abort()


class _Table:
    """One Parquet file, and the rows that do not fill a row group yet."""

    def __init__(self, file: HashedFile, *, has_rating: bool) -> None:
        self._file = file
        self._has_rating = has_rating
        self._schema = _schema(has_rating=has_rating)
        self._writer = parquet.ParquetWriter(
            file,
            self._schema,
            compression="none",
            use_dictionary=["rating"] if has_rating else False,
            column_encoding={"user": "PLAIN", "item": "PLAIN", "timestamp": "DELTA_BINARY_PACKED"},
            write_statistics=True,
            store_schema=False,
        )
        # Pages of these that are never reached take no memory.
        self._waiting: tuple[NDArray[Any], ...] = (
            np.empty(ROW_GROUP, np.int32),
            np.empty(ROW_GROUP, np.int32),
            np.empty(ROW_GROUP if has_rating else 0, np.float64),
            np.empty(ROW_GROUP, np.int64),
        )
        self._filled = 0
        self._rows = 0

    def write(self, part: tuple[NDArray[Any], ...]) -> None:
        size = part[0].size
        start = 0
        while start < size:
            stop = min(size, start + ROW_GROUP - self._filled)
            filled = self._filled + stop - start
            for waiting, column in zip(self._waiting, part, strict=True):
                if waiting.size:
                    waiting[self._filled : filled] = column[start:stop]
            self._filled = filled
            if filled == ROW_GROUP:
                self._write_group()
            start = stop
        self._rows += size

    def close(self) -> FileEntry:
        if self._filled:
            self._write_group()
        self._writer.close()
        return self._file.close(self._rows)

    def abort(self) -> None:
        # The footer goes nowhere; without closing, the writer would try again when it is collected.
        self._file.abort()
        with contextlib.suppress(Exception):
            self._writer.close()
        self._writer.is_open = False

    def _write_group(self) -> None:
        user, item, rating, time = (column[: self._filled] for column in self._waiting)
        columns = [pa.array(user), pa.array(item), pa.array(time)]
        if self._has_rating:
            columns.insert(2, pa.array(rating, from_pandas=True))  # NaN becomes null
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=ROW_GROUP)
        self._filled = 0


def _schema(*, has_rating: bool) -> pa.Schema:
    fields = [
        pa.field("user", pa.int32(), nullable=False),
        pa.field("item", pa.int32(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
    ]
    if has_rating:
        fields.insert(2, pa.field("rating", pa.float64(), nullable=True))
    return pa.schema(fields)
