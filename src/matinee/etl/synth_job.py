"""One expansion at work: pieces of text made side by side by the kernel, and written in their order."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.etl.synth_file import LogFile, Packed, pack, packed_share
from matinee.etl.synth_kernel import write_users
from matinee.etl.synth_plan import Piece, Plan, make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.etl.synth_pattern import Pattern
    from matinee.schema.progress import Progress

__all__ = ["Job"]

_SIZE_MARGIN: Final = 1.02  # what the last piece tells of all of them is not exact


class Job:
    """One expansion: what the kernel needs, and the order in which its pieces are written."""

    def __init__(self, pattern: Pattern, rows: int, seed: int, *, zipped: bool) -> None:
        self._pattern, self._rows, self._zipped = pattern, rows, zipped
        self._plan: Plan = make_plan(pattern, rows, seed)
        self._rating_texts, self._rating_sizes = _rating_texts(pattern)
        self._seen = np.zeros(self._plan.blocks * pattern.items, np.uint8)
        self.header = b"userId,itemId,rating,timestamp\n" if pattern.has_rating else b"userId,itemId,timestamp\n"

    @property
    def items(self) -> int:
        """Different items in what was written."""
        return int(np.count_nonzero(self._seen))

    def facts(self) -> dict[str, Any]:
        """What was chosen, for the note."""
        pattern, ways = self._pattern, self._plan.ways._asdict()
        tastes = np.diff(ways.pop("tastes"), axis=1, prepend=0.0).round(6).tolist()
        return {
            "users": self._plan.users,
            "blocks": self._plan.blocks,
            "source_users": pattern.users,
            "source_items": pattern.items,
            "source_events": pattern.events,
            "parameters": {"least_kept": self._plan.crowd.least_kept, **ways, "tastes": tastes},
        }

    def expected_bytes(self) -> int:
        """About how large the file becomes: the last piece has the longest user ids."""
        piece = self._plan.pieces[-1]
        text = self._text(piece, _Scratch(self._pattern.items))
        share = packed_share(text) if self._zipped else 1.0
        return int(_SIZE_MARGIN * share * len(text) * self._rows / piece.rows)

    def write(self, log: LogFile, workers: int | None, progress: Progress) -> None:
        """All pieces in order, made on as many threads as there are workers; None is all cores."""
        self._seen[:] = 0  # of the sample that told the size
        workers = workers or len(os.sched_getaffinity(0))
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
            self._plan.ways,
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
