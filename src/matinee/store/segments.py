"""What Swift keeps beside a container for files too large for one object, and what broken-off uploads leave there.

rclone cuts such a file into segments `CONTAINER_segments/PATH/UNIQUE/00000000`, ..., and writes the object at PATH
last: it has no bytes of its own, only the name of its segments. An upload that dies before that leaves segments that
belong to nothing, and no listing of the container shows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matinee.store.rclone import Rclone

__all__ = ["Backend", "drop_orphans"]

_SEGMENT: Final = re.compile(r"(?P<path>.+)/[^/]+/\d{8}")


@dataclass(frozen=True, slots=True)
class Backend:
    """What stands behind a store, aliases followed: its kind ('Local', 'S3', 'Swift', ...), rclone's name, its root."""

    kind: str
    remote: str
    root: str


def drop_orphans(backend: Backend, path: str, rclone: Rclone) -> None:
    """Delete the segments below `path` whose file is not there.

    Each file is asked for by name, as a listing may lag behind. A file that is there keeps all that lies beneath its
    name, also what an earlier, broken-off upload of it left: which segments are its own, rclone does not tell. That
    goes when the file itself has gone.
    """
    container, _, inner = f"{backend.root}/{path}".strip("/").partition("/")
    kept = f"{backend.remote}:{container}_segments"
    segments: dict[str, list[str]] = {}
    for entry in rclone.entries(kept, inner, recurse=True):
        found = _SEGMENT.fullmatch(entry.path)
        if not entry.is_folder and found is not None:
            segments.setdefault(f"{inner}/{found['path']}", []).append(f"{inner}/{entry.path}")
    for file, orphans in segments.items():
        if rclone.stat(f"{backend.remote}:{container}", file) is None:
            for orphan in orphans:
                rclone.delete_file(kept, orphan)
