"""What one arm's server is asked and told: a question, its answer on record, the event until it is acknowledged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from matinee.errors import ReplayError
from matinee.replay.client import LOST, TIME_LIMIT
from matinee.replay.journal import OUTCOMES, Asked, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matinee.replay.client import Pool, Reply
    from matinee.replay.journal import Journal
    from matinee.replay.plan import Plan
    from matinee.replay.words import Words

__all__ = ["Dialogue"]

_ANSWERED, _TIME_LIMIT, _LOST, _REFUSED_429, _REFUSED_503, _OTHER = range(len(OUTCOMES))
_OUTCOMES_OF_FAULTS: Final = {TIME_LIMIT: _TIME_LIMIT, LOST: _LOST}
_OUTCOMES_OF_STATUSES: Final = {429: _REFUSED_429, 503: _REFUSED_503}
_TAKEN_BACK: Final = frozenset({408, 425, 429})  # refusals of events that may end; another 4xx never does
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 1.0


class Dialogue:
    """With one server.

    Args:
        arm: whose server it is.
        plan: what is played.
        pool: of connections to it.
        words: what is said.
        journal: gets a record before an event is told, and one when it was acknowledged.
        session: how often the replay had been started before.
        told: called with an event that was acknowledged.
        failed: called when an event can't be told.
    """

    def __init__(
        self,
        arm: str,
        plan: Plan,
        pool: Pool,
        words: Words,
        journal: Journal,
        session: int,
        *,
        told: Callable[[int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._arm, self._pool, self._words, self._journal = arm, pool, words, journal
        self._session, self._told, self._failed = session, told, failed
        self._nothing = (0,) * plan.k
        self._patience_us = int(plan.patience_s * 1e6)

    def ask(self, event: int, due_us: int, *, late: bool) -> None:
        """Ask about an event; it is told once there is an answer, or none."""
        self._pool.send(_Question(self, event, due_us, late, self._words.question(event)))

    def tell(self, event: int, due_us: int) -> None:
        """Tell an event that was asked about."""
        self._pool.send(_Telling(self, event, due_us, self._words.telling(event)), first=True)

    async def tell_batch(self, events: Iterable[int]) -> None:
        """Tell events that are not asked about; returns when they are acknowledged."""
        acknowledged = asyncio.get_running_loop().create_future()
        batch = _Batch(self, self._pool.now_us(), self._words.tellings(events), acknowledged)
        self._pool.send(batch)
        await acknowledged

    def take_back(self) -> int:
        """Forget the questions that were not sent yet; how many."""
        return self._pool.take_back(_Question)

    def answered(self, question: _Question, reply: Reply) -> None:
        """There is an answer, or there will be none: both go on record, and the event is told."""
        outcome = _outcome(reply)
        rank, model, items = 0, 0, self._nothing
        if outcome == _ANSWERED:
            try:
                answer = self._words.answer(reply.body)
            except msgspec.MsgspecError:  # not an answer, whatever its status says
                outcome = _OTHER
            else:
                rank, model, items = answer.rank, self._journal.model(answer.model), self._words.items(answer)
        event = question.event
        sent_us, bytes_out = question.sent_us or reply.at_us, len(question.payload) if question.sent_us else 0
        entry = Asked(
            event, outcome, reply.status, model, self._session, rank, question.due_us, sent_us, reply.at_us,
            bytes_out, reply.bytes_in, items, question.late,
        )  # fmt: skip
        self._journal.asked(entry)
        self.tell(event, reply.at_us)

    def acknowledged(self, telling: _Telling, reply: Reply) -> None:
        """An event is with the server for good, or it is told again."""
        said = self._said(telling, reply)
        if said is None:
            return
        entry = Told(
            telling.event, int(said > 0), min(telling.attempts, 0xFFFF), self._session, telling.due_us,
            telling.first_sent_us, reply.at_us, telling.bytes_out, telling.bytes_in,
        )  # fmt: skip
        self._journal.told(entry)
        self._told(telling.event)

    def all_acknowledged(self, batch: _Batch, reply: Reply) -> None:
        """As `acknowledged`, for many."""
        if self._said(batch, reply) is not None and not batch.done.done():
            batch.done.set_result(None)

    def _said(self, telling: _Telling, reply: Reply) -> int | None:
        """How many events the server had been told before; None where it has not acknowledged them."""
        if reply.status != 200:
            self._again(telling, reply)
            return None
        try:
            return self._words.said(reply.body).known
        except msgspec.MsgspecError:
            self._failed(ReplayError(f"{self._where} acknowledges an event in words that are none: {_begin(reply)}"))
            return None

    def _again(self, telling: _Telling, reply: Reply) -> None:
        """Tell it again in a moment, unless that never helps, or patience is over."""
        if 400 <= reply.status < 500 and reply.status not in _TAKEN_BACK:
            self._failed(ReplayError(f"{self._where} does not take events: {_begin(reply)}"))
        elif reply.at_us - telling.due_us > self._patience_us:
            self._failed(
                ReplayError(
                    f"{self._where} has not acknowledged an event for {self._patience_us / 1e6:g} s "
                    f"({reply.fault or _begin(reply)}); see to it, and run the same command again: it goes on from here"
                )
            )
        else:
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(telling.attempts - 1, 10))
            loop = asyncio.get_running_loop()
            loop.call_later(max(wait_s, reply.retry_after_s), lambda: self._pool.send(telling, first=True))

    @property
    def _where(self) -> str:
        return f"arm {self._arm}: the server"


class _Question:
    """A question on its way; see `client.Exchange`."""

    __slots__ = ("dialogue", "due_us", "event", "late", "payload", "sent_us")

    def __init__(self, dialogue: Dialogue, event: int, due_us: int, late: bool, payload: bytes) -> None:
        self.dialogue, self.event, self.due_us, self.late, self.payload = dialogue, event, due_us, late, payload
        self.sent_us = 0

    def ended(self, reply: Reply) -> None:
        self.dialogue.answered(self, reply)


class _Telling:
    """An event that is being told, as often as it takes."""

    __slots__ = (
        "attempts", "bytes_in", "bytes_out", "dialogue", "due_us", "event", "first_sent_us", "payload", "sent_us",
    )  # fmt: skip

    def __init__(self, dialogue: Dialogue, event: int, due_us: int, payload: bytes) -> None:
        self.dialogue, self.event, self.due_us, self.payload = dialogue, event, due_us, payload
        self.sent_us = self.first_sent_us = self.attempts = self.bytes_in = self.bytes_out = 0

    def ended(self, reply: Reply) -> None:
        self.attempts += 1
        if self.sent_us:  # else no connection could be opened for it
            self.bytes_out += len(self.payload)
            self.first_sent_us = self.first_sent_us or self.sent_us
            self.sent_us = 0
        self.bytes_in += reply.bytes_in
        self.dialogue.acknowledged(self, reply)


class _Batch(_Telling):
    """Many events at once."""

    __slots__ = ("done",)

    def __init__(self, dialogue: Dialogue, due_us: int, payload: bytes, done: asyncio.Future[None]) -> None:
        super().__init__(dialogue, -1, due_us, payload)
        self.done = done

    def ended(self, reply: Reply) -> None:
        self.attempts += 1
        self.dialogue.all_acknowledged(self, reply)


def _outcome(reply: Reply) -> int:
    if reply.fault:
        return _OUTCOMES_OF_FAULTS.get(reply.fault, _OTHER)
    return _ANSWERED if reply.status == 200 else _OUTCOMES_OF_STATUSES.get(reply.status, _OTHER)


def _begin(reply: Reply) -> str:
    """Status, and what the body says, as far as it fits on a line."""
    text = reply.body.decode("utf-8", "replace")
    try:
        problem = msgspec.json.decode(reply.body)
        text = str(problem["detail"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        pass  # not a problem+json
    return f"{reply.status} {' '.join(text.split())[:200]}"
