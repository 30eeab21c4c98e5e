"""Files of the data folder, read again only when they have changed; one that is torn, huge or not ours is none."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from matinee.errors import MatineeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Reading", "number", "text"]

_Value = TypeVar("_Value")
_DAMAGE: Final = (
    OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, MatineeError
)  # fmt: skip
_LARGEST_BYTES: Final = 64 << 20  # a page has no use for more, whoever wrote it


class Reading:
    """Remembers what each file held when it was read last."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], tuple[tuple[int, int, int], Any]] = {}

    def get(self, path: Path, parse: Callable[[Path], _Value], name: str = "") -> _Value | None:
        """What `parse` makes of the file; None where there is no file, or none that it can read.

        Args:
            path: the file whose change means that it has to be parsed again.
            parse: may raise what a damaged file causes.
            name: tells readings of one file apart.
        """
        try:
            stat = path.stat()
        except OSError:
            self._known.pop((path, name), None)
            return None
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._known.get((path, name))
        if known is not None and known[0] == stamp:
            value: _Value | None = known[1]
            return value
        value = None
        if stat.st_size <= _LARGEST_BYTES:
            try:
                value = parse(path)
            except _DAMAGE:
                value = None
        self._known[path, name] = (stamp, value)
        return value

    def json(self, path: Path) -> dict[str, Any] | None:
        """The file's JSON object."""
        return self.get(path, _object)


def text(plain: Any, *keys: str) -> str:
    """The text at the end of a path of keys; empty where there is none."""
    found = _at(plain, keys)
    return found if isinstance(found, str) else ""


def number(plain: Any, *keys: str) -> float | None:
    """The number at the end of a path of keys; None where there is none, or none that a float can hold."""
    found = _at(plain, keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if abs(found) <= sys.float_info.max else None  # false for NaN as well


def _at(plain: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        plain = plain.get(key) if isinstance(plain, dict) else None
    return plain


def _object(path: Path) -> dict[str, Any]:
    plain = json.loads(path.read_bytes())
    if not isinstance(plain, dict):
        raise TypeError(path)
    return plain
