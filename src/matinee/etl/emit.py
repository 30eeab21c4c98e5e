"""From ordered batches to files: dense ids, splits, facts, and one thread a writer."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from matinee.schema.layout import SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from matinee.etl.facts import Facts
    from matinee.etl.ids import DenseIds
    from matinee.etl.order import Batch
    from matinee.etl.split import Splitter
    from matinee.schema.progress import Progress

__all__ = ["RepeatsFoundError", "Writer", "ahead", "emit"]


class RepeatsFoundError(Exception):
    """An exact repeat turned up where the cuts had been placed on the assumption that there is none."""


class Writer(Protocol):
    """What writes one kind of file for all three splits."""

    def write(
        self,
        split: Split,
        user: NDArray[np.int32],
        item: NDArray[np.int32],
        rating: NDArray[np.float64],
        time: NDArray[np.int64],
    ) -> None:
        """The next part of a split, in chronological order."""

    def abort(self) -> None:
        """Close without finishing."""


def emit(
    batches: Iterable[Batch],
    users: DenseIds,
    items: DenseIds,
    splitter: Splitter,
    facts: Facts | None,
    writers: list[Writer],
    *,
    allow_repeats: bool,
    threads: bool,
    progress: Progress,
) -> int:
    """Number, divide and write all batches; returns how many repeats had been left out of them.

    Raises:
        RepeatsFoundError: there was one and `allow_repeats` is off; what was written so far is of no use.
    """
    repeats = 0
    lanes: list[_Lane | Writer] = [_Lane(writer) if threads else writer for writer in writers]
    try:
        for batch in batches:
            if batch.repeats and not allow_repeats:
                raise RepeatsFoundError  # noqa: TRY301 - the clean-up below is meant for it as well
            repeats += batch.repeats
            events = batch.events
            if not len(events):
                continue
            user, item = users.assign(events.user), items.assign(events.item)
            parts = splitter.split(events.user.view(np.int32), events.time)
            for split, which in _selections(parts):
                part = (user[which], item[which], events.rating[which], events.time[which])
                if facts is not None and isinstance(parts, list):
                    facts.add(part[0], part[1], part[3], split)
                for lane in lanes:
                    lane.write(SPLITS[split], *part)
            if facts is not None and not isinstance(parts, list):
                facts.add(user, item, events.time, parts)
            progress.advance(len(events))
        for lane in lanes:
            if isinstance(lane, _Lane):
                lane.finish()
    except BaseException:
        for lane in lanes:
            if isinstance(lane, _Lane):
                lane.stop()
        for writer in writers:
            writer.abort()
        raise
    return repeats


def _selections(
    parts: list[tuple[int, int, int]] | NDArray[np.uint8],
) -> Iterator[tuple[int, slice | NDArray[np.int64]]]:
    if isinstance(parts, list):
        for split, start, stop in parts:
            if stop > start:
                yield split, slice(start, stop)
    else:
        for split in range(3):
            which = np.flatnonzero(parts == split)
            if which.size:
                yield split, which


class _Lane:
    """A writer on a thread of its own, with at most two parts waiting for it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._parts: queue.Queue[tuple[object, ...] | None] = queue.Queue(maxsize=2)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, *part: object) -> None:
        """Hand over the next part; raises what the writer raised."""
        if self._failure is not None:
            raise self._failure
        self._parts.put(part)

    def finish(self) -> None:
        """Wait until all is written; raises what the writer raised."""
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let the thread end."""
        if self._thread.is_alive():
            self._parts.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (part := self._parts.get()) is not None:
            if self._failure is None:
                try:
                    self._writer.write(*part)  # type: ignore[arg-type]  # a part is write's arguments
                except BaseException as failure:  # noqa: BLE001 - it is raised in the thread that hands over
                    self._failure = failure


def ahead(batches: Generator[Batch]) -> Generator[Batch]:
    """The same batches, each made on another thread while the one before is in use."""
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=2)
    stopped = threading.Event()

    def make() -> None:
        try:
            for batch in batches:
                made.put(batch)
                if stopped.is_set():
                    return
            made.put(None)
        except BaseException as failure:  # noqa: BLE001 - it is raised in the thread that takes
            made.put(failure)
        finally:
            batches.close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (batch := made.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                made.get(timeout=0.05)
            except queue.Empty:
                continue
        thread.join()
