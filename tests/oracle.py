"""docs/format.md as slow, plain Python: what transform must make of a log, written apart from the kernel.

Read top to bottom it follows the page section by section; nothing here is clever, and nothing is shared with the
package but the words of its schema (settings, certificate, errors).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from statistics import median_low
from typing import TYPE_CHECKING, Final, NamedTuple

from matinee.errors import MatineeError, SourceFormatError, TooManyRejectsError, UsageError
from matinee.schema.certificate import Certificate, Reading, SplitFacts, Timeline
from matinee.schema.layout import SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matinee.schema.transform_settings import TransformSettings

__all__ = ["Event", "Expected", "RawId", "expect"]

RawId = int | str

_INT64: Final = range(-(2**63), 2**63)
_MASK: Final = 2**64 - 1


class Event(NamedTuple):
    """A row of the events files; user and item are dense ids."""

    user: int
    item: int
    rating: float | None
    time: int


@dataclass(frozen=True)
class Expected:
    """Everything a version holds, as plain values; `certificate.version` and its warnings are left empty."""

    text: dict[Split, bytes]
    events: dict[Split, list[Event]]
    has_rating: bool
    users: list[RawId]
    items: list[RawId]
    users_sha256: str
    items_sha256: str
    sequences: dict[Split, tuple[list[int], list[int]]]  # offsets, items
    rejects: bytes
    folds: list[dict[str, int]] | None
    certificate: Certificate


def expect(log: bytes, settings: TransformSettings) -> Expected | type[MatineeError]:
    """What transform makes of the log, or the class of the error it ends with."""
    try:
        return _version(log, settings)
    except MatineeError as error:
        return type(error)


@dataclass(frozen=True)
class _Row:
    """A readable row (ids raw), later an event."""

    user: RawId
    item: RawId
    rating: float | None
    time: int


def _version(log: bytes, settings: TransformSettings) -> Expected:
    _check_usage(settings)
    lines = _lines(log)
    dialect = _dialect(lines, settings)
    rows, rejects = _rows(lines, dialect, settings)
    events, reading = _left(rows, rejects, dialect, settings)
    events = _ordered(events, settings)
    users, items = _first_appearances(row.user for row in events), _first_appearances(row.item for row in events)
    dense = [Event(users[row.user], items[row.item], row.rating, row.time) for row in events]
    splits, cuts = _splits(dense, settings)
    if not splits["train"]:
        raise SourceFormatError("train is empty")
    return Expected(
        text={split: b"".join(b"%d\t%d\n" % (event.user, event.item) for event in splits[split]) for split in SPLITS},
        events=splits,
        has_rating="rating" in dialect.positions,
        users=list(users),
        items=list(items),
        users_sha256=_id_map_sha256(list(users), dialect.user_kind),
        items_sha256=_id_map_sha256(list(items), dialect.item_kind),
        sequences={split: _sequences(splits[split], len(users)) for split in SPLITS},
        rejects=_rejects_csv(rejects),
        folds=_folds(dense, settings) if settings.rolling else None,
        certificate=_certificate(dense, splits, cuts, reading, settings),
    )


def _check_usage(settings: TransformSettings) -> None:
    if settings.columns:
        roles = dict(settings.columns)
        positions = [_is_position(column) for column in roles.values()]
        if not {"user", "item"} <= set(roles) or (any(positions) and not all(positions)):
            raise UsageError("--columns")
    train, _, test = settings.exact_fractions
    if settings.rolling and (test <= 0 or train - (settings.rolling - 1) * test <= 0):
        raise UsageError("--rolling")


def _is_position(column: str) -> bool:
    return re.fullmatch("[0-9]+", column) is not None


# --- 1. Lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    number: int
    text: bytes


def _lines(log: bytes) -> list[_Line]:
    """The lines that are not blank."""
    pieces = log.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [_Line(number, piece.removesuffix(b"\r")) for number, piece in enumerate(pieces, 1)]
    return [line for line in lines if line.text.strip(b" \t")]


def _check_lengths(lines: list[_Line]) -> None:
    if any(len(line.text) > 1 << 20 for line in lines):
        raise SourceFormatError("a line is too long")


# --- 2. Dialect -----------------------------------------------------------------------------------------------------

_SEPARATORS: Final = (b"::", b"\t", b",", b";", b"|", b" ")
_KNOWN: Final = {
    "user": "user userid user_id uid reviewerid reviewer_id visitorid visitor_id customer_id customerid",
    "item": "item itemid item_id iid movieid movie_id asin parent_asin productid product_id artist_id track_id "
    "business_id",
    "rating": "rating score stars overall weight",
    "time": "time timestamp ts datetime_unix unixreviewtime unix_time unix_timestamp",
}
_INTEGER: Final = re.compile(rb"[+-]?[0-9]+")
_DECIMAL: Final = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


class _BrokenQuotes(Exception):  # noqa: N818 - no error of the program: it turns a row into a reject
    pass


@dataclass(frozen=True)
class _Dialect:
    separator: bytes
    header: bool
    positions: dict[str, int]  # role -> column
    columns: dict[str, str]  # the same, as the certificate shows it
    user_kind: str
    item_kind: str
    time_unit: str


def _dialect(lines: list[_Line], settings: TransformSettings) -> _Dialect:
    if not lines:
        raise SourceFormatError("nothing but blank lines")
    first = lines[0].text
    separator = settings.separator.encode() or _detected_separator(first)
    header, positions, columns = _columns(first, separator, dict(settings.columns))
    probe = [fields for line in lines[header : header + 1000] if (fields := _split_or_none(line.text, separator))]
    if len(lines) == header:
        raise SourceFormatError("a header and no data row")
    return _Dialect(
        separator=separator,
        header=header,
        positions=positions,
        columns=columns,
        user_kind=_id_kind(probe, positions["user"], settings),
        item_kind=_id_kind(probe, positions["item"], settings),
        time_unit=_time_unit(probe, positions.get("time"), settings),
    )


def _detected_separator(line: bytes) -> bytes:
    outside = b'"'.join(line.split(b'"')[::2])  # the pieces after an even number of quotes
    for separator in _SEPARATORS:
        if separator in outside:
            return separator
    raise SourceFormatError("no separator")


@dataclass(frozen=True)
class _Field:
    raw: bytes  # quotes undone; unquoted text without blanks at its ends

    @property
    def number(self) -> bytes:
        """The text where a number is expected: without blanks at its ends even if quoted."""
        return self.raw.strip(b" \t")


def _split(line: bytes, separator: bytes) -> list[_Field]:
    """The fields of a line; raises _BrokenQuotes."""
    if separator == b" ":
        line = line.strip(b" ")
    fields, at = [], 0
    while True:
        at = _skip_blanks(line, at, separator)
        if line.startswith(b'"', at):
            text, at = _quoted(line, at + 1)
            at = _skip_blanks(line, at, separator)
            if at < len(line) and not line.startswith(separator, at):
                raise _BrokenQuotes
        else:
            end = line.find(separator, at)
            start, at = at, end if end >= 0 else len(line)
            text = line[start:at].strip(b" \t")
        fields.append(_Field(text))
        if at == len(line):
            return fields
        at += len(separator)
        while separator == b" " and line.startswith(b" ", at):
            at += 1


def _skip_blanks(line: bytes, at: int, separator: bytes) -> int:
    while line[at : at + 1] in (b" ", b"\t") and not line.startswith(separator, at):
        at += 1
    return at


def _quoted(line: bytes, at: int) -> tuple[bytes, int]:
    """The text of a quoted field whose opening quote lies before `at`, and the place after its closing quote."""
    text = b""
    while (quote := line.find(b'"', at)) >= 0:
        text += line[at:quote]
        if not line.startswith(b'""', quote):
            return text, quote + 1
        text += b'"'
        at = quote + 2
    raise _BrokenQuotes


def _split_or_none(line: bytes, separator: bytes) -> list[_Field] | None:
    try:
        return _split(line, separator)
    except _BrokenQuotes:
        return None


def _columns(first: bytes, separator: bytes, wanted: dict[str, str]) -> tuple[bool, dict[str, int], dict[str, str]]:
    """Whether the first line is a header, role -> position, and role -> name or position as text."""
    fields = _split_or_none(first, separator)
    names = [_plain_name(field.raw.decode("utf-8", "replace")) for field in fields or []]
    known = {role: _leftmost(names, known.split()) for role, known in _KNOWN.items()}
    if wanted and not any(map(_is_position, wanted.values())):
        found = {role: _leftmost(names, [_plain_name(name)]) for role, name in wanted.items()}
        positions = {role: position for role, position in found.items() if position is not None}
        if len(positions) < len(wanted):
            raise SourceFormatError("a column named by --columns is not in the header")
        return True, positions, _spelled(fields, positions)
    header = known["user"] is not None and known["item"] is not None
    if wanted:
        positions = {role: int(position) for role, position in wanted.items()}
        return header, positions, {role: str(position) for role, position in positions.items()}
    if fields is None:
        raise SourceFormatError("the first line has broken quotes")
    if header:
        positions = {role: position for role, position in known.items() if position is not None}
        return True, positions, _spelled(fields, positions)
    positions = _columns_by_position(fields)
    columns = {role: str(position) for role, position in positions.items()}
    try:
        _row(first, _Dialect(separator, False, positions, columns, "string", "string", "s"), index=0)
    except _Rejected as reason:
        if "is not a number" in str(reason):
            raise SourceFormatError("this looks like a header without known names") from None
    return False, positions, columns


def _plain_name(name: str) -> str:
    return name.strip(" \t").lower().removesuffix(":token").removesuffix(":float")


def _leftmost(names: list[str], known: list[str]) -> int | None:
    return next((position for position, name in enumerate(names) if name in known), None)


def _spelled(fields: list[_Field] | None, positions: dict[str, int]) -> dict[str, str]:
    assert fields is not None
    return {role: fields[at].raw.decode("utf-8", "replace").strip(" \t") for role, at in positions.items()}


def _columns_by_position(fields: list[_Field]) -> dict[str, int]:
    if len(fields) < 2:
        raise SourceFormatError("a single column")
    if len(fields) == 2:
        return {"user": 0, "item": 1}
    if len(fields) == 3:
        text = fields[2].number
        is_time = _DECIMAL.fullmatch(text) and 100_000_000 <= math.floor(Decimal(text.decode())) < 2**63
        return {"user": 0, "item": 1, "time" if is_time else "rating": 2}
    return {"user": 0, "item": 1, "rating": 2, "time": 3}


def _id_kind(probe: list[list[_Field]], position: int, settings: TransformSettings) -> str:
    if settings.ids != "auto":
        return settings.ids
    texts = [fields[position].number for fields in probe if position < len(fields)]
    integers = [_INTEGER.fullmatch(text) and _int64(text) is not None for text in texts if text]
    return "integer" if all(integers) else "string"


def _int64(text: bytes) -> int | None:
    """The integer, None outside int64; `text` may be longer than Python's int() takes."""
    if len(text.lstrip(b"+-0")) > 19:
        return None
    value = int(text)
    return value if value in _INT64 else None


