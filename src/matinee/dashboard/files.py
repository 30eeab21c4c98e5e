"""The few files of the data folder that the page links to, by pattern, and nothing else of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PREFIX", "address_of", "find"]

PREFIX: Final = "/files"
_PART: Final = r"[A-Za-z0-9@][\w.@+-]*"  # begins with no dot, holds no slash
_OPEN: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"versions/{_PART}/{_PART}/certificate\.html",
        rf"replays/{_PART}/{_PART}/report\.html",
    )
)


def address_of(path: Path, data_dir: Path) -> str | None:
    """The path of its URL on the page; None where it is none of the files that are shown."""
    name = path.relative_to(data_dir).as_posix()
    return f"{PREFIX}/{name}" if _is_open(name) else None


def find(name: str, data_dir: Path) -> Path | None:
    """The file behind a URL's path below PREFIX; None for whatever is not to be shown.

    The name has to have the form of one that the page links to, and what it leads to must lie in the data folder and
    be a plain file there: a link out of it is not followed.
    """
    if not _is_open(name):
        return None
    path = (data_dir / name).resolve()
    root = data_dir.resolve()
    inside = path.is_relative_to(root) and _is_open(path.relative_to(root).as_posix())
    return path if inside and path.is_file() else None


def _is_open(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in _OPEN)
