"""One line of a log, read the slow and exact way: the rule that the fast kernel falls back to, and the probe's eyes.

docs/format.md, sections 2 and 3, is the specification. The kernel in `parse` reads plain lines on its own and hands
everything else (quotes, exponents, long numbers, odd bytes) to `read_row`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "SPACES",
    "UNIT_DIVISOR",
    "Columns",
    "Rejected",
    "Row",
    "read_row",
    "read_time",
    "split_fields",
]

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
UNIT_DIVISOR: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

SPACES: Final = b" \t"
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
# Enough digits for any decimal that a line of 1 MiB can hold, so that rounding down is exact.
_EXACT = Context(prec=1 << 21, rounding=ROUND_FLOOR, Emax=1 << 22, Emin=-(1 << 22))


class Rejected(Exception):  # noqa: N818 - a row is rejected, the run goes on: this is no error
    """This row cannot be an event; the message is the reason in rejects.csv."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the roles lie in a row, and how their fields are read.

    Attributes:
        separator: the bytes between two fields.
        user, item, rating, time: 0-based positions; rating and time are -1 where the log has none.
        user_is_integer, item_is_integer: the kind of each id.
        time_divisor: units of the time column in a second.
    """

    separator: bytes
    user: int
    item: int
    rating: int
    time: int
    user_is_integer: bool = True
    item_is_integer: bool = True
    time_divisor: int = 1

    @property
    def needed(self) -> int:
        """Fields that a row must have."""
        return max(self.user, self.item, self.rating, self.time) + 1


@dataclass(frozen=True, slots=True)
class Row:
    """One readable row; `rating` is NaN where there is none, `time` 0 where the log has no time."""

    user: int | bytes
    item: int | bytes
    rating: float
    time: int


def split_fields(line: bytes, separator: bytes) -> list[tuple[bytes, bool]]:
    """The fields of a line without its end, each with whether it was quoted.

    Raises:
        Rejected: a quote does not close, or text follows the closing one.
    """
    if b'"' not in line:
        parts = [part for part in line.split(b" ") if part] if separator == b" " else line.split(separator)
        return [(part.strip(SPACES), False) for part in parts]
    fields: list[tuple[bytes, bool]] = []
    start = 0
    collapse = separator == b" "
    while True:
        if collapse:
            while line.startswith(b" ", start):
                start += 1
            if start >= len(line):
                return fields
        field, quoted, start = _one_field(line, start, separator)
        fields.append((field, quoted))
        if start > len(line):
            return fields


def _one_field(line: bytes, start: int, separator: bytes) -> tuple[bytes, bool, int]:
    """The field at `start`, and where the next one starts: past the line's end when this is the last."""
    begin = start
    while line[begin : begin + 1] in (b" ", b"\t") and not line.startswith(separator, begin):
        begin += 1
    if line[begin : begin + 1] != b'"':
        end = line.find(separator, start)
        end = len(line) if end < 0 else end
        return line[start:end].strip(SPACES), False, end + len(separator)
    pieces = []
    at = begin + 1
    while True:
        close = line.find(b'"', at)
        if close < 0:
            raise Rejected("unclosed quote")
        pieces.append(line[at:close])
        if line[close + 1 : close + 2] != b'"':
            break
        pieces.append(b'"')
        at = close + 2
    end = line.find(separator, close + 1)
    end = len(line) if end < 0 else end
    if line[close + 1 : end].strip(SPACES):
        raise Rejected("unclosed quote")
    return b"".join(pieces), True, end + len(separator)


def read_row(line: bytes, columns: Columns) -> Row:
    """The event in a line without its end.

    Raises:
        Rejected: with the reason, the first that applies (docs/format.md, section 3).
    """
    fields = split_fields(line, columns.separator)
    if len(fields) < columns.needed:
        raise Rejected(f"has {len(fields)} columns, needs {columns.needed}")
    user = _read_id(*fields[columns.user], "user", columns.user_is_integer)
    item = _read_id(*fields[columns.item], "item", columns.item_is_integer)
    rating = _read_rating(fields[columns.rating][0]) if columns.rating >= 0 else math.nan
    time = read_time(fields[columns.time][0], columns.time_divisor) if columns.time >= 0 else 0
    return Row(user, item, rating, time)


def _read_id(field: bytes, quoted: bool, role: str, is_integer: bool) -> int | bytes:
    if is_integer:
        field = field.strip(SPACES)
    if not field:
        raise Rejected(f"{role} is empty")
    if not is_integer:
        try:
            field.decode()
        except UnicodeDecodeError:
            raise Rejected(f"{role} is not UTF-8") from None
        return field
    del quoted  # a number is the same number inside quotes
    if not _INTEGER.fullmatch(field):
        raise Rejected(f"{role} is not an integer")
    value = _integer(field)
    if not INT64_MIN <= value <= INT64_MAX:
        raise Rejected(f"{role} is outside int64")
    return value


def _integer(field: bytes) -> int:
    """The whole number; one of more digits than int64 can hold becomes just outside it, however long it is."""
    negative = field[:1] == b"-"
    digits = field.lstrip(b"+-").lstrip(b"0") or b"0"
    if len(digits) > 19:
        return INT64_MIN - 1 if negative else INT64_MAX + 1
    return -int(digits) if negative else int(digits)


def _read_rating(field: bytes) -> float:
    field = field.strip(SPACES)
    if not field:
        return math.nan
    if not _DECIMAL.fullmatch(field):
        raise Rejected("rating is not a number")
    rating = float(field)
    if math.isinf(rating):
        raise Rejected("rating is not a number")
    return rating + 0.0  # -0.0 becomes 0.0


def read_time(field: bytes, divisor: int) -> int:
    """Unix seconds, rounded down, from a decimal number in units of which a second has `divisor`.

    Raises:
        Rejected: with the reason.
    """
    field = field.strip(SPACES)
    if not field:
        raise Rejected("time is empty")
    if not _DECIMAL.fullmatch(field):
        raise Rejected("time is not a number")
    if _INTEGER.fullmatch(field):
        value = _integer(field)
    else:
        number = Decimal(field.decode())
        if number and number.adjusted() > 19:
            raise Rejected("time is outside int64")
        # A tiny magnitude rounds down to 0 or -1 without writing out its zeros.
        tiny = -1 if number < 0 else 0
        value = tiny if number.adjusted() < 0 else int(number.to_integral_value(ROUND_FLOOR, _EXACT))
    if not INT64_MIN <= value <= INT64_MAX:
        raise Rejected("time is outside int64")
    return value // divisor
