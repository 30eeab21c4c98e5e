"""Users and items as the bytes of Postgres's binary COPY, made column by column: no Python object a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import ArrowException, compute, parquet

from matinee.errors import VersionDamagedError, VersionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.database.seen import Seen

__all__ = ["COLUMNS", "END", "HEADER", "binary_rows"]

COLUMNS: Final = ("id", "raw", "first_seen", "last_seen", "events")
HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, flags, length of the header's extension
END: Final = b"\xff\xff"

_BATCH: Final = 1 << 17  # rows, some 8 MB
_LONGEST_BYTES: Final = 2_600  # what an index of Postgres can hold, with room for its other columns
# A row is the number of its fields, then each field's length in bytes and its bytes, all big-endian.
_BEFORE_RAW: Final = np.dtype([("fields", ">i2"), ("id_size", ">i4"), ("id", ">i4"), ("raw_size", ">i4")])
_AFTER_RAW: Final = np.dtype(
    [(f"{name}{part}", kind) for name in COLUMNS[2:] for part, kind in (("_size", ">i4"), ("", ">i8"))]
)
# The same of an id without events: two nulls, which have a length and no bytes, and a count of 0.
_NULL: Final = -1
_UNSEEN: Final = np.dtype(
    [("first_seen_size", ">i4"), ("last_seen_size", ">i4"), ("events_size", ">i4"), ("events", ">i8")]
)


def binary_rows(path: Path, seen: Seen) -> Iterator[tuple[int, memoryview]]:
    """Batches of an id map's rows with what was seen of them: how many, and their bytes.

    Raises:
        VersionDamagedError: the id map is unreadable, or its ids are not 1, 2, 3, ...
        VersionError: a raw id is one that Postgres cannot hold.
    """
    next_id = 1
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH, columns=["id", "raw"]):
                ids = batch.column("id").to_numpy()
                if not np.array_equal(ids, np.arange(next_id, next_id + len(ids))) or ids[-1] >= len(seen.events):
                    raise VersionDamagedError(f"{path}: its ids are not 1 to {len(seen.events) - 1}; transform again")
                raw = batch.column("raw").cast(pa.string())
                _check(path, raw)
                yield len(ids), _join(ids, raw, seen)
                next_id += len(ids)
    except (OSError, ArrowException) as error:
        raise VersionDamagedError(f"{path}: cannot be read ({' '.join(str(error).split())}); transform again") from None
    if next_id != len(seen.events):
        raise VersionDamagedError(
            f"{path}: has {next_id - 1} ids, the manifest says {len(seen.events) - 1}; transform again"
        )


def _check(path: Path, raw: pa.Array) -> None:
    longest = compute.max(compute.binary_length(raw)).as_py()
    if longest > _LONGEST_BYTES:
        raise VersionError(
            f"{path}: a raw id of {longest} bytes, Postgres can find ids of up to {_LONGEST_BYTES}; was the right "
            "column read? see 'matinee transform --columns'"
        )
    if compute.any(compute.match_substring(raw, "\0")).as_py():
        raise VersionError(f"{path}: a raw id holds a NUL character, which Postgres cannot store; clean the log")


def _join(ids: NDArray[np.int32], raw: pa.Array, seen: Seen) -> memoryview:
    before = np.empty(len(ids), _BEFORE_RAW)
    before["fields"] = len(COLUMNS)
    before["id_size"] = 4
    before["id"] = ids
    before["raw_size"] = compute.binary_length(raw).to_numpy()
    these = slice(ids[0], ids[-1] + 1)
    events = seen.events[these]
    after = np.empty(len(ids), _AFTER_RAW)
    for name, values in (("first_seen", seen.first[these]), ("last_seen", seen.last[these]), ("events", events)):
        after[f"{name}_size"] = 8
        after[name] = values
    tails = _as_binary(after)
    if not events.all():
        nothing = np.zeros(len(ids), _UNSEEN)
        nothing["first_seen_size"] = nothing["last_seen_size"] = _NULL
        nothing["events_size"] = 8
        tails = compute.if_else(pa.array(events > 0), tails, _as_binary(nothing))
    rows = compute.binary_join_element_wise(
        _as_binary(before), raw.cast(pa.large_binary()), tails, pa.scalar(b"", pa.large_binary())
    )
    # The rows lie side by side in the array's third buffer, its offsets in the second; both are our own here.
    _, offsets, data = rows.buffers()
    return memoryview(data)[: np.frombuffer(offsets, np.int64)[len(ids)]]


def _as_binary(records: NDArray[Any]) -> pa.Array:
    fixed = pa.binary(records.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(fixed, len(records), [None, pa.py_buffer(records)]).cast(
        pa.large_binary()
    )
