"""Hypothesis strategies for logs of every shape a person may hand in, and for the settings to transform them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Case", "cases"]

SEPARATORS: Final = (",", "\t", "::", ";", "|", " ", "~", "||")
NAMES: Final = {
    "user": ("userId", "user", "UID", "user_id", "reviewerID", "visitorid", "customer_id"),
    "item": ("movieId", "item", "iid", "item_id", "ASIN", "parent_asin", "track_id", "business_id"),
    "rating": ("rating", "Score", "stars", "overall", "weight"),
    "time": ("timestamp", "time", "ts", "unixReviewTime", "datetime_unix"),
}
SHARES: Final = (
    ("0.5", "0.25", "0.25"),
    ("0.5", "0.25", "0.25"),
    ("0.6", "0.3", "0.1"),
    ("0.8", "0.1", "0.1"),
    ("1", "0", "0"),
    ("0.9", "0.1", "0"),
    ("0.34", "0", "0.66"),
    ("1e-1", "0.7", "0.2"),
)


@dataclass(frozen=True)
class Case:
    """A log and the settings to transform it with; not every case is a good one."""

    log: bytes
    settings: TransformSettings


def cases() -> st.SearchStrategy[Case]:
    """Mostly logs with some dirt in them, now and then bytes that only look a little like one."""
    return st.one_of(_shaped_cases(), _shaped_cases(), _shaped_cases(), _garbage_cases())


@st.composite
def _shaped_cases(draw: st.DrawFn) -> Case:
    separator = draw(st.sampled_from(SEPARATORS))
    roles = draw(st.permutations(["user", "item", *draw(st.sampled_from(_OPTIONAL_ROLES))]))
    heading = draw(st.sampled_from(["known", "known", "none", "foreign", "positions"]))
    if heading == "none":
        roles = [role for role in ("user", "item", "rating", "time") if role in roles]
    table = draw(_tables(roles))
    columns: dict[str, str] = {}
    lines: list[bytes] = []
    if heading == "known":
        lines.append(separator.join([draw(_known_names(role)) for role in roles]).encode())
    elif heading == "foreign":
        names = [f"My {role or 'extra'}" for role in roles]
        lines.append(separator.join(f' "{name}:token"' for name in names).encode())
        columns = {role: draw(st.sampled_from([name, name.upper()])) for role, name in zip(roles, names, strict=True)}
    elif heading == "positions":
        columns = {role: str(position) for position, role in enumerate(roles)}
    columns.pop("", None)
    lines += [draw(_lines(row, separator)) for row in table]
    if draw(_rarely()):
        lines *= draw(st.sampled_from([2, 50]))  # header again as a row; more rows than the probe looks at
    explicit = separator in ("~", "||") or draw(_rarely())
    settings = draw(_settings())
    settings["separator"] = separator if explicit else ""
    settings["columns"] = tuple(sorted(columns.items()))
    return Case(draw(_joined(lines)), TransformSettings(**settings))


@st.composite
def _garbage_cases(draw: st.DrawFn) -> Case:
    """Rows of pieces that mean something to a parser, in no order that means something."""
    pieces = st.sampled_from(
        (b'1|2|17|-|+|.|e|0|999999999999999999|,|,|\t| |"|""|\r|\x00|\xff|\xc3\xa9|a|::|;|user|item|time').split(b"|")
    )
    line = st.lists(pieces, max_size=9).map(b"".join)
    row = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-5, 5)).map(lambda row: b"%d,%d,%d" % row)
    lines = draw(st.lists(st.one_of(row, row, line), min_size=1, max_size=8))
    return Case(draw(_joined(lines)), TransformSettings(**draw(_settings())))


_OPTIONAL_ROLES: Final = (
    ("rating", "time"),
    ("rating", "time"),
    ("time",),
    ("rating",),
    (),
    ("", "time"),
    ("rating", "", "time"),
)


def _rarely() -> st.SearchStrategy[bool]:
    return st.integers(0, 9).map(lambda value: value == 9)


def _known_names(role: str) -> st.SearchStrategy[str]:
    """A header's field: a known name in some case, with a suffix or quotes; any name for a column of no role."""
    name = st.sampled_from(NAMES.get(role, ("comment",)))
    cased = st.one_of(name, name, name.map(str.upper))
    form = st.sampled_from(["{}", "{}", '"{}"', ' "{} "', "{}:token", "{}:float"])
    return st.builds(str.format, form, cased)


# --- values: a small pool a column, so that users, items, times and whole rows come again ----------------------------


