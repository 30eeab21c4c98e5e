"""The same work on many files of a store at once, with its progress; the first failure ends it all."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, TypeVar

from matinee.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matinee.schema.progress import Progress
    from matinee.store.connection import Store

__all__ = ["on_each"]

_AT_ONCE: Final = 8  # files; more of them win nothing on two cores, and cost rclone memory
_TELL_EVERY_S: Final = 0.25

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_each(
    items: Sequence[Item], work: Callable[[Item], Result], store: Store, progress: Progress | None = None
) -> list[Result]:
    """`work(item)` for each item, several at once; the results in the order of the items.

    `progress` is told of the bytes that the store has moved meanwhile. A failure, or Ctrl-C, breaks off what is under
    way in rclone before it is raised, so nothing goes on behind the caller's back.
    """
    if len(items) <= 1 and progress is None:
        return [work(item) for item in items]
    told_bytes = store.moved_bytes() if progress is not None else 0
    threads = ThreadPoolExecutor(max_workers=min(_AT_ONCE, max(1, len(items))))
    try:
        futures = [threads.submit(work, item) for item in items]
        running = set(futures)
        while running:
            done, running = wait(running, timeout=_TELL_EVERY_S, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if progress is not None:
                told_bytes = _tell(progress, store, told_bytes)
    except BaseException:
        with store.stopped():
            threads.shutdown(cancel_futures=True)
        raise
    threads.shutdown()
    return [future.result() for future in futures]


def _tell(progress: Progress, store: Store, told_bytes: int) -> int:
    try:
        moved_bytes = store.moved_bytes()
    except StoreError:
        return told_bytes  # the calls themselves say what is wrong
    progress.advance(max(0, moved_bytes - told_bytes))
    return max(moved_bytes, told_bytes)
