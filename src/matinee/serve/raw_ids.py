"""Raw ids outside, dense ids inside: an id map of a version, which grows at its end with what it has never seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["RawId", "RawIds"]

RawId = int | str

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_INT64: Final = range(-(2**63), 2**63)


class RawIds:
    """The ids of users or of items.

    A new id is numbered when it is first told of. Numbers mean something in this process only: outside there are raw
    ids, and the next version numbers them by its own rules.

    Args:
        raw: raw ids by dense id - 1; (ids,).
        kind: 'integer' or 'string', as the manifest says.
    """

    def __init__(self, raw: NDArray[np.generic], kind: str) -> None:
        self._raw = raw
        self._integers = kind == "integer"
        self._order = np.argsort(raw, kind="stable") if self._integers else np.zeros(0, np.int64)
        self._sorted = raw[self._order] if self._integers else raw[:0]
        self._numbers = {} if self._integers else {str(text): number for number, text in enumerate(raw.tolist(), 1)}
        self._new: list[str] = []

    def __len__(self) -> int:
        """The largest dense id."""
        return self._raw.size + len(self._new)

    @property
    def numbered(self) -> int:
        """The largest dense id of the version."""
        return self._raw.size

    def dense(self, text: str) -> int:
        """The dense id; 0 where it was never heard of."""
        if self._integers and (number := _integer(text)) is not None:
            at = int(np.searchsorted(self._sorted, number))
            if at < self._sorted.size and self._sorted[at] == number:
                return int(self._order[at]) + 1
        return self._numbers.get(text, 0)

    def all_dense(self, raw: Sequence[RawId]) -> NDArray[np.int32]:
        """The dense ids of many, (raw,); numbers that a version has are looked up all at once."""
        if not (self._integers and self._raw.size and set(map(type, raw)) == {int}):
            return np.array([self.dense(str(each)) for each in raw], np.int32)
        numbers = np.array(raw, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, numbers), self._raw.size - 1)
        found = np.where(self._sorted[at] == numbers, self._order[at] + 1, 0).astype(np.int32)
        for place in np.flatnonzero(found == 0).tolist() if self._new else ():
            found[place] = self._numbers.get(str(raw[place]), 0)
        return found

    def number(self, text: str) -> int:
        """The dense id, given now where there was none."""
        found = self.dense(text)
        if not found:
            self._new.append(text)
            found = self._numbers[text] = len(self)
        return found

    def raw(self, dense: int) -> RawId:
        """The raw id, a number where the log has numbers."""
        if dense <= self._raw.size:
            raw: RawId = self._raw[dense - 1].item() if self._integers else str(self._raw[dense - 1])
            return raw
        text = self._new[dense - self._raw.size - 1]
        number = _integer(text) if self._integers else None
        return text if number is None else number

    def all_raw(self, dense: NDArray[np.int32]) -> list[list[RawId | None]]:
        """The raw ids of a table of dense ids, (rows, columns); None where it has a 0."""
        if not self._raw.size or dense.max(initial=0) > self._raw.size:
            return [[self.raw(each) if each else None for each in row] for row in dense.tolist()]
        raw: list[list[RawId | None]] = self._raw[dense - 1].tolist()
        for row, column in np.argwhere(dense == 0).tolist():
            raw[row][column] = None
        return raw


def _integer(text: str) -> int | None:
    """The number that `text` writes the usual way; None where it writes none, or one that no log can have."""
    if len(text) > 20 or _INTEGER.fullmatch(text) is None or text == "-0":
        return None
    number = int(text)
    return number if number in _INT64 else None
