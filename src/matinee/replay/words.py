"""What is said to a server and what it answers, as bytes: the fields of docs/serving.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from matinee.replay.journal import MISSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from matinee.replay.address import Address
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream

__all__ = ["Answer", "Said", "Words"]

_encode = msgspec.json.encode


class Answer(msgspec.Struct):
    """To a question; what else it has is not read."""

    items: list[int | str]
    model: str
    rank: Annotated[int, msgspec.Meta(ge=MISSED, le=2**31 - 1)] = MISSED  # absent where the target was never heard of

    def __post_init__(self) -> None:
        """Refuse a rank that none has: it would read as a question without an answer."""
        if self.rank == 0:
            raise ValueError("rank is 0, expected 1 or more")


class Said(msgspec.Struct):
    """To an event."""

    new: int
    known: int


class Words:
    """Requests of one arm by the place of an event in the stream, and answers in dense ids.

    Args:
        address: of the server.
        stream: the events.
        plan: how long a list is, and what it leaves out.
        raw_items: (items,) raw ids by dense id - 1.
        teller: under which events are told.
        token: that every request needs; None is none.
    """

    def __init__(
        self, address: Address, stream: Stream, plan: Plan, raw_items: NDArray[Any], teller: str, token: str | None
    ) -> None:
        self._stream, self._plan, self._teller = stream, plan, teller
        self._ask = address.head("/v1/recommend", token)
        self._tell = address.head("/v1/events", token)
        self._tell_many = address.head("/v1/events/batch", token)
        self._dense = {raw: dense for dense, raw in enumerate(raw_items.tolist(), 1)}
        self._answer, self._said = msgspec.json.Decoder(Answer), msgspec.json.Decoder(Said)

    def question(self, event: int) -> bytes:
        """What does the event's user take next? With the moment of asking, and the item whose rank is wanted."""
        stream, plan = self._stream, self._plan
        asked = {
            "user": stream.raw_users[event],
            "k": plan.k,
            "exclude_seen": plan.exclude_seen,
            "timestamp": int(stream.times_s[event]),
            "target": stream.raw_items[event],
        }
        return _request(self._ask, _encode(asked))

    def telling(self, event: int) -> bytes:
        """The event has happened."""
        return _request(self._tell, _encode(self._event(event) | {"teller": self._teller}))

    def tellings(self, events: Iterable[int]) -> bytes:
        """All of them have happened, in this order."""
        told = [self._event(event) for event in events]
        return _request(self._tell_many, _encode({"events": told, "teller": self._teller}))

    def answer(self, body: bytes) -> Answer:
        """What came of a question.

        Raises:
            msgspec.MsgspecError: it is no such thing.
        """
        return self._answer.decode(body)

    def said(self, body: bytes) -> Said:
        """What came of an event; raises as `answer`."""
        return self._said.decode(body)

    def items(self, answer: Answer) -> tuple[int, ...]:
        """(k,) the dense ids of a list; 0 where it is shorter, or the version has no such item."""
        k, dense = self._plan.k, self._dense
        items = [dense.get(raw, 0) for raw in answer.items[:k]]
        return tuple(items) if len(items) == k else (*items, *(0,) * (k - len(items)))

    def _event(self, event: int) -> dict[str, Any]:
        stream = self._stream
        told: dict[str, Any] = {
            "user": stream.raw_users[event],
            "item": stream.raw_items[event],
            "timestamp": int(stream.times_s[event]),
            "number": event,
        }
        if stream.ratings is not None and not math.isnan(rating := float(stream.ratings[event])):
            told["rating"] = rating
        return told


def _request(head: bytes, body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)
