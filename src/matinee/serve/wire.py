"""What goes over the wire: each request and answer as one type, checked while it is read (and drawn in OpenAPI)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID  # noqa: TC003 - msgspec reads the annotations when it runs

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "MAX_BATCH",
    "MAX_K",
    "Answer",
    "AnswerBatch",
    "Ask",
    "AskBatch",
    "Event",
    "EventBatch",
    "Health",
    "History",
    "Problem",
    "TellerEvent",
    "Told",
    "WireId",
]

MAX_K = 1000
MAX_BATCH = 1000  # questions or events in one request
MAX_HISTORY = 10_000
MAX_ID_CHARACTERS = 256
_MOMENT = 2**53  # what every JSON parser reads exactly

# Postgres stores no NUL. A number and its text are the same id.
_Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=r"^[^\x00]+$")]
_Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
WireId = _Number | _Text
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Seconds = Annotated[int, Meta(ge=-_MOMENT, le=_MOMENT)]


class Ask(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What does this user take next?"""

    user: Annotated[WireId, Meta(description="Raw id; somebody never heard of is welcome.", examples=[196])]
    k: Annotated[int, Meta(ge=1, le=MAX_K, description="How many items.")] = 10
    exclude_seen: Annotated[bool, Meta(description="Leave out what is in the history.")] = True
    history: Annotated[
        Annotated[list[WireId], Meta(max_length=MAX_HISTORY)] | UnsetType,
        Meta(description="Raw ids of items, the oldest first, instead of what is known of the user.", examples=[[242]]),
    ] = UNSET
    timestamp: Annotated[
        _Seconds | UnsetType,
        Meta(description="Unix seconds: the moment of asking, to which the prior's window reaches; by default now."),
    ] = UNSET
    target: Annotated[
        WireId | UnsetType,
        Meta(description="For rehearsals: an item whose rank in the whole catalogue is told too."),
    ] = UNSET


class AskBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Many questions at once; each is answered as if it were alone."""

    asks: Annotated[list[Ask], Meta(min_length=1, max_length=MAX_BATCH)]


class Answer(Struct, frozen=True, omit_defaults=True):
    """The best items."""

    user: Annotated[WireId, Meta(description="As it was asked.")]
    items: Annotated[list[WireId], Meta(description="Raw ids, the best first; fewer than k where there are no more.")]
    known: Annotated[bool, Meta(description="Whether the model has seen this user in training.")]
    model: Annotated[str, Meta(description="Who answered: the model's name and the beginning of its SHA-256.")]
    rank: Annotated[
        int | UnsetType,
        Meta(description="The target's rank, 1 the best; ties count against it. Absent for an unknown item."),
    ] = UNSET


class AnswerBatch(Struct, frozen=True):
    """An answer for each question, in their order."""

    answers: list[Answer]


class Event(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """It has happened: this user took this item."""

    user: Annotated[WireId, Meta(description="Raw id; may be new.", examples=[196])]
    item: Annotated[WireId, Meta(description="Raw id; may be new.", examples=[242])]
    timestamp: Annotated[_Seconds | UnsetType, Meta(description="Unix seconds; by default now.")] = UNSET
    rating: float | None = None
    number: Annotated[
        _Count | UnsetType,
        Meta(description="The teller's own count, never used twice; needs `teller`."),
    ] = UNSET


class TellerEvent(Event, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event, and who tells it."""

    teller: Annotated[
        UUID | UnsetType, Meta(description="With `number` it makes telling again harmless: an event counts once.")
    ] = UNSET


class EventBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Many events at once, of one teller or of nobody in particular; they come into the log in this order."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MAX_BATCH)]
    teller: Annotated[UUID | UnsetType, Meta(description="Then every event needs a `number`.")] = UNSET


class Told(Struct, frozen=True):
    """All of it is durable."""

    new: Annotated[int, Meta(description="Events that were not known.")]
    known: Annotated[int, Meta(description="Events that had been told before, and count once.")]


class History(Struct, frozen=True):
    """What a user took."""

    user: WireId
    known: Annotated[bool, Meta(description="Whether the model has seen this user in training.")]
    events: Annotated[int, Meta(description="How many in all.")]
    items: Annotated[list[WireId], Meta(description="Raw ids of the last of them, the oldest first.")]


class Health(Struct, frozen=True):
    """How the server is."""

    status: str
    model: str = ""


class Problem(Struct, frozen=True):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