def _time_unit(probe: list[list[_Field]], position: int | None, settings: TransformSettings) -> str:
    if position is None:
        return "row"
    if settings.time_unit != "auto":
        return settings.time_unit
    texts = [fields[position].number for fields in probe if position < len(fields)]
    times = [math.floor(Decimal(text.decode())) for text in texts if _DECIMAL.fullmatch(text)]
    middle = median_low([abs(time) for time in times if time in _INT64] or [0])
    return "s" if middle < 10**11 else "ms" if middle < 10**14 else "us" if middle < 10**17 else "ns"


# --- 3. Rows --------------------------------------------------------------------------------------------------------

_UNIT: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class _Reject:
    line: _Line
    reason: str


class _Rejected(Exception):  # noqa: N818 - see _BrokenQuotes
    pass


def _rows(lines: list[_Line], dialect: _Dialect, settings: TransformSettings) -> tuple[list[_Row], list[_Reject]]:
    _check_lengths(lines)
    rows: list[_Row] = []
    rejects: list[_Reject] = []
    for line in lines[dialect.header :]:
        try:
            rows.append(_row(line.text, dialect, index=len(rows)))
        except _Rejected as reason:
            rejects.append(_Reject(line, str(reason)))
    if len(rejects) > settings.max_reject_share * (len(rows) + len(rejects)):
        raise TooManyRejectsError(f"{len(rejects)} rejects")
    return rows, rejects