def _integer_ids() -> st.SearchStrategy[bytes]:
    numbers = st.one_of(
        st.integers(0, 9),
        st.integers(-3, 3),
        st.integers(2**24 - 2, 2**24 + 2),
        st.integers(2**31 - 2, 2**32 + 2),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from([-(2**63), 2**63 - 1, -(2**63) + 1, 10**18]),
    )
    return st.tuples(numbers, st.sampled_from(["{}", "{}", "{}", "+{}", "00{}"])).map(
        lambda pair: (pair[1] if pair[0] >= 0 else "{}").format(pair[0]).encode()
    )


def _string_ids() -> st.SearchStrategy[bytes]:
    alphabet = st.sampled_from(
        ["a", "b", "Z", "7", " ", '"', ",", ";", ":", "\t", "é", "日", "𝄞", "\r", "\x00", "\u2028"]
    )
    return st.one_of(
        st.sampled_from([b"u1", b"B000", b"caf\xc3\xa9", b"cafe\xcc\x81", b"x" * 300]),
        st.text(alphabet, min_size=1, max_size=5).map(str.encode),
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=4).map(str.encode),
    )


def _ratings() -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.sampled_from([b"1", b"3.5", b"5", b"4.0"]),
        st.sampled_from(
            [b"", b".5", b"5.", b"-0.0", b"-0", b"1e400", b"-1e-400", b"4.9e-324", b"1E5", b"nan", b"0x1p3"]
        ),
        st.sampled_from(
            [b"1e308", b"2e308", b"+3", b"9007199254740993", b"0.1000000000000000055511151231257827", b"1e00000"]
        ),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: repr(value).encode()),
        st.decimals(-100, 100, places=20).map(lambda value: str(value).encode()),
    )


def _times() -> st.SearchStrategy[list[bytes]]:
    """A pool of times: one second, a dense stretch, a wide one, some unit, extremes."""
    near = st.integers(-3, 3)
    unit = st.sampled_from([1, 1, 10**3, 10**6, 10**9])
    around = st.builds(
        lambda base, steps, unit: [(base + step) * unit for step in steps],
        st.sampled_from([0, 5, 978_300_760, 1_700_000_000, -86_400]),
        st.one_of(
            st.lists(near, min_size=1, max_size=6), st.lists(st.integers(-(10**7), 10**8), min_size=1, max_size=8)
        ),
        unit,
    )
    anywhere = st.lists(
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**63 - 1, -(2**63), 0, 2**63 - 2])),
        min_size=1,
        max_size=6,
    )
    whole = st.one_of(around, around, anywhere).map(lambda times: [b"%d" % time for time in times])
    styled = st.lists(
        st.one_of(
            st.sampled_from(
                [b"978300760.5", b"9.7830076e8", b"-0.5", b"1e3", b"1.5E+2", b".5", b"12e-1", b"+5", b"0e9999"]
            ),
            st.sampled_from(
                [b"", b"1e19", b"9223372036854775807.9", b"-9223372036854775808.5", b"1e-9999", b"-1e-9999"]
            ),
            st.sampled_from([b"1_0", b"inf", b"0x10", b"1e", b"-", b"12 34", b"1e12345", b"9" * 25, b"0" * 40 + b"7"]),
            st.decimals(-(10**10), 10**10, places=3).map(lambda value: str(value).encode()),
        ),
        min_size=1,
        max_size=4,
    )
    mixed = st.builds(lambda whole, styled: whole + styled, whole, styled)
    return st.one_of(whole, whole, whole, mixed)


def _pool(values: st.SearchStrategy[bytes], largest: int) -> st.SearchStrategy[list[bytes]]:
    return st.lists(values, min_size=1, max_size=largest)


@st.composite
def _tables(draw: st.DrawFn, roles: Sequence[str]) -> list[list[bytes]]:
    """Rows of fields, each drawn from its column's pool."""
    pools: list[list[bytes]] = []
    for role in roles:
        match role:
            case "user" | "item":
                ids = draw(st.sampled_from(["integer", "integer", "string", "mixed"]))
                parts = {"integer": [_integer_ids()], "string": [_string_ids()]}
                pools.append(draw(_pool(st.one_of(*parts.get(ids, [_integer_ids(), _string_ids()])), 6)))
            case "rating":
                pools.append(draw(_pool(_ratings(), 4)))
            case "time":
                pools.append(draw(_times()))
            case _:
                pools.append([b"extra", b""])
    size = draw(st.sampled_from([1, 4, 8, 12, 20, 40]))
    picks = st.tuples(*(st.integers(0, len(pool) - 1) for pool in pools))
    rows = draw(st.lists(picks, min_size=size, max_size=size))
    return [[pool[pick] for pool, pick in zip(pools, row, strict=True)] for row in rows]


# --- lines: how a row is written, cleanly or not ---------------------------------------------------------------------


