"""The version's files, put together from parts by the driver: streamed, hashed on the way, never whole in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyarrow import parquet

from matinee.etl.events import EventsWriter
from matinee.etl.hashing import HashedFile
from matinee.etl.sequences import npy_header
from matinee.etl.spark.parts import part_path, placed, sorted_parts
from matinee.schema.layout import REJECTS, SPLITS, sequence_path, text_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from matinee.etl.spark.split import Divided
    from matinee.schema.manifest import FileEntry

    Summary = dict[str, Any]

__all__ = ["write_events", "write_rejects", "write_sequences", "write_text"]

_COPY_BYTES = 1 << 22


def write_rejects(folder: Path, rows: Iterable[bytes], rejected: int) -> FileEntry:
    """rejects.csv."""
    file = HashedFile(folder, REJECTS)
    file.write(b"line,reason,text\n")
    for row in rows:
        file.write(row)
    return file.close(rejected)


def write_text(folder: Path, name: str, divided: Divided) -> list[FileEntry]:
    """The three text files, each the ranges' own one after the other."""
    entries = []
    for which, split in enumerate(SPLITS):
        path = text_path(name, split)
        parts = [divided.folder / f"text-{part['part']:06}" / path for part in divided.parts]
        rows = sum(part["rows"][which] for part in divided.parts)
        entries.append(_joined(folder, path, parts, rows))
    return entries


def write_events(folder: Path, divided: Divided, *, has_rating: bool) -> list[FileEntry]:
    """The three Parquet files."""
    writer = EventsWriter(folder, has_rating=has_rating)
    try:
        for part in divided.parts:
            table = parquet.read_table(part_path(divided.folder / "events", part["part"]))
            user, item, rating, time, which = (
                table[name].to_numpy() for name in ("user", "item", "rating", "time", "split")
            )
            for number, split in enumerate(SPLITS):
                mine = which == number
                writer.write(split, user[mine], item[mine], rating[mine], time[mine])
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def write_sequences(folder: Path, events: DataFrame, users: int, parts: int, scratch: Path) -> list[FileEntry]:
    """The sequence files: the events sorted by user in ranges, each range's items after those of the one before.

    Offsets are counted in memory, 24 bytes a user.
    """
    frame = events.select("user", "p", "item", "split")
    summaries = sorted_parts(frame, ["user", "p"], parts, partial(_write_users, scratch))
    ranges = [scratch / f"users-{summary['part']:06}" for summary in summaries]
    totals = np.zeros((len(SPLITS), users + 1), np.int64)
    for place in ranges:
        user = np.fromfile(place / "user", np.int32)
        counts = np.fromfile(place / "counts", np.int64).reshape(user.size, len(SPLITS))
        totals[:, user] += counts.T  # a user may go on in the next range, and is once in each
    entries = []
    for which, split in enumerate(SPLITS):
        offsets = np.zeros(users + 2, np.int64)
        np.cumsum(totals[which, 1:], out=offsets[2:])
        file = HashedFile(folder, sequence_path(split, "offsets"))
        file.write(npy_header(offsets.dtype, offsets.size))
        file.write(offsets.data)
        rows = int(offsets[-1])
        header = npy_header(np.dtype(np.int32), rows)
        items = _joined(folder, sequence_path(split, "items"), [place / split for place in ranges], rows, header)
        entries += [file.close(), items]
    return entries


def _write_users(folder: Path, table: pa.Table, part: int) -> Summary:
    """A range of users: each one's counts, and the items of each split."""
    user, item, split = (table[name].to_numpy() for name in ("user", "item", "split"))
    ids, starts = np.unique(user, return_index=True)
    counts = np.stack([np.add.reduceat(split == which, starts, dtype=np.int64) for which in range(len(SPLITS))], axis=1)
    with placed(folder / f"users-{part:06}") as aside:
        aside.mkdir()
        _dump(aside / "user", ids)
        _dump(aside / "counts", counts)
        for which, name in enumerate(SPLITS):
            _dump(aside / name, item[split == which])
    return {"count": int(user.size)}


def _dump(path: Path, values: NDArray[Any]) -> None:
    path.write_bytes(np.ascontiguousarray(values).data)


def _joined(folder: Path, path: str, parts: Iterable[Path], rows: int, header: bytes = b"") -> FileEntry:
    file = HashedFile(folder, path)
    try:
        file.write(header)
        for part in parts:
            with part.open("rb") as piece:
                while data := piece.read(_COPY_BYTES):
                    file.write(data)
        return file.close(rows)
    finally:
        file.abort()
