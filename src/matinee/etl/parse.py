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
from matinee.etl.swar import SLACK_BYTES, eight_bytes, leading_digits, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_RATINGS", "Parsed", "Reject", "Scratch", "is_compiled", "parse_chunk"]

MOST_RATINGS = 64  # distinct ratings of a chunk up to which they are kept as codes of one byte
_TEN_TO_THE = np.array([float(10**power) for power in range(16)])
_WHOLE_TEN_TO_THE = np.array([10**power for power in range(9)], np.uint64)


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
        codes: which of `ratings` each row has; None where there are too many different ones, and `plain_ratings` holds
            them.
        ratings: (distinct,) NaN stands for none.
        time: Unix seconds.
        texts: (row, role, id) for the string ids that do not lie in the chunk as they are (quoted ones, say).
        rejects: the other rows.
        too_long: number of the first line (within the chunk) that is too long to be a row, or -1.
    """

    lines: int
    rows: int
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    codes: NDArray[np.uint8] | None
    ratings: NDArray[np.float64]
    plain_ratings: NDArray[np.float64]
    time: NDArray[np.int64]
    texts: list[tuple[int, str, bytes]]
    rejects: list[Reject]
    too_long: int

    @property
    def rating(self) -> NDArray[np.float64]:
        """The rating of each row."""
        return self.plain_ratings if self.codes is None else self.ratings[self.codes]


class Scratch:
    """The arrays that one worker parses into, chunk after chunk; they grow to the largest chunk."""

    def __init__(self) -> None:
        self.coded = True  # ratings as codes, until a chunk has too many of them
        self.resize(1024)

    def resize(self, rows: int) -> None:
        """Make room for `rows` rows."""
        self.size = rows
        self.user = np.empty(rows, np.int64)
        self.item = np.empty(rows, np.int64)
        self.codes = np.empty(rows if self.coded else 0, np.uint8)
        self.rating = np.empty(0 if self.coded else rows, np.float64)
        self.time = np.empty(rows, np.int64)


class _Ratings:
    """The distinct ratings of a chunk in order of appearance; `found` of `values` are in use."""

    def __init__(self) -> None:
        self.values = np.empty(MOST_RATINGS, np.float64)
        self.found = 0

    def code(self, rating: float) -> int:
        """The code of a rating, a new one for a new rating; -1 where there is no room for it."""
        known = self.values[: self.found]
        same = np.flatnonzero((known == rating) | (np.isnan(known) & np.isnan(rating)))
        if same.size:
            return int(same[0])
        if self.found == MOST_RATINGS:
            return -1
        self.values[self.found] = rating
        self.found += 1
        return self.found - 1


def parse_chunk(text: NDArray[np.uint8], size: int, columns: Columns, scratch: Scratch) -> Parsed:
    """Read the whole lines that the first `size` bytes are (the last may lack its end).

    `text` must have SLACK_BYTES more than that, which are overwritten.
    """
    text[size : size + SLACK_BYTES] = ord("\n")
    plan = _plan(columns)
    slow = np.empty((64, 4), np.int64)
    ratings = _Ratings()
    while True:
        lines, rows, slow_rows, too_long, ratings.found = _parse(
            text, size, *plan, columns.time_divisor,
            scratch.user, scratch.item, scratch.codes, scratch.rating, scratch.time, slow, ratings.values,
        )  # fmt: skip
        if ratings.found < 0:
            scratch.coded = False
            scratch.resize(scratch.size)
            continue
        if rows <= scratch.size and slow_rows <= slow.shape[0]:
            break
        # Both counts are exact even where there was no room, so that another pass suffices.
        if rows > scratch.size:
            scratch.resize(rows + rows // 8)
        if slow_rows > slow.shape[0]:
            slow = np.empty((slow_rows, 4), np.int64)
    read = _read_slowly(text, slow[:slow_rows], columns, scratch, ratings)
    if read is None:  # too many different ratings for codes after all
        scratch.coded = False
        scratch.resize(scratch.size)
        return parse_chunk(text, size, columns, scratch)
    texts, rejects, dropped = read
    kept = _kept(rows, dropped)
    return Parsed(
        lines=lines,
        rows=rows,
        user=scratch.user[:rows][kept],
        item=scratch.item[:rows][kept],
        codes=scratch.codes[:rows][kept] if scratch.coded else None,
        ratings=ratings.values[: ratings.found].copy(),
        plain_ratings=scratch.rating if scratch.coded else scratch.rating[:rows][kept],
        time=scratch.time[:rows][kept],
        texts=texts,
        rejects=rejects,
        too_long=too_long,
    )


def _kept(rows: int, dropped: list[int]) -> slice | NDArray[np.bool_]:
    """What selects the rows that were not dropped; all of them without a copy."""
    if not dropped:
        return slice(None)
    keep = np.ones(rows, np.bool_)
    keep[dropped] = False
    return keep


def _read_slowly(
    text: NDArray[np.uint8], slow: NDArray[np.int64], columns: Columns, scratch: Scratch, ratings: _Ratings
) -> tuple[list[tuple[int, str, bytes]], list[Reject], list[int]] | None:
    """The rows that the kernel left: strings apart from the text, rejects, and which rows are none.

    None where a rating has no code.
    """
    texts: list[tuple[int, str, bytes]] = []
    rejects: list[Reject] = []
    dropped: list[int] = []
    for row, start, end, line_number in slow.tolist():
        line = text[start:end].tobytes()
        try:
            found = read_row(line, columns)
        except Rejected as rejected:
            rejects.append(Reject(line_number, str(rejected), line))
            dropped.append(row)
            continue
        scratch.time[row] = found.time
        if scratch.coded:
            code = ratings.code(found.rating)
            if code < 0:
                return None
            scratch.codes[row] = code
        else:
            scratch.rating[row] = found.rating
        for role, value, target in (("user", found.user, scratch.user), ("item", found.item, scratch.item)):
            if isinstance(value, bytes):
                target[row] = 0
                texts.append((row - len(dropped), role, value))
            else:
                target[row] = value
    return texts, rejects, dropped


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
    end: int,
    roles: NDArray[np.int8],
    separator: int,
    separator2: int,
    all_slow: bool,
    divisor: int,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    codes: NDArray[np.uint8],
    rating: NDArray[np.float64],
    time: NDArray[np.int64],
    slow: NDArray[np.int64],
    ratings: NDArray[np.float64],
) -> tuple[int, int, int, int, int]:
    """Lines, rows, rows left to the slow reader, the first line that is too long (or -1), and distinct ratings.

    The last is -1 where ratings were to be coded and are too many. Line ends follow the text, so that no run of digits
    leaves it and a byte at `end` is neither a digit nor a separator.
    """
    at = 0
    lines = 0
    rows = 0
    slow_rows = 0
    room = user.size
    needed = roles.size
    coded = rating.size == 0
    short_codes = np.full(100, -1, np.int16)  # of ratings with one digit before the point and at most one behind it
    found = 0
    if coded and not np.any(roles == 3):
        ratings[0] = np.nan
        found = 1
    while at < end:
        line_start = at
        ok = not all_slow
        row_user = np.int64(0)
        row_item = np.int64(0)
        row_rating = np.nan
        row_code = 0
        row_time = np.int64(0)
        field = 0
        while ok and field < needed:
            role = roles[field]
            field_start = at
            if role == 0:
                while at < end and text[at] != separator and text[at] != 10 and text[at] != 34:
                    at += 1
            elif role <= 2 or role == 4:
                word = eight_bytes(text, at)
                digits = leading_digits(word)
                negative = bool(digits == 0 and text[at] == 45)
                if negative:
                    at += 1
                    word = eight_bytes(text, at)
                    digits = leading_digits(word)
                ok = bool(digits > 0)
                if ok:
                    value = np.int64(number(word, digits))
                    at += int(digits)
                    if digits == 8:
                        word = eight_bytes(text, at)
                        digits = leading_digits(word)
                        if digits > 0:
                            value = value * np.int64(_WHOLE_TEN_TO_THE[digits]) + np.int64(number(word, digits))
                            at += int(digits)
                            if digits == 8:
                                word = eight_bytes(text, at)
                                digits = leading_digits(word)
                                ok = bool(digits <= 2)
                                if ok and digits > 0:
                                    value = value * np.int64(_WHOLE_TEN_TO_THE[digits]) + np.int64(number(word, digits))
                                    at += int(digits)
                    value = -value if negative else value
                    if role == 4 and text[at] == 46:
                        at += 1
                        fraction = False
                        while text[at] >= 48 and text[at] <= 57:
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
                # The usual ones, 4 and 3.5, by table; any other below.
                first = text[at] - 48
                tenths = -1
                if 0 <= first <= 9 and at + 3 < end:
                    if text[at + 1] == separator or text[at + 1] == 10:
                        tenths = first * 10
                        at += 1
                    elif (
                        text[at + 1] == 46
                        and 48 <= text[at + 2] <= 57
                        and (text[at + 3] == separator or text[at + 3] == 10)
                    ):
                        tenths = first * 10 + (text[at + 2] - 48)
                        at += 3
                if tenths >= 0 and coded and short_codes[tenths] >= 0:
                    row_code = short_codes[tenths]
                else:
                    if tenths >= 0:
                        row_rating = tenths / 10.0
                    else:
                        ok, at, row_rating = _rating(text, at, end)
                    if ok and coded:
                        row_code = 0
                        while row_code < found and not (
                            ratings[row_code] == row_rating or (np.isnan(ratings[row_code]) and np.isnan(row_rating))
                        ):
                            row_code += 1
                        if row_code == found:
                            if found == ratings.size:
                                return 0, 0, 0, -1, -1
                            ratings[found] = row_rating
                            found += 1
                        if tenths >= 0:
                            short_codes[tenths] = row_code
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
                # `at` moves on whatever is there, so that the next field need not wait for the comparison.
                if field < needed:
                    ok = text[at] == separator
                    at += 1
                    if separator2 != 0:
                        ok = ok and text[at] == separator2
                        at += 1
                else:
                    ok = at == end or text[at] == separator or text[at] == 10 or text[at] == 13
        if not ok:
            at = line_start
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
            return lines, rows, slow_rows, lines, found
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
            time[rows] = row_time
            if coded:
                codes[rows] = row_code
            else:
                rating[rows] = row_rating
        rows += 1
        lines += 1
    return lines, rows, slow_rows, -1, found


@njit(nogil=True, cache=True)
def _rating(text: NDArray[np.uint8], at: int, end: int) -> tuple[bool, int, float]:
    """Whether a short decimal (or nothing) begins at `at`, where it ends, and what it is."""
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
    ok = True
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
        return False, at, np.nan
    if not ok or whole == 0:
        return ok, at, np.nan
    return True, at, (-value if negative else value) / _TEN_TO_THE[power] + 0.0
