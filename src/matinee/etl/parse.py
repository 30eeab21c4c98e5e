"""The fast reader: a chunk of whole lines to columns of numbers, in one pass of a compiled loop.

It accepts only what it is sure of (plain integers, short decimals, ASCII strings); any other line is left to
`rows.read_row`, so that no rule is written twice with two meanings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from matinee.etl.dialect import MAX_LINE_BYTES
from matinee.etl.interner import LENGTH_BITS
from matinee.etl.rows import Columns, Rejected, read_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Parsed", "Reject", "Scratch", "is_compiled", "parse_chunk"]

_ROLES = ("user", "item", "rating", "time")
_TEN_TO_THE = np.array([float(10**power) for power in range(16)])


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is no event: its line's number (within the chunk, from 0), why, and the line."""

    line: int
    reason: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a chunk held; arrays have one entry a readable row, in order, and live until the scratch is used again.

    Attributes:
        lines: physical lines.
        rows: non-blank ones.
        user, item: integer ids, or for string ids a span (`Interner`) into the chunk's text.
        rating: NaN where there is none.
        time: Unix seconds.
        texts: (row, role, id) for the string ids that do not lie in the chunk as they are (quoted ones, say).
        rejects: the other rows.
        too_long: number of the first line (within the chunk) that is too long to be a row, or -1.
    """

    lines: int
    rows: int
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rating: NDArray[np.float64]
    time: NDArray[np.int64]
    texts: list[tuple[int, str, bytes]]
    rejects: list[Reject]
    too_long: int


class Scratch:
    """The arrays that one worker parses into, chunk after chunk; they grow to the largest chunk."""

    def __init__(self) -> None:
        self.resize(1024)

    def resize(self, rows: int) -> None:
        """Make room for `rows` rows."""
        self.size = rows
        self.user = np.empty(rows, np.int64)
        self.item = np.empty(rows, np.int64)
        self.rating = np.empty(rows, np.float64)
        self.time = np.empty(rows, np.int64)


def parse_chunk(text: NDArray[np.uint8], columns: Columns, scratch: Scratch) -> Parsed:
    """Read a chunk of whole lines (the last may lack its end)."""
    plan = _plan(columns)
    slow = np.empty((64, 4), np.int64)
    while True:
        lines, rows, slow_rows, too_long = _parse(
            text, *plan, columns.time_divisor, scratch.user, scratch.item, scratch.rating, scratch.time, slow
        )
        if rows <= scratch.size and slow_rows <= slow.shape[0]:
            break
        # Both counts are exact even where there was no room, so that a second pass always suffices.
        if rows > scratch.size:
            scratch.resize(rows + rows // 8)
        if slow_rows > slow.shape[0]:
            slow = np.empty((slow_rows, 4), np.int64)
    user, item = scratch.user[:rows], scratch.item[:rows]
    rating, time = scratch.rating[:rows], scratch.time[:rows]
    texts: list[tuple[int, str, bytes]] = []
    rejects: list[Reject] = []
    dropped: list[int] = []
    for row, start, end, line_number in slow[:slow_rows].tolist():
        line = text[start:end].tobytes()
        try:
            found = read_row(line, columns)
        except Rejected as rejected:
            rejects.append(Reject(line_number, str(rejected), line))
            dropped.append(row)
            continue
        rating[row], time[row] = found.rating, found.time
        for role, value, target in (("user", found.user, user), ("item", found.item, item)):
            if isinstance(value, bytes):
                target[row] = 0
                texts.append((row - len(dropped), role, value))
            else:
                target[row] = value
    if dropped:
        keep = np.ones(rows, np.bool_)
        keep[dropped] = False
        user, item, rating, time = user[keep], item[keep], rating[keep], time[keep]
    return Parsed(lines, rows, user, item, rating, time, texts, rejects, too_long)


def is_compiled() -> bool:
    """Whether the compiled loops of an earlier run lie in Numba's cache; without them the first chunk takes seconds."""
    cache = _parse.stats.cache_path
    return cache is not None and any(Path(cache).glob("parse._parse-*.nbi"))


def _plan(columns: Columns) -> tuple[NDArray[np.int8], int, int, bool]:
    """Separator bytes, what each field holds (0 nothing, 1-4 a role, 5-6 a string id), and whether all is slow."""
    separator = columns.separator
    roles = np.zeros(columns.needed, np.int8)
    positions = (columns.user, columns.item, columns.rating, columns.time)
    for role, position in enumerate(positions, start=1):
        if position >= 0:
            roles[position] = role
    if not columns.user_is_integer:
        roles[columns.user] = 5
    if not columns.item_is_integer:
        roles[columns.item] = 6
    used = [position for position in positions if position >= 0]
    odd_separator = separator != b"::" and (len(separator) != 1 or separator in b'0123456789+-."\r\n')
    all_slow = odd_separator or len(set(used)) < len(used)
    first, second = separator[0], separator[1] if len(separator) == 2 else 0
    return roles, first, second, all_slow