def _row(line: bytes, dialect: _Dialect, index: int) -> _Row:
    try:
        fields = _split(line, dialect.separator)
    except _BrokenQuotes:
        raise _Rejected("unclosed quote") from None
    needed = max(dialect.positions.values()) + 1
    if len(fields) < needed:
        raise _Rejected(f"has {len(fields)} columns, needs {needed}")
    at = dialect.positions
    return _Row(
        user=_raw_id("user", fields[at["user"]], dialect.user_kind),
        item=_raw_id("item", fields[at["item"]], dialect.item_kind),
        rating=_rating(fields[at["rating"]].number) if "rating" in at else None,
        time=_time(fields[at["time"]].number, dialect.time_unit) if "time" in at else index,
    )


def _raw_id(role: str, field: _Field, kind: str) -> RawId:
    text = field.number if kind == "integer" else field.raw
    if not text:
        raise _Rejected(f"{role} is empty")
    if kind == "string":
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            raise _Rejected(f"{role} is not UTF-8") from None
    if not _INTEGER.fullmatch(text):
        raise _Rejected(f"{role} is not an integer")
    value = _int64(text)
    if value is None:
        raise _Rejected(f"{role} is outside int64")
    return value


def _rating(text: bytes) -> float | None:
    if not text:
        return None
    if not _DECIMAL.fullmatch(text) or math.isinf(float(text)):
        raise _Rejected("rating is not a number")
    return float(text) or 0.0  # -0.0 becomes 0.0


