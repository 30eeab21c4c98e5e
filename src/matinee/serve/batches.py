"""Questions wait here until the engine is free, and are answered together: the busier, the larger the batch.

A batch is taken as soon as the one before it is done (or after `wait_s`, where a longer wait is wanted for larger
batches), so an idle server answers at once and a busy one does not fall behind. More than `room` are refused.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from matinee.serve.refusals import BusyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from matinee.serve.measures import Measures

__all__ = ["Batches"]

_Question = TypeVar("_Question")
_Reply = TypeVar("_Reply")


@dataclass(slots=True)
class _Waiting(Generic[_Question, _Reply]):
    question: _Question
    reply: asyncio.Future[_Reply] = field(repr=False)


class Batches(Generic[_Question, _Reply]):
    """Collects questions for `answer`, one call at a time.

    Args:
        answer: replies to all of its questions, in their order.
        size: the most questions of one call.
        room: the most that wait.
        wait_s: how long the first of a batch waits for others.
        measures: told of sizes.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[_Question]], Awaitable[Sequence[_Reply]]],
        *,
        size: int,
        room: int,
        wait_s: float,
        measures: Measures,
    ) -> None:
        self._answer, self._size, self._room, self._wait_s = answer, size, room, wait_s
        self._measures = measures
        self._waiting: list[_Waiting[_Question, _Reply]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Answer what waits, then end."""
        self._ended = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def ask(self, questions: Sequence[_Question]) -> list[_Reply]:
        """Replies to all of them; taken in or refused together.

        Raises:
            BusyError: there is no room.
        """
        if len(self._waiting) + len(questions) > self._room:
            raise BusyError(f"{len(self._waiting):,} questions wait already; come back in a second")
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(question, loop.create_future()) for question in questions]
        self._waiting += waiting
        self._wake.set()
        if len(waiting) == 1:
            return [await waiting[0].reply]
        return list(await asyncio.gather(*(each.reply for each in waiting)))

    async def _run(self) -> None:
        while not (self._ended and not self._waiting):
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._wait_s and len(self._waiting) < self._size:
                await asyncio.sleep(self._wait_s)
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            batch = [each for each in batch if not each.reply.done()]  # whoever asked may be gone
            if batch:
                await self._reply(batch)

    async def _reply(self, batch: list[_Waiting[_Question, _Reply]]) -> None:
        began_s = time.perf_counter()
        try:
            replies = await self._answer([each.question for each in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who asked
            for each in batch:
                if not each.reply.done():
                    each.reply.set_exception(error)
            return
        self._measures.answered(len(batch), time.perf_counter() - began_s)
        for each, reply in zip(batch, replies, strict=True):
            if not each.reply.done():
                each.reply.set_result(reply)
