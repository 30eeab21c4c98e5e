"""Id maps as Parquet files, each with a hash of its content that no library's way of writing Parquet can change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from matinee.etl.hashing import HashedFile
from matinee.schema.manifest import FileEntry, IdMapEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["write_id_map"]

_ROW_GROUP = 1 << 20  # rows


def write_id_map(folder: Path, path: str, raw: pa.Array | pa.ChunkedArray) -> tuple[FileEntry, IdMapEntry]:
    """Write the raw ids (int64, string or large_string, without nulls) of the dense ids 1, 2, 3, ...; what came of it.

    Chunks may lie in a mapped file: a row group of them is in memory at a time.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    kind = "integer" if pa.types.is_int64(raw.type) else "string"
    raw_type = pa.int64() if kind == "integer" else pa.string()
    schema = pa.schema([pa.field("id", pa.int32(), nullable=False), pa.field("raw", raw_type, nullable=False)])
    content = hashlib.sha256(f"{kind}\n".encode())
    file = HashedFile(folder, path)
    try:
        encoding = {"id": "DELTA_BINARY_PACKED", "raw": "PLAIN"}
        with parquet.ParquetWriter(
            file, schema, compression="snappy", use_dictionary=False, column_encoding=encoding, store_schema=False
        ) as writer:
            for first, part in _parts(raw):
                _update(content, part)
                ids = pa.array(np.arange(first, first + len(part), dtype=np.int32))
                writer.write_table(pa.Table.from_arrays([ids, part.cast(raw_type)], schema=schema), _ROW_GROUP)
        return file.close(len(raw)), IdMapEntry(len(raw), kind, content.hexdigest())
    finally:
        file.abort()


def _parts(raw: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """Row groups, each with its first dense id."""
    for start in range(0, len(raw), _ROW_GROUP):
        part = raw.slice(start, _ROW_GROUP)
        yield start + 1, pa.concat_arrays(part.chunks) if isinstance(part, pa.ChunkedArray) else part


def _update(content: hashlib._Hash, part: pa.Array) -> None:
    """Add raw ids as docs/format.md puts them: little-endian int64, or UTF-8 with a LF each."""
    if pa.types.is_int64(part.type):
        content.update(np.ascontiguousarray(part.to_numpy(), "<i8").data)
        return
    # Joined with nothing by a LF, each gets one at its end; the values then lie in one buffer.
    nothing, line_feed = pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
    lines = compute.binary_join_element_wise(part.cast(pa.large_string()), nothing, line_feed)
    _, offsets, text = lines.buffers()
    bounds = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    content.update(memoryview(text)[bounds[0] : bounds[-1]])