def _time(text: bytes, unit: str) -> int:
    if not text:
        raise _Rejected("time is empty")
    if not _DECIMAL.fullmatch(text):
        raise _Rejected("time is not a number")
    value = math.floor(Decimal(text.decode()))
    if value not in _INT64:
        raise _Rejected("time is outside int64")
    return value // _UNIT[unit]


def _rejects_csv(rejects: list[_Reject]) -> bytes:
    rows = ["line,reason,text"]
    for reject in rejects:
        text = reject.line.text.decode("utf-8", "replace")[:200]
        rows.append(",".join(map(_csv_field, (str(reject.line.number), reject.reason, text))))
    return "".join(row + "\n" for row in rows).encode()


def _csv_field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(special in text for special in ',"\r\n') else text


# --- 4. What is left out --------------------------------------------------------------------------------------------


def _left(
    rows: list[_Row], rejects: list[_Reject], dialect: _Dialect, settings: TransformSettings
) -> tuple[list[_Row], Reading]:
    floor, since, until = settings.min_rating, settings.since, settings.until
    rated = [row for row in rows if floor is None or (row.rating is not None and row.rating >= floor)]
    inside = [row for row in rated if (since is None or row.time >= since) and (until is None or row.time < until)]
    single = list(dict.fromkeys(inside))
    events, rounds = _core(single, settings.min_user_events, settings.min_item_events)
    if not events:
        raise SourceFormatError("no event left")
    return events, Reading(
        rows=len(rows) + len(rejects),
        rejects=len(rejects),
        below_rating=len(rows) - len(rated),
        outside_range=len(rated) - len(inside),
        repeats=len(inside) - len(single),
        below_core=len(single) - len(events),
        core_rounds=rounds,
        events=len(events),
        separator=dialect.separator.decode(),
        header=dialect.header,
        columns=dialect.columns,
        user_kind=dialect.user_kind,
        item_kind=dialect.item_kind,
        time_unit=dialect.time_unit,
        reject_reasons=dict(Counter(reject.reason for reject in rejects)),
    )


def _core(events: list[_Row], min_user_events: int, min_item_events: int) -> tuple[list[_Row], int]:
    rounds = 0
    while True:
        by_user, by_item = Counter(row.user for row in events), Counter(row.item for row in events)
        stay = [r for r in events if by_user[r.user] >= min_user_events and by_item[r.item] >= min_item_events]
        if len(stay) == len(events):
            return events, rounds
        events, rounds = stay, rounds + 1


# --- 5. Order -------------------------------------------------------------------------------------------------------


