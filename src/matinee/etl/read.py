"""The one pass over the text: chunks of lines to packed runs of events, on all workers, in input order."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TextIO

import numpy as np

from matinee.errors import SourceFormatError, TooManyRejectsError
from matinee.etl.dialect import MAX_LINE_BYTES, PROBE_ROWS, Dialect, detect, line_too_long
from matinee.etl.ids import RawIds
from matinee.etl.order import quantile_bounds
from matinee.etl.parse import Parsed, Reject, Scratch, parse_chunk
from matinee.etl.spill import Events, PackedRun, Spill, TimeBuckets, pack, pack_coded
from matinee.etl.swar import SLACK_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.etl.archive import LogStream
    from matinee.etl.base import Base
    from matinee.etl.tuning import Tuning
    from matinee.schema.progress import Progress
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["Log", "check_rejects", "filtered", "read_head", "read_log", "reject_row"]

_SHOWN_REJECT_CHARACTERS = 200
_CACHED_EVENTS = 40_000  # of a bucket that can be sorted within a core's second-level cache
_MOST_BUCKETS = 4096


@dataclass(slots=True)
class Log:
    """A log that was read: its events by bucket of time, and what was left out so far."""

    dialect: Dialect
    spill: Spill
    users: RawIds
    items: RawIds
    rows: int = 0
    below_rating: int = 0
    outside_range: int = 0
    events: int = 0
    largest_user: int = 0
    largest_item: int = 0
    first: int | None = None
    last: int | None = None
    rejects: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows that could not be read."""
        return self.rejects.total()


def read_log(
    stream: LogStream,
    settings: TransformSettings,
    tuning: Tuning,
    *,
    workers: int,
    folder: Path,
    samples: list[bytes],
    rejects: TextIO,
    progress: Progress,
    base: Base | None = None,
) -> Log:
    """Read a whole log into a spill in `folder`; rejected rows go to `rejects`.

    `samples` are pieces of the text from all over the file, where it can be read out of order: they let the buckets of
    time be chosen well, and change nothing else. The ids and events of `base` come before the log's own.

    Raises:
        SourceFormatError: not a log, or nothing left of it.
        TooManyRejectsError: more unreadable rows than allowed.
    """
    return _Reader(stream, settings, tuning, folder, samples, rejects, progress, base).read(workers)


def read_head(stream: LogStream) -> tuple[bytes, bool]:
    """Enough bytes to decide the dialect (the header and PROBE_ROWS lines that are not blank), or all; is it all?"""
    head = bytearray()
    while head.count(b"\n") <= 2 * PROBE_ROWS + 1:
        piece = bytearray(max(1 << 16, min(len(head), 1 << 22)))
        got = stream.readinto(memoryview(piece))
        if not got:
            return bytes(head), True
        head += piece[:got]
        if (
            len(head) > 4 * MAX_LINE_BYTES
            and len([True for line in head.split(b"\n") if line.strip()]) > PROBE_ROWS + 2
        ):
            break
    return bytes(head), False


def filtered(
    rating: NDArray[np.float64], time: NDArray[np.int64], settings: TransformSettings
) -> tuple[NDArray[np.bool_] | None, int, int]:
    """Which events the filters keep (None: all), how many are below the rating, and of the others outside the times."""
    keep: NDArray[np.bool_] | None = None
    below_rating = outside_range = 0
    if settings.min_rating is not None:
        keep = rating >= settings.min_rating  # false for NaN, which is no rating
        below_rating = int(keep.size - np.count_nonzero(keep))
    if settings.since is not None or settings.until is not None:
        left = time.size - below_rating
        keep = np.ones(time.size, np.bool_) if keep is None else keep
        if settings.since is not None:
            keep &= time >= settings.since
        if settings.until is not None:
            keep &= time < settings.until
        outside_range = left - int(np.count_nonzero(keep))
    return keep, below_rating, outside_range


def reject_row(line: int, reject: Reject) -> str:
    """A row of rejects.csv; `line` is the physical number of its line."""
    text = reject.text.decode(errors="replace")[:_SHOWN_REJECT_CHARACTERS]
    return f"{line},{_quoted(reject.reason)},{_quoted(text)}\n"


def check_rejects(rows: int, rejects: Counter[str], allowed: float) -> None:
    """Raise TooManyRejectsError where more than the share `allowed` of all rows are rejects."""
    rejected = rejects.total()
    if rejected <= allowed * rows:
        return
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in rejects.most_common(3))
    raise TooManyRejectsError(
        f"{rejected:,} of {rows:,} rows cannot be read ({reasons}), allowed is a share of {allowed:g}; "
        f"correct --columns, --sep or --ids, or raise --max-reject-share"
    )


@dataclass(frozen=True, slots=True)
class _Packed:
    """A chunk's run, and how many of its events the filters left out."""

    run: PackedRun
    below_rating: int = 0
    outside_range: int = 0