@st.composite
def _lines(draw: st.DrawFn, row: list[bytes], separator: str) -> bytes:
    style = draw(st.sampled_from(["plain"] * 6 + ["quoted", "spaced", "dirty", "dirty"]))
    mark = separator.encode()
    fields = [_written(field, mark) for field in row]
    if style == "quoted":
        fields = [_quoted(field) for field in row]
    elif style == "spaced" and separator not in (" ", "\t"):
        fields = [b" " + field + b"\t " for field in fields]
    line = mark.join(fields)
    return draw(_dirt(line, fields, mark)) if style == "dirty" else line


def _written(field: bytes, mark: bytes) -> bytes:
    """As a careful writer would: quoted where it must be."""
    special = mark in field or b'"' in field or field != field.strip(b" \t\r") or not field
    return _quoted(field) if special and field else field


def _quoted(field: bytes) -> bytes:
    return b'"' + field.replace(b'"', b'""') + b'"'


@st.composite
def _dirt(draw: st.DrawFn, line: bytes, fields: list[bytes], mark: bytes) -> bytes:
    """One thing wrong with a line (or only odd)."""
    at = draw(st.integers(0, len(fields) - 1))

    def with_field(text: bytes) -> bytes:
        return mark.join([*fields[:at], text, *fields[at + 1 :]])

    kinds: list[Callable[[], bytes]] = [
        lambda: mark.join(fields[:at]),
        lambda: line + mark + b"more" + mark,
        lambda: with_field(b""),
        lambda: with_field(b'""'),
        lambda: with_field(b'" "'),
        lambda: with_field(b'"' + fields[at]),
        lambda: with_field(b'"1" x'),
        lambda: with_field(b'1"2'),
        lambda: with_field(b"\xff\xfe" + fields[at]),
        lambda: with_field(b"\x00"),
        lambda: with_field(b"9223372036854775808"),
        lambda: with_field(b"-9223372036854775809"),
        lambda: with_field(b"0" * 30 + b"1"),
        lambda: line[: len(line) // 2],
        lambda: mark + line,
        lambda: b" \t" + line + b" ",
        lambda: line + b"\r\r",
        lambda: b"\xef\xbb\xbf" + line,
        lambda: b"\xed\xa0\x80" + line,
        lambda: line + "é".encode() * 250,
        lambda: draw(st.binary(max_size=12)).replace(b"\n", b""),
    ]
    return kinds[draw(st.integers(0, len(kinds) - 1))]()


@st.composite
def _joined(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    ends = draw(st.sampled_from([[b"\n"], [b"\n"], [b"\r\n"], [b"\n", b"\r\n", b"\n\n", b"\n \t\n", b"\r\n\r\n"]]))
    log = b"".join(line + ends[(7 * number + len(line)) % len(ends)] for number, line in enumerate(lines))
    if draw(st.booleans()):
        log = log.removesuffix(b"\n")
    prefix = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\n", b"\xef\xbb\xbf\r\n  \n"]))
    return prefix + log


# --- settings --------------------------------------------------------------------------------------------------------


@st.composite
def _settings(draw: st.DrawFn) -> dict[str, Any]:
    """Keyword arguments of TransformSettings, but for separator and columns."""
    plain: dict[str, Any] = {
        "name": draw(st.sampled_from(["log", "ml-1m.v2_x"])),
        "max_reject_share": draw(st.sampled_from([1.0] * 8 + [0.0, 0.5])),
        "ids": draw(st.sampled_from(["auto"] * 5 + ["integer", "string"])),
        "time_unit": draw(st.sampled_from(["auto"] * 5 + ["s", "ms", "us", "ns"])),
        "ties": draw(st.sampled_from(["input", "shuffle"])),
        "seed": draw(st.sampled_from([0, 1, 2**63 - 1])),
        "split": draw(st.sampled_from(["time", "time", "time", "leave-one-out", "ratio", "random"])),
        "fractions": draw(st.sampled_from(SHARES)),
    }
    if draw(_rarely()):
        plain["min_rating"] = draw(st.sampled_from([0.0, 3.0, 4.5]))
    if draw(_rarely()):
        plain["since"] = draw(st.sampled_from([-100_000, 0, 978_300_760]))
    if draw(_rarely()):
        plain["until"] = draw(st.sampled_from([10**9, 2 * 10**9, 2**63 - 1]))
    if draw(_rarely()):
        plain["min_user_events"] = draw(st.integers(0, 3))
        plain["min_item_events"] = draw(st.integers(0, 3))
    if plain["split"] == "time":
        kind = draw(st.sampled_from(["fractions"] * 4 + ["cuts", "rolling"]))
        if kind == "cuts":
            instants = st.sampled_from([-86_400, 0, 3, 5, 7, 978_300_759, 978_300_761, 1_700_000_001, 2**63 - 1])
            plain["cuts"] = tuple(sorted(draw(st.tuples(instants, instants))))
        elif kind == "rolling":
            plain["rolling"] = draw(st.integers(1, 4))
    return plain