def _ordered(events: list[_Row], settings: TransformSettings) -> list[_Row]:
    events = sorted(events, key=lambda row: row.time)
    if settings.ties == "input":
        return events
    shuffled: list[_Row] = []
    for time, tie in groupby(events, key=lambda row: row.time):
        base = settings.seed * 0x9E3779B97F4A7C15 + time * 0xBF58476D1CE4E5B9
        keyed = [(_mix(base + index * 0x94D049BB133111EB), index, row) for index, row in enumerate(tie)]
        shuffled += [row for _, _, row in sorted(keyed, key=lambda entry: entry[:2])]
    return shuffled


def _mix(z: int) -> int:
    z &= _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


# --- 6. Ids ---------------------------------------------------------------------------------------------------------


def _first_appearances(raw: Iterable[RawId]) -> dict[RawId, int]:
    return {value: dense for dense, value in enumerate(dict.fromkeys(raw), 1)}


def _id_map_sha256(raw: list[RawId], kind: str) -> str:
    digest = hashlib.sha256(kind.encode() + b"\n")
    for value in raw:
        digest.update(value.to_bytes(8, "little", signed=True) if isinstance(value, int) else value.encode() + b"\n")
    return digest.hexdigest()


# --- 7. Splits ------------------------------------------------------------------------------------------------------


def _splits(events: list[Event], settings: TransformSettings) -> tuple[dict[Split, list[Event]], tuple[int, ...]]:
    """The splits, and for a split by time the first instants of eval and test."""
    places, instants = _places(events, settings)
    splits: dict[Split, list[Event]] = {split: [] for split in SPLITS}
    for event, place in zip(events, places, strict=True):
        splits[SPLITS[place]].append(event)
    return splits, instants


def _places(events: list[Event], settings: TransformSettings) -> tuple[list[int], tuple[int, ...]]:
    """Each event's split (0 train, 1 eval, 2 test) and the cuts' instants."""
    train, evaluation, _ = settings.exact_fractions
    shares = (train, train + evaluation)
    if settings.split == "time":
        times = [event.time for event in events]
        instants = settings.cuts or tuple(_instant(times, _cut(times, share)) for share in shares)
        return [sum(time >= instant for instant in instants) for time in times], instants
    if settings.split == "random":
        return [_random_place(position, shares, settings.seed) for position in range(len(events))], ()
    place = _last_place if settings.split == "leave-one-out" else _ratio_place(shares)
    lengths = Counter(event.user for event in events)
    return [place(rank, lengths[event.user]) for rank, event in zip(_ranks(events), events, strict=True)], ()


def _cut(times: Sequence[int], share: Fraction) -> int:
    """The first position c >= floor(share * N) with c = 0, c = N or times[c - 1] < times[c]."""
    position = math.floor(share * len(times))
    while 0 < position < len(times) and times[position - 1] == times[position]:
        position += 1
    return position


def _instant(times: Sequence[int], position: int) -> int:
    return times[position] if position < len(times) else times[-1] + 1


def _random_place(position: int, shares: tuple[Fraction, Fraction], seed: int) -> int:
    h = _mix(seed * 0x9E3779B97F4A7C15 + position * 0xBF58476D1CE4E5B9 + 0x632BE59BD9B4E019)
    return sum(h >= math.floor(share * 2**64) for share in shares)


def _ranks(events: list[Event]) -> list[int]:
    """How many events the same user has before each event."""
    seen: Counter[int] = Counter()
    ranks = []
    for event in events:
        ranks.append(seen[event.user])
        seen[event.user] += 1
    return ranks


def _last_place(rank: int, length: int) -> int:
    return 0 if length < 3 else max(0, rank - (length - 3))


def _ratio_place(shares: tuple[Fraction, Fraction]) -> Callable[[int, int], int]:
    return lambda rank, length: sum(rank >= math.floor(share * length) for share in shares)


def _folds(events: list[Event], settings: TransformSettings) -> list[dict[str, int]]:
    times = [event.time for event in events]
    train, evaluation, test = settings.exact_fractions
    folds = []
    for fold in range(1, settings.rolling + 1):
        back = (settings.rolling - fold) * test
        ends = [_cut(times, share - back) for share in (train, train + evaluation, Fraction(1))]
        folds.append(dict(zip(("train_end", "eval_end", "test_end"), ends, strict=True)))
    return folds


