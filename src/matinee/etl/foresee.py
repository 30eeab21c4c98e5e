"""What a version with a base will hold, counted without writing it: the transform's own reading, order and ids."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from matinee.etl.archive import open_log
from matinee.etl.ids import DenseIds
from matinee.etl.order import Room, in_order
from matinee.etl.read import read_log
from matinee.etl.tuning import Tuning, default_memory_limit_bytes

if TYPE_CHECKING:
    from matinee.etl.base import Base
    from matinee.schema.certificate import Certificate
    from matinee.schema.manifest import Manifest
    from matinee.schema.progress import Progress
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["Foreseen", "foresee"]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Counts: rows that cannot be read, exact repeats left out, events that remain, and the sizes of the id maps."""

    rejected: int
    repeats: int
    events: int
    users: int
    items: int

    @classmethod
    def of(cls, manifest: Manifest, certificate: Certificate) -> Self:
        """The counts of a version that is there."""
        reading = certificate.reading
        return cls(reading.rejects, reading.repeats, reading.events, manifest.users.count, manifest.items.count)


def foresee(
    path: Path,
    settings: TransformSettings,
    base: Base,
    folder: Path,
    memory_limit_bytes: int | None,
    progress: Progress,
) -> Foreseen:
    """Count what `transform` would make of the log at `path`; what does not fit into memory waits in `folder`.

    Raises:
        SourceError, VersionDamagedError: as `transform` would.
    """
    workers = len(os.sched_getaffinity(0))
    limit_bytes = memory_limit_bytes or default_memory_limit_bytes()
    tuning = Tuning.for_memory(limit_bytes, workers)
    with open_log(path) as stream, Path(os.devnull).open("w", encoding="utf-8") as rejects:
        log = read_log(
            stream,
            settings,
            tuning,
            workers=workers,
            folder=folder,
            samples=[],
            rejects=rejects,
            progress=progress,
            base=base,
        )
    users = DenseIds(log.largest_user, limit_bytes, log.users.numbered)
    items = DenseIds(log.largest_item, limit_bytes, log.items.numbered)
    repeats = events = 0
    room = Room(tuning.bucket_events, folder, tuning.block_bytes)
    with closing(log.spill), closing(in_order(log.spill, room)) as batches:
        for batch in batches:
            repeats += batch.repeats
            events += len(batch.events)
            users.assign(batch.events.user)
            items.assign(batch.events.item)
    return Foreseen(log.rejected, repeats, events, users.count, items.count)