class _Reader:
    """Workers take chunks under one lock, parse them side by side, and hand in their runs in turn."""

    def __init__(
        self,
        stream: LogStream,
        settings: TransformSettings,
        tuning: Tuning,
        folder: Path,
        samples: list[bytes],
        rejects: TextIO,
        progress: Progress,
        base: Base | None,
    ) -> None:
        self._stream, self._settings, self._tuning = stream, settings, tuning
        self._progress, self._base = progress, base
        self._rest, self._ended = read_head(stream)
        dialect = detect(self._rest, settings)
        if base is not None:
            dialect = base.read_as(dialect)
        self._rest = self._rest[dialect.data_offset :]
        if dialect.time_unit not in {"s", "row"} and settings.time_unit == "auto":
            progress.say(f"timestamps look like {dialect.time_unit}: divided to seconds (--time-unit says otherwise)")
        self._line = dialect.data_line
        self._accepted = 0
        self._next_chunk = 0
        self._turn = 0
        self._told = 0
        self._taking = threading.Lock()
        self._interning = threading.Lock()
        self._handing_in = threading.Condition()
        self._failure: BaseException | None = None
        self._buckets = TimeBuckets(self._choose_bounds(dialect, samples))
        self._rejects = rejects
        rejects.write("line,reason,text\n")
        columns = dialect.columns
        users, items = RawIds(integer=columns.user_is_integer), RawIds(integer=columns.item_is_integer)
        if base is not None:
            users, items = base.raw_ids()
        self._log = Log(dialect, Spill(self._buckets, folder, tuning.block_bytes), users, items)

    def read(self, workers: int) -> Log:
        """Run the pass."""
        self._progress.start("read", self._stream.total_bytes, "bytes")
        try:
            if self._base is not None:
                self._take_in(self._base)
            with ThreadPoolExecutor(workers) as pool:
                for done in [pool.submit(self._work) for _ in range(workers)]:
                    done.result()
        except BaseException:
            self._log.spill.close()
            raise
        log = self._log
        try:
            check_rejects(log.rows, log.rejects, self._settings.max_reject_share)
        except TooManyRejectsError:
            log.spill.close()
            raise
        self._progress.finish(f"{log.rows:,} rows, {log.rejected:,} rejected")
        if log.rows == 0 or log.events == 0:
            log.spill.close()
            raise SourceFormatError(
                f"no event is left of {log.rows:,} rows: {log.rejected:,} rejected, {log.below_rating:,} below "
                f"--min-rating, {log.outside_range:,} outside --since/--until; loosen the filters"
            )
        if self._base is not None:  # not before the log has been judged by its own rows
            log.rows, log.events = log.rows + self._base.events, log.events + self._base.events
        return log

    def _take_in(self, base: Base) -> None:
        """The events of the base, before all others."""
        for events in base.batches(self._log.users, self._log.items):
            run = pack(events, self._buckets.of(events.time), self._buckets.count)
            self._log.spill.append(run)
            self._note_extremes(run)

    def _choose_bounds(self, dialect: Dialect, samples: list[bytes]) -> NDArray[np.int64]:
        """Times that divide the log evenly, as far as its samples tell."""
        total = self._stream.size_bytes
        times, rows, size = [], 0, 0
        for number, text in enumerate([self._rest, *samples]):
            start = text.find(b"\n") + 1 if number else 0
            stop = text.rfind(b"\n") + 1 if not (number == 0 and self._ended) else len(text)
            if start < stop:
                padded = np.frombuffer(bytearray(text[start:stop]).ljust(stop - start + SLACK_BYTES), np.uint8)
                parsed = parse_chunk(padded, stop - start, dialect.columns, Scratch())
                times.append(parsed.time.copy())
                rows, size = rows + parsed.rows, size + stop - start
        if not rows:
            return np.empty(0, np.int64)
        expected = (total if total is not None else 8 * self._stream.total_bytes) * rows / size
        if self._base is not None:
            times.append(self._base.times(max(1, round(expected / rows))))
            expected += self._base.events
        # A bucket that takes longer than expected is sorted all the same; so is one that is far too large.
        aim = max(1, min(_CACHED_EVENTS, self._tuning.bucket_events // 2))
        if dialect.time_unit == "row":
            return np.arange(aim, int(expected), max(aim, int(expected) // _MOST_BUCKETS))
        return quantile_bounds(np.concatenate(times), min(_MOST_BUCKETS, int(expected) // aim + 1))

    def _work(self) -> None:
        """One worker: take, parse, hand in, until the end or until some worker fails."""
        scratch = Scratch()
        buffer = bytearray(self._tuning.chunk_bytes + SLACK_BYTES)
        try:
            while (taken := self._take(buffer)) is not None:
                number, buffer, size = taken
                text = np.frombuffer(buffer, np.uint8, size + SLACK_BYTES)
                parsed = parse_chunk(text, size, self._log.dialect.columns, scratch)
                self._hand_in(number, text, parsed)
                del text, parsed
        except BaseException as failure:
            with self._handing_in:
                self._failure = self._failure or failure
                self._handing_in.notify_all()
            raise

    def _take(self, buffer: bytearray) -> tuple[int, bytearray, int] | None:
        """The next whole lines of the log: their number in line, a buffer that holds them and some more, their size."""
        with self._taking:
            if self._failure is not None or (self._ended and not self._rest):
                return None
            filled = 0
            while True:
                wanted = max(self._tuning.chunk_bytes, filled + len(self._rest) + 1)
                if len(buffer) < wanted + SLACK_BYTES:
                    buffer = buffer.ljust(wanted + SLACK_BYTES, b"\0")
                buffer[filled : filled + len(self._rest)] = self._rest
                filled += len(self._rest)
                self._rest = b""
                if not self._ended:
                    got = self._stream.readinto(memoryview(buffer)[filled:-SLACK_BYTES])
                    filled += got
                    self._ended = got == 0
                if self._ended:
                    cut = filled
                    break
                cut = buffer.rfind(b"\n", 0, filled) + 1
                if cut or filled > MAX_LINE_BYTES + 2:
                    cut = cut or filled
                    break
                self._rest, filled = bytes(buffer[:filled]), 0
                buffer = bytearray(2 * len(buffer))
            if not cut:
                return None
            self._rest = bytes(buffer[cut:filled])
            number = self._next_chunk
            self._next_chunk += 1
            return number, buffer, cut

    def _hand_in(self, number: int, text: NDArray[np.uint8], parsed: Parsed) -> None:
        """Codes, filters and packing beside the other workers; then, in turn, the run and the counts."""
        log = self._log
        packed = self._pack_plain(parsed)
        events = self._events(text, parsed) if packed is None else None
        if events is not None and log.dialect.time_unit != "row":
            packed = self._pack(events)
        with self._handing_in:
            self._handing_in.wait_for(lambda: self._turn == number or self._failure is not None)
            if self._failure is not None:
                return
            if events is not None and packed is None:
                packed = self._pack(replace(events, time=np.arange(self._accepted, self._accepted + len(events))))
            if packed is not None:
                log.spill.append(packed.run)
                self._count(parsed, packed)
            self._progress.advance(self._advanced())
            self._turn += 1
            self._handing_in.notify_all()

    def _pack_plain(self, parsed: Parsed) -> _Packed | None:
        """The usual case in one go: integer ids that are their own codes, a time column, few ratings, no filter."""
        settings, dialect = self._settings, self._log.dialect
        filtered = any(limit is not None for limit in (settings.min_rating, settings.since, settings.until))
        strings = not (dialect.columns.user_is_integer and dialect.columns.item_is_integer)
        if filtered or strings or dialect.time_unit == "row" or parsed.codes is None:
            return None
        run = pack_coded(parsed.user, parsed.item, parsed.codes, parsed.ratings, parsed.time, self._buckets)
        return None if run is None else _Packed(run)

    def _events(self, text: NDArray[np.uint8], parsed: Parsed) -> Events:
        log = self._log
        if log.users.needs_lock(parsed.user) or log.items.needs_lock(parsed.item):
            with self._interning:
                user, item = self._codes(text, parsed)
        else:
            user, item = self._codes(text, parsed)
        return Events(user, item, parsed.rating, parsed.time)

    def _codes(self, text: NDArray[np.uint8], parsed: Parsed) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        apart_user = [(row, raw) for row, role, raw in parsed.texts if role == "user"]
        apart_item = [(row, raw) for row, role, raw in parsed.texts if role == "item"]
        log = self._log
        return log.users.codes(parsed.user, text, apart_user), log.items.codes(parsed.item, text, apart_item)

    def _pack(self, events: Events) -> _Packed:
        keep, below_rating, outside_range = filtered(events.rating, events.time, self._settings)
        if keep is not None:
            events = events.take(keep)
        run = pack(events, self._buckets.of(events.time), self._buckets.count)
        return _Packed(run, below_rating, outside_range)

    def _count(self, parsed: Parsed, packed: _Packed) -> None:
        log, run = self._log, packed.run
        if parsed.too_long >= 0:
            raise line_too_long(self._line + parsed.too_long)
        self._accepted += parsed.user.size
        log.rows += parsed.rows
        log.below_rating += packed.below_rating
        log.outside_range += packed.outside_range
        log.events += len(run)
        self._note_extremes(run)
        for reject in parsed.rejects:
            self._write_reject(reject)
        self._line += parsed.lines

    def _note_extremes(self, run: PackedRun) -> None:
        log = self._log
        if len(run):
            log.first = run.first if log.first is None else min(log.first, run.first)
            log.last = run.last if log.last is None else max(log.last, run.last)
            log.largest_user = max(log.largest_user, run.largest_user)
            log.largest_item = max(log.largest_item, run.largest_item)

    def _write_reject(self, reject: Reject) -> None:
        self._log.rejects[reject.reason] += 1
        self._rejects.write(reject_row(self._line + reject.line, reject))

    def _advanced(self) -> int:
        """Bytes of the archive consumed since the last call."""
        position = self._stream.position_bytes
        advanced, self._told = position - self._told, position
        return advanced


def _quoted(text: str) -> str:
    """A CSV field; written out because Python's csv quotes a lone CR in some versions and not in others."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text
