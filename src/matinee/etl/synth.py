"""An expansion: a log of any number of rows that behaves like its source (docs/synth.md says in what, and in what not).

After Belletti et al. 2019 (arXiv 1901.08910), with what a sequential model needs and a matrix of ratings does not have.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.errors import UsageError
from matinee.etl.synth_file import (
    LogFile,
    Packed,
    is_zip,
    new_file,
    open_log_file,
    pack,
    packed_share,
    read_note,
    telling_of_a_full_disk,
)
from matinee.etl.synth_kernel import Ways, write_users
from matinee.etl.synth_pattern import read_pattern
from matinee.etl.synth_plan import LEAST_KEPT, Piece, Plan, make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.etl.extract import Archive
    from matinee.etl.synth_pattern import Pattern
    from matinee.schema.progress import Progress

__all__ = ["GENERATOR", "Expansion", "check_call", "expand", "parse_rows"]

GENERATOR: Final = 1  # raised when the same call gives other bytes
_ROAMING: Final = 0.2
_SWAPS: Final = 0.5
_NEAR: Final = 3
_SESSION_S: Final = 1800
_STRETCH: Final = 32
_SHIFT_SHARE: Final = 0.01  # of the source's time
_MOST_ROWS: Final = 10**11
_SIZE_MARGIN: Final = 1.02  # what the last piece tells of all of them is not exact


@dataclass(frozen=True, slots=True)
class Expansion:
    """What came of it.

    Attributes:
        path: the file.
        rows, users, blocks: events in it, users, and copies of the source's items.
        items: different ones that occur; None before it is written.
        size_bytes: of the file; before it is written, about.
        made: False where it was there already, or was only planned.
        note: how it was, or would be, made; the same as in the file.
    """

    path: Path
    rows: int
    users: int
    blocks: int
    items: int | None
    size_bytes: int
    made: bool
    note: dict[str, Any]


def expand(
    archive: Archive,
    out: Path,
    rows: int,
    *,
    seed: int = 0,
    dry_run: bool = False,
    force: bool = False,
    workers: int | None = None,
    progress: Progress,
) -> Expansion:
    """Write `rows` rows like those of `archive` to `out`, a .csv or .zip; it appears complete or not at all.

    The same source, rows and seed give the same text, whatever the number of threads. See `matinee.data.synth`.
    """
    check_call(out, rows, seed, workers)
    recipe = {
        "format": 1,
        "generator": GENERATOR,
        "source": {
            "name": archive.name,
            "sha256": archive.sha256,
            "size_bytes": archive.size,
            "origin": archive.origin,
            "licence": archive.licence,
        },
        "rows": rows,
        "seed": seed,
    }
    if out.exists() and out.samefile(archive.path):
        raise UsageError(f"--out {out}: is the source itself; choose another")
    if out.exists() and not dry_run:
        if (note := read_note(out)) and {key: note.get(key) for key in recipe} == recipe:
            return _expansion(out, note, out.stat().st_size, made=False)
        if not force:
            raise UsageError(
                f"{out}: is there already, and is not what this call makes; choose another --out, or --force"
            )
    folder = next(folder for folder in out.absolute().parents if folder.is_dir())
    with telling_of_a_full_disk(folder):
        pattern = read_pattern(archive, folder, workers=workers, progress=progress)
    if rows < pattern.events:
        raise UsageError(
            f"--rows {rows:,}: fewer than the {pattern.events:,} events of {archive.name}; an expansion only grows"
        )
    job = _Job(pattern, rows, seed, zipped=is_zip(out))
    note = recipe | job.facts()
    size_bytes = job.expected_bytes()
    if dry_run:
        return _expansion(out, note, size_bytes, made=False)
    with new_file(out, size_bytes) as file:
        log = open_log_file(file, out, job.header)
        job.write(log, workers or len(os.sched_getaffinity(0)), progress)
        note["items"] = job.items
        log.close(note)
    progress.finish(f"{note['users']:,} users, {job.items:,} items")
    return _expansion(out, note, out.stat().st_size, made=True)


def check_call(out: Path, rows: str | int, seed: int, workers: int | None) -> int:
    """The number of rows, once nothing is wrong that can be known without the source.

    Raises:
        UsageError: there is.
    """
    is_zip(out)
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder, expected a file that ends in .zip or .csv")
    if seed < 0:
        raise UsageError(f"--seed {seed}: expected 0 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: expected 1 or more")
    return parse_rows(rows)


def parse_rows(rows: str | int) -> int:
    """A number of rows from 1000000, '1_000_000' or '192e6'.

    Raises:
        UsageError: it is no whole number of at least 1, or more than anybody has room for.
    """
    try:
        exact = Decimal(str(rows).replace(",", ""))
        count = int(exact) if exact.is_finite() and 1 <= exact <= _MOST_ROWS else 0
    except InvalidOperation:
        exact, count = Decimal(), 0
    if count < 1 or count != exact:
        raise UsageError(f"--rows {rows}: expected a whole number from 1 to {_MOST_ROWS:,}, as in 1000000 or 192e6")
    return count


def _expansion(out: Path, note: dict[str, Any], size_bytes: int, *, made: bool) -> Expansion:
    return Expansion(
        path=out,
        rows=note["rows"],
        users=note["users"],
        blocks=note["blocks"],
        items=note.get("items"),
        size_bytes=size_bytes,
        made=made,
        note=note,
    )


class _Job:
    """One expansion: what the kernel needs, and the order in which its pieces are written."""

    def __init__(self, pattern: Pattern, rows: int, seed: int, *, zipped: bool) -> None:
        self._pattern, self._rows, self._zipped = pattern, rows, zipped
        self._plan: Plan = make_plan(pattern, rows, seed)
        self._ways = Ways(
            tastes=self._plan.tastes,
            roaming=_ROAMING,
            swaps=_SWAPS,
            near=_NEAR,
            session_s=_SESSION_S,
            stretch=_STRETCH,
            shift_s=int((pattern.last - pattern.first) * _SHIFT_SHARE),
            first=pattern.first,
            last=pattern.last,
        )
        self._rating_texts, self._rating_sizes = _rating_texts(pattern)
        self._seen = np.zeros(self._plan.blocks * pattern.items, np.uint8)
        self.header = b"userId,itemId,rating,timestamp\n" if pattern.has_rating else b"userId,itemId,timestamp\n"

    @property
    def items(self) -> int:
        """Different items in what was written."""
        return int(np.count_nonzero(self._seen))

    def facts(self) -> dict[str, Any]:
        """What was chosen, for the note."""
        pattern, ways = self._pattern, self._ways
        return {
            "users": self._plan.users,
            "blocks": self._plan.blocks,
            "source_users": pattern.users,
            "source_items": pattern.items,
            "source_events": pattern.events,
            "parameters": {
                "least_kept": LEAST_KEPT,
                "roaming": ways.roaming,
                "swaps": ways.swaps,
                "near": ways.near,
                "session_s": ways.session_s,
                "stretch": ways.stretch,
                "shift_s": ways.shift_s,
                "tastes": np.diff(ways.tastes, axis=1, prepend=0.0).round(6).tolist(),
            },
        }

    def expected_bytes(self) -> int:
        """About how large the file becomes: the last piece has the longest user ids."""
        piece = self._plan.pieces[-1]
        text = self._text(piece, _Scratch(self._pattern.items))
        share = packed_share(text) if self._zipped else 1.0
        return int(_SIZE_MARGIN * share * len(text) * self._rows / piece.rows)

    def write(self, log: LogFile, workers: int, progress: Progress) -> None:
        """All pieces in order, made on as many threads as there are workers; the sample of the size does not count."""
        self._seen[:] = 0
        free: SimpleQueue[_Scratch] = SimpleQueue()
        for _ in range(workers):
            free.put(_Scratch(self._pattern.items))

        def make(piece: Piece) -> Packed:
            scratch = free.get()
            try:
                return pack(self._text(piece, scratch), zipped=log.zipped)
            finally:
                free.put(scratch)

        progress.start("write", self._rows, "rows")
        waiting: deque[tuple[Piece, Future[Packed]]] = deque()
        pieces = iter(self._plan.pieces)
        with ThreadPoolExecutor(workers) as pool:
            try:
                while True:
                    while len(waiting) <= workers and (piece := next(pieces, None)):
                        waiting.append((piece, pool.submit(make, piece)))
                    if not waiting:
                        return
                    piece, made = waiting.popleft()
                    log.write(made.result())
                    progress.advance(piece.rows)
            finally:
                pool.shutdown(cancel_futures=True)

    def _text(self, piece: Piece, scratch: _Scratch) -> memoryview:
        text = np.empty(piece.rows * self._longest_line(), np.uint8)
        size = write_users(
            self._pattern.sequences,
            self._plan.crowd,
            self._ways,
            piece.first,
            piece.stop,
            self._rating_texts,
            self._rating_sizes,
            scratch.marks,
            scratch.placed_in,
            self._seen,
            text,
        )
        return text[:size].data

    def _longest_line(self) -> int:
        pattern = self._pattern
        widest = (self._plan.users, self._seen.size, pattern.first, pattern.last)
        user, item, *times = (len(str(number)) for number in widest)
        rating = int(self._rating_texts.shape[1])
        return user + item + rating + max(times) + 4


class _Scratch:
    """What one thread remembers while it writes a user."""

    def __init__(self, items: int) -> None:
        self.marks = np.zeros(items, np.int64)
        self.placed_in = np.zeros(items, np.int32)


def _rating_texts(pattern: Pattern) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(codes, width) what each rating looks like, and its bytes; nothing where there is no such column."""
    if not pattern.has_rating:
        return np.zeros((0, 0), np.uint8), np.zeros(0, np.int64)
    texts = ["" if np.isnan(rating) else repr(float(rating)) for rating in pattern.ratings]
    width = max(map(len, texts))
    padded = "".join(text.ljust(width) for text in texts)
    return np.frombuffer(padded.encode(), np.uint8).reshape(-1, width), np.array(
        [len(text) for text in texts], np.int64
    )
