"""Questions that wait together, without a server around them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matinee.serve.batches import Batches
from matinee.serve.refusals import BusyError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Counted:
    """Measures that keep what they are told."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def answered(self, questions: int, duration_s: float) -> None:
        assert duration_s >= 0
        self.sizes.append(questions)


def _batches(
    gate: asyncio.Event, *, size: int = 4, room: int = 100, wait_s: float = 0
) -> tuple[Batches[int, int], _Counted]:
    async def answer(questions: Sequence[int]) -> list[int]:
        await gate.wait()
        if -1 in questions:
            raise ValueError("no such question")
        return [10 * question for question in questions]

    counted = _Counted()
    return Batches(answer, size=size, room=room, wait_s=wait_s, measures=counted), counted  # type: ignore[arg-type]


def test_what_comes_meanwhile_is_answered_together_and_in_order() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        batches, counted = _batches(gate)
        batches.start()
        asking = [asyncio.create_task(batches.ask([number])) for number in range(3)]
        await asyncio.sleep(0.01)
        asking += [asyncio.create_task(batches.ask([number])) for number in range(3, 12)]
        await asyncio.sleep(0.01)
        gate.set()
        assert await asyncio.gather(*asking) == [[10 * number] for number in range(12)]
        assert counted.sizes == [3, 4, 4, 1]
        assert await batches.ask([7, 8, 9, 10, 11]) == [70, 80, 90, 100, 110]
        await batches.stop()

    asyncio.run(work())


def test_there_is_room_for_so_many() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        batches, _ = _batches(gate, size=1, room=2)
        batches.start()
        asking = [asyncio.create_task(batches.ask([1]))]
        await asyncio.sleep(0.01)  # it is taken: the engine has it
        asking += [asyncio.create_task(batches.ask([number])) for number in (2, 3)]
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError, match="2 questions wait already"):
            await batches.ask([4])
        gate.set()
        assert await asyncio.gather(*asking) == [[10], [20], [30]]
        await batches.stop()

    asyncio.run(work())


def test_an_error_reaches_those_who_asked_and_nobody_else() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        gate.set()
        batches, _ = _batches(gate, size=1)
        batches.start()
        replies = await asyncio.gather(batches.ask([-1]), batches.ask([5]), return_exceptions=True)
        assert isinstance(replies[0], ValueError)
        assert replies[1] == [50]
        await batches.stop()

    asyncio.run(work())


def test_who_has_gone_is_not_answered_and_stopping_answers_the_rest() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        batches, counted = _batches(gate, wait_s=0.01)
        batches.start()
        gone, stays = asyncio.create_task(batches.ask([1])), asyncio.create_task(batches.ask([2]))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        await batches.stop()
        assert await stays == [20]
        assert counted.sizes == [1]

    asyncio.run(work())