@njit(nogil=True, cache=True)
def _parse(
    text: NDArray[np.uint8],
    roles: NDArray[np.int8],
    separator: int,
    separator2: int,
    all_slow: bool,
    divisor: int,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
    slow: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Lines, rows, rows left to the slow reader, and the first line that is too long (or -1)."""
    end = text.size
    at = 0
    lines = 0
    rows = 0
    slow_rows = 0
    room = user.size
    needed = roles.size
    while at < end:
        line_start = at
        ok = not all_slow
        row_user = np.int64(0)
        row_item = np.int64(0)
        row_rating = np.nan
        row_time = np.int64(0)
        field = 0
        while ok and field < needed:
            role = roles[field]
            field_start = at
            if role == 0:
                while at < end and text[at] != separator and text[at] != 10 and text[at] != 34:
                    at += 1
            elif role <= 2 or role == 4:
                negative = at < end and text[at] == 45
                if negative:
                    at += 1
                first_digit = at
                value = np.int64(0)
                while at < end and text[at] >= 48 and text[at] <= 57:
                    value = value * 10 + np.int64(text[at] - 48)
                    at += 1
                digits = at - first_digit
                ok = 1 <= digits <= 18
                value = -value if negative else value
                if role == 4 and at < end and text[at] == 46:
                    at += 1
                    fraction = False
                    while at < end and text[at] >= 48 and text[at] <= 57:
                        fraction = fraction or text[at] != 48
                        at += 1
                    if negative and fraction:
                        value -= 1  # rounded down
                if role == 1:
                    row_user = value
                elif role == 2:
                    row_item = value
                else:
                    row_time = value // divisor if divisor != 1 else value
            elif role == 3:
                negative = at < end and text[at] == 45
                if negative:
                    at += 1
                first_digit = at
                value = np.int64(0)
                while at < end and text[at] >= 48 and text[at] <= 57:
                    value = value * 10 + np.int64(text[at] - 48)
                    at += 1
                whole = at - first_digit
                power = 0
                if at < end and text[at] == 46:
                    at += 1
                    first_digit = at
                    while at < end and text[at] >= 48 and text[at] <= 57:
                        value = value * 10 + np.int64(text[at] - 48)
                        at += 1
                    power = at - first_digit
                    ok = whole >= 1
                elif whole == 0:
                    ok = not negative  # an empty field is no rating
                # Up to 15 digits and 10^15 are exact in a double, so that one division rounds correctly.
                if whole + power > 15:
                    ok = False
                elif whole > 0:
                    row_rating = (-value if negative else value) / _TEN_TO_THE[power] + 0.0
            else:
                first = at
                while at < end and text[at] != separator and text[at] != 10 and text[at] != 34 and text[at] < 128:
                    at += 1
                last = at
                if last > first and text[last - 1] == 13 and (at == end or text[at] == 10):
                    last -= 1
                length = last - first
                ok = 0 < length <= MAX_LINE_BYTES and text[first] > 32 and text[last - 1] > 32
                span = (np.int64(first) << LENGTH_BITS) | np.int64(length)
                if role == 5:
                    row_user = span
                else:
                    row_item = span
                if ok and last < at:
                    at = last  # leave the CR to the line's end
            field += 1
            if separator == 32 and at == field_start:
                ok = False  # runs of spaces count as one
            if ok:
                if field < needed:
                    # `at` moves only over what is a separator: a line's end must be seen by the code below.
                    ok = at < end and text[at] == separator
                    at += ok
                    if ok and separator2 != 0:
                        ok = at < end and text[at] == separator2
                        at += ok
                else:
                    ok = at == end or text[at] == separator or text[at] == 10 or text[at] == 13
        # The rest of the line, whatever happened: a quote anywhere or a bare CR leaves the line to the slow reader.
        if at < end and ok and text[at] == 13:
            ok = at + 1 == end or text[at + 1] == 10
        while at < end and text[at] != 10:
            if text[at] == 34:
                ok = False
            at += 1
        line_end = at
        if at < end:
            at += 1
        if line_end > line_start and text[line_end - 1] == 13:
            line_end -= 1
        if line_end - line_start > MAX_LINE_BYTES:
            return lines, rows, slow_rows, lines
        if not ok:
            blank = True
            for look in range(line_start, line_end):
                if text[look] != 32 and text[look] != 9:
                    blank = False
                    break
            if blank:
                lines += 1
                continue
            if slow_rows < slow.shape[0]:
                slow[slow_rows, 0] = rows
                slow[slow_rows, 1] = line_start
                slow[slow_rows, 2] = line_end
                slow[slow_rows, 3] = lines
            slow_rows += 1
        if rows < room:
            user[rows] = row_user
            item[rows] = row_item
            rating[rows] = row_rating
            time[rows] = row_time
        rows += 1
        lines += 1
    return lines, rows, slow_rows, -1
