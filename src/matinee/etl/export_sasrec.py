"""A version for the SASRec family: one text of all events, a line "user item" each, by user and then by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from matinee.errors import UsageError
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from matinee.etl.export_version import ExportFolder
    from matinee.schema.progress import Progress
    from matinee.version import Sequences, Version

__all__ = ["write_sasrec"]

_BLOCK_ROWS: Final = 1 << 20  # or one user's, who has more


def write_sasrec(version: Version, place: ExportFolder, progress: Progress) -> None:
    """Write `<name>.txt`, dense ids; those programs cut off each user's last two events themselves.

    Raises:
        UsageError: the version was split at random, so that its splits one after another are in no order of time.
        VersionDamagedError: the sequences cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415 - as everywhere: half a second
    from pyarrow import csv  # noqa: PLC0415 - as above

    if version.certificate.split == "random":
        raise UsageError(
            f"{version.folder}: split at random, so nobody's history is in order; export a version with --split time, "
            "ratio or leave-one-out"
        )
    parts = [version.sequences(split) for split in SPLITS]
    rows = sum(part.events for part in parts)
    schema = pa.schema([("user", pa.int32()), ("item", pa.int32())])
    options = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    progress.start("write histories", rows, "rows")
    with place.open(f"{version.name}.txt", rows) as file, csv.CSVWriter(file, schema, write_options=options) as writer:
        for user, item in _blocks(parts):
            writer.write_batch(pa.record_batch([pa.array(user), pa.array(item)], schema=schema))
            progress.advance(user.size)
    progress.finish()


def _blocks(parts: list[Sequences]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """User and item of consecutive events, (n,) each, by user and then by time; users are never divided."""
    offsets = np.sum([part.offsets for part in parts], axis=0)
    first, end = 1, offsets.size - 1
    while first < end:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _BLOCK_ROWS, side="right")) - 1)
        yield _block(parts, offsets, first, min(last, end))
        first = last


def _block(
    parts: list[Sequences], offsets: NDArray[np.int64], first: int, last: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The events of users first to last - 1; `offsets` (users + 2,) are those of all parts together."""
    starts = offsets[first : last + 1] - offsets[first]
    user = np.repeat(np.arange(first, last, dtype=np.int32), np.diff(starts))
    item = np.empty(user.size, np.int32)
    free = starts[:-1].copy()  # where each user's next part begins
    for part in parts:
        own = part.offsets[first : last + 1]
        lengths = np.diff(own)
        if own[-1] > own[0]:
            places = np.arange(own[0], own[-1])
            item[places + np.repeat(free - own[:-1], lengths)] = part.take(places)
        free += lengths
    return user, item
