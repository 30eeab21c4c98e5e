"""How a log is written: separator, header, columns, kinds of ids and unit of time, decided from its first rows.

docs/format.md, section 2, is the specification.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from matinee.errors import SourceFormatError, UsageError
from matinee.etl.rows import SPACES, UNIT_DIVISOR, Columns, Rejected, read_row, read_time, split_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.schema.transform_settings import TransformSettings

__all__ = ["MAX_LINE_BYTES", "PROBE_ROWS", "Dialect", "detect", "line_too_long"]

MAX_LINE_BYTES: Final = 1 << 20
PROBE_ROWS: Final = 1_000

_SEPARATORS: Final = (b"::", b"\t", b",", b";", b"|", b" ")
_ROLES: Final = ("user", "item", "rating", "time")
_KNOWN_NAMES: Final = {
    "user": "user userid user_id uid reviewerid reviewer_id visitorid visitor_id customer_id customerid",
    "item": "item itemid item_id iid movieid movie_id asin parent_asin productid product_id artist_id track_id"
    " business_id",
    "rating": "rating score stars overall weight",
    "time": "time timestamp ts datetime_unix unixreviewtime unix_time unix_timestamp",
}
_ROLE_OF_NAME: Final = {name: role for role, names in _KNOWN_NAMES.items() for name in names.split()}
_UNIT_LIMITS: Final = (("s", 10**11), ("ms", 10**14), ("us", 10**17))
_SMALLEST_TIME: Final = 100_000_000  # Unix seconds in March 1973: below it, a third column is a rating


@dataclass(frozen=True, slots=True)
class Dialect:
    """What `detect` found.

    Attributes:
        columns: where the roles lie, and how their fields are read.
        header: whether the first non-blank line names the columns.
        names: role -> column name, or position where there is no header.
        time_unit: 's', 'ms', 'us' or 'ns'; 'row' where the log has no time.
        data_offset: bytes before the line that follows the header (or before the first line, after the BOM).
        data_line: physical number of the line at `data_offset`, from 1.
    """

    columns: Columns
    header: bool
    names: dict[str, str]
    time_unit: str
    data_offset: int
    data_line: int


def detect(head: bytes, settings: TransformSettings) -> Dialect:
    """The dialect of a log that begins with `head`: all of it, or at least its header and PROBE_ROWS data rows.

    Raises:
        SourceFormatError: no data, no separator, no such columns, or a header that is not understood.
        UsageError: `--columns` mixes names and positions, or names a role that does not exist.
    """
    lines = _lines(head)
    first = next(lines, None)
    if first is None:
        raise SourceFormatError("the log has no line of text; expected one event a line (docs/format.md)")
    first_line, first_number, first_end = first
    separator = settings.separator.encode() or _detect_separator(first_line)
    header_names = _header_names(first_line, separator)
    positions, header = _assign_columns(header_names, settings)
    if header:
        names = {role: header_names[position] for role, position in positions.items()}
        offset, number = first_end, first_number + 1
    else:
        names = {role: str(position) for role, position in positions.items()}
        offset, number = _bom_length(head), 1
    columns = Columns(
        separator, positions["user"], positions["item"], positions.get("rating", -1), positions.get("time", -1)
    )
    probe = [line for line, _, _ in _lines(head[offset:], has_bom=False)][:PROBE_ROWS]
    if not probe:
        raise SourceFormatError("the log has a header but no event; expected one event a line (docs/format.md)")
    if not header and not settings.columns:
        _refuse_unknown_header(probe[0], columns)
    columns = replace(
        columns,
        user_is_integer=_is_integer(probe, columns, columns.user, settings.ids),
        item_is_integer=_is_integer(probe, columns, columns.item, settings.ids),
    )
    unit = _time_unit(probe, columns, settings)
    return Dialect(replace(columns, time_divisor=UNIT_DIVISOR.get(unit, 1)), header, names, unit, offset, number)


def line_too_long(number: int) -> SourceFormatError:
    """The error for a physical line of more than MAX_LINE_BYTES."""
    return SourceFormatError(
        f"line {number} is longer than {MAX_LINE_BYTES:,} bytes; expected one event a line: is this a text file?"
    )


def _lines(text: bytes, *, has_bom: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """Non-blank lines without their ends, each with its physical number and the offset of the next line."""
    start, number = (_bom_length(text) if has_bom else 0), 0
    while start < len(text):
        end = text.find(b"\n", start)
        after = len(text) if end < 0 else end + 1
        line = text[start : len(text) if end < 0 else end]
        number += 1
        start = after
        line = line.removesuffix(b"\r")
        if len(line) > MAX_LINE_BYTES:
            raise line_too_long(number)
        if line.strip(SPACES):
            yield line, number, after


def _bom_length(text: bytes) -> int:
    return 3 if text.startswith(b"\xef\xbb\xbf") else 0


def _detect_separator(line: bytes) -> bytes:
    outside = b'"'.join(line.split(b'"')[::2])  # what lies between quotes does not count
    for separator in _SEPARATORS:
        if separator in (outside.strip(b" ") if separator == b" " else outside):
            return separator
    raise SourceFormatError(
        f"no separator found in the first line {_shown(line)}; expected one of :: TAB , ; | space, or pass --sep"
    )


def _header_names(line: bytes, separator: bytes) -> list[str]:
    try:
        fields = split_fields(line, separator)
    except Rejected:
        return []
    return [field.strip(SPACES).decode(errors="replace") for field, _ in fields]


def _canonical(name: str) -> str:
    return name.strip().lower().split(":", 1)[0].strip()


def _assign_columns(names: list[str], settings: TransformSettings) -> tuple[dict[str, int], bool]:
    """Role -> position, and whether the first line is a header."""
    known: dict[str, int] = {}
    for position, name in enumerate(names):
        role = _ROLE_OF_NAME.get(_canonical(name))
        if role and role not in known:
            known[role] = position
    has_known_names = "user" in known and "item" in known
    if not settings.columns:
        return (known, True) if has_known_names else (_by_position(names), False)
    wanted = dict(settings.columns)
    if unknown := set(wanted) - set(_ROLES):
        raise UsageError(f"--columns: unknown role {min(unknown)!r}; expected user, item, rating, time")
    if not {"user", "item"} <= set(wanted):
        raise UsageError("--columns: expected at least user=... and item=...")
    numbers = {name.isascii() and name.isdigit() for name in wanted.values()}
    if numbers == {True}:
        return {role: int(name) for role, name in wanted.items()}, has_known_names
    if numbers == {True, False}:
        raise UsageError("--columns: names and positions do not mix; expected all names or all 0-based positions")
    return _by_name(names, wanted), True


def _by_name(names: list[str], wanted: dict[str, str]) -> dict[str, int]:
    found = {_canonical(name): position for position, name in reversed(list(enumerate(names)))}
    positions = {}
    for role, name in wanted.items():
        position = found.get(_canonical(name))
        if position is None:
            raise SourceFormatError(
                f"no column {name!r} for the {role}; the first line has {', '.join(map(repr, names)) or 'none'}; "
                f"correct --columns"
            )
        positions[role] = position
    return positions


def _by_position(names: list[str]) -> dict[str, int]:
    if len(names) < 2:
        raise SourceFormatError(
            f"the first line has {len(names)} columns, expected at least user and item; pass --sep or --columns"
        )
    if len(names) == 2:
        return {"user": 0, "item": 1}
    if len(names) == 3:
        try:
            third = read_time(names[2].encode(), 1)
        except Rejected:
            third = 0
        return {"user": 0, "item": 1, "time" if third >= _SMALLEST_TIME else "rating": 2}
    return {"user": 0, "item": 1, "rating": 2, "time": 3}


def _refuse_unknown_header(line: bytes, columns: Columns) -> None:
    """A first line whose numbers are no numbers is a header that nobody recognised."""
    try:
        read_row(line, replace(columns, user_is_integer=False, item_is_integer=False))
    except Rejected as rejected:
        if "is not a number" in str(rejected):
            fields = ", ".join(repr(name) for name in _header_names(line, columns.separator))
            raise SourceFormatError(
                f"the first line has the columns {fields}: {rejected}, and no header that is known; "
                f"pass --columns user=...,item=...,rating=...,time=..."
            ) from None


def _is_integer(probe: list[bytes], columns: Columns, position: int, ids: str) -> bool:
    """Whether every readable row of the probe has an integer there."""
    if ids != "auto":
        return ids == "integer"
    alone = Columns(columns.separator, user=position, item=position, rating=-1, time=-1)
    for line in probe:
        try:
            fields = split_fields(line, columns.separator)
        except Rejected:
            continue  # broken quotes have no vote
        if len(fields) <= position or not fields[position][0].strip(SPACES):
            continue
        try:
            read_row(line, alone)
        except Rejected:
            return False
    return True


def _time_unit(probe: list[bytes], columns: Columns, settings: TransformSettings) -> str:
    if columns.time < 0:
        return "row"
    if settings.time_unit != "auto":
        return settings.time_unit
    sizes = []
    for line in probe:
        try:
            sizes.append(abs(read_time(split_fields(line, columns.separator)[columns.time][0], 1)))
        except (Rejected, IndexError):
            continue
    typical = statistics.median_low(sizes) if sizes else 0
    return next((unit for unit, limit in _UNIT_LIMITS if typical < limit), "ns")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))