# --- 8. Files -------------------------------------------------------------------------------------------------------


def _sequences(events: list[Event], users: int) -> tuple[list[int], list[int]]:
    items: dict[int, list[int]] = {user: [] for user in range(users + 1)}
    for event in events:
        items[event.user].append(event.item)
    offsets = [0]
    for user in range(users + 1):
        offsets.append(offsets[-1] + len(items[user]))
    return offsets, [item for user in range(users + 1) for item in items[user]]


# --- 9. The certificate's numbers -----------------------------------------------------------------------------------


def _certificate(
    events: list[Event],
    splits: dict[Split, list[Event]],
    cuts: tuple[int, ...],
    reading: Reading,
    settings: TransformSettings,
) -> Certificate:
    at_time = Counter(event.time for event in events)
    by_item, by_user = Counter(event.item for event in events), Counter(event.user for event in events)
    facts = {split: _split_facts(splits[split], splits["train"], settings) for split in SPLITS}
    return Certificate(
        version="",
        name=settings.name,
        split=settings.split,
        cuts=cuts,
        ties=settings.ties,
        tied_events=sum(count for count in at_time.values() if count > 1),
        users=len(by_user),
        items=len(by_item),
        train=replace(facts["train"], before_train=0),
        eval=facts["eval"],
        test=facts["test"],
        reading=reading,
        timeline=_timeline(events, splits, settings),
        popularity=_popularity(sorted(by_item.values(), reverse=True)),
        lengths=_lengths(list(by_user.values())),
        warnings=(),
    )


def _split_facts(events: list[Event], train: list[Event], settings: TransformSettings) -> SplitFacts:
    warm_users, warm_items = {event.user for event in train}, {event.item for event in train}
    users, items = {event.user for event in events}, {event.item for event in events}
    times = [event.time for event in events]
    last_train = max(event.time for event in train)
    cold_both = sum(event.user not in warm_users and event.item not in warm_items for event in events)
    return SplitFacts(
        rows=len(events),
        users=len(users),
        items=len(items),
        first=min(times, default=None),
        last=max(times, default=None),
        cold_users=len(users - warm_users),
        cold_items=len(items - warm_items),
        by_cold_users=sum(event.user not in warm_users for event in events),
        on_cold_items=sum(event.item not in warm_items for event in events),
        cold_both=cold_both if settings.split == "time" else None,
        before_train=sum(time < last_train for time in times),
    )


def _timeline(events: list[Event], splits: dict[Split, list[Event]], settings: TransformSettings) -> Timeline:
    first, last = events[0][3], events[-1][3]
    width = max(1, -(-(last - first + 1) // 200))
    edges = [first]
    while edges[-1] <= last:
        edges.append(edges[-1] + width)

    def binned(chosen: Iterable[Event]) -> tuple[int, ...]:
        counts = Counter((event.time - first) // width for event in chosen)
        return tuple(counts[position] for position in range(len(edges) - 1))

    if settings.split != "time":
        return Timeline(tuple(edges), binned(events), (), ())
    last_user = max(event.user for event in splits["train"])
    last_item = max(event.item for event in splits["train"])
    return Timeline(
        edges=tuple(edges),
        events=binned(events),
        by_cold_users=binned(event for event in events if event.user > last_user),
        on_cold_items=binned(event for event in events if event.item > last_item),
    )


def _log_spaced(largest: int) -> list[int]:
    """1 to `largest` in at most 200 steps that grow by a factor."""
    return sorted({1} | {round(10 ** (i * math.log10(largest) / 199)) for i in range(200)})


def _popularity(counts: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((rank, counts[rank - 1]) for rank in _log_spaced(len(counts)))


def _lengths(lengths: list[int]) -> tuple[tuple[int, int], ...]:
    starts = _log_spaced(max(lengths))
    ends = [*starts[1:], max(lengths) + 1]
    counted = [(start, sum(start <= n < end for n in lengths)) for start, end in zip(starts, ends, strict=True)]
    return tuple((start, users) for start, users in counted if users)
