"""What is seen of one person, as plain records, and how they come about; a terminal, a page, a notebook shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from matinee.errors import UsageError
from matinee.schema.layout import SPLITS
from matinee.serve.raw_ids import RawIds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matinee.etl.titles import Title, Titles
    from matinee.replay.stream import Stream
    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["Now", "Offer", "Person", "Question", "Source", "Step", "draw", "look_at"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one model said to one question.

    Attributes:
        arm: its name in a replay; of a server that is asked now, the model's title.
        outcome: 'answered', or why there is no list.
        items: the list, the best first.
        rank: in the whole catalogue, of what was taken next; None where there is no answer or the item was unknown.
    """

    arm: str
    outcome: str
    items: tuple[Title, ...]
    rank: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a person.

    Attributes:
        number: among the person's events of the split, from 1.
        time_s: when, Unix seconds.
        events_before: length of the history at that moment.
        last: the end of that history, the oldest first.
        offers: of each model that was asked.
        taken: what the person took next; it is a hit where it is in a list.
    """

    number: int
    time_s: int
    events_before: int
    last: tuple[Title, ...]
    offers: tuple[Offer, ...]
    taken: Title

    def is_hit(self, offer: Offer) -> bool:
        """Whether what was taken had been offered."""
        return any(item.raw == self.taken.raw for item in offer.items)


@dataclass(frozen=True, slots=True)
class Now:
    """What a server knows of the person by itself, with all that it was told, and what it offers them now."""

    events: int
    last: tuple[Title, ...]
    offer: Offer


@dataclass(frozen=True, slots=True)
class Person:
    """What is seen of one person.

    Attributes:
        user: raw id.
        is_warm: whether training has seen them.
        dataset, version, split: whose events these are.
        source: the replay's id, or the server's address.
        titles: where titles come from, or why there are none.
        events: how many the person has there.
        steps: some of them, in order of time.
        now: of a server that is asked now; else None.
    """

    user: int | str
    is_warm: bool
    dataset: str
    version: str
    split: Split
    source: str
    titles: str
    events: int
    steps: tuple[Step, ...]
    now: Now | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What would be asked before an event.

    Attributes:
        event: its place in the stream.
        user, target: raw ids.
        time_s: Unix seconds.
        history: (n,) raw ids of all that the person took before, the oldest first.
    """

    event: int
    user: int | str
    target: int | str
    time_s: int
    history: list[int | str] = field(repr=False)


class Source(Protocol):
    """Where offers come from."""

    @property
    def version(self) -> Version:
        """Whose ids and events are meant."""

    @property
    def split(self) -> Split:
        """Whose events are stepped through."""

    @property
    def stream(self) -> Stream:
        """Those events."""

    @property
    def label(self) -> str:
        """What it calls itself."""

    def known(self) -> NDArray[np.bool_]:
        """Of which events there are offers; (n,) by place in the stream."""

    def offers(self, questions: Sequence[Question], titles: Titles) -> list[tuple[Offer, ...]]:
        """What was, or is, offered before each of these events."""

    def now(self, user: int | str, last: int, titles: Titles) -> Now | None:
        """What a server knows of the person; None where there is none to ask."""


def draw(source: Source, *, warm: bool | None = None, seed: int = 0) -> int | str:
    """The raw id of a person of whom there is an offer, drawn by the seed.

    Args:
        source: where offers come from.
        warm: True for somebody whom training has seen, False for a stranger; None for either.
        seed: of the draw.

    Raises:
        UsageError: there is no such person, or the seed is none.
    """
    if seed < 0:
        raise UsageError(f"seed is {seed}, expected 0 or more")
    stream = source.stream
    wanted = source.known()
    if warm is not None:
        wanted = wanted & (stream.warm_users == warm)
    people = np.unique(stream.users[wanted])
    if not people.size:
        kind = "" if warm is None else "warm " if warm else "cold "
        raise UsageError(f"{source.label}: nothing was offered to any {kind}person yet")
    raw: int | str = source.version.raw_users[np.random.default_rng(seed).choice(people) - 1].item()
    return raw


def look_at(
    source: Source, user: int | str, titles: Titles, *, first: int = 1, steps: int = 5, last: int = 5
) -> Person:
    """What is seen of one person.

    Args:
        source: where offers come from.
        user: raw id.
        titles: of the items.
        first: number of the event to begin with, among the person's events of the split, from 1.
        steps: at most so many events.
        last: so many titles of a history.

    Raises:
        UsageError: the source knows nothing of that person, or the numbers cannot be.
    """
    for name, value, least in (("first", first, 1), ("steps", steps, 1), ("last", last, 0)):
        if value < least:
            raise UsageError(f"{name} is {value}, expected {least} or more")
    version = source.version
    dense = RawIds(version.raw_users, version.manifest.users.kind).dense(str(user))
    places = np.flatnonzero(source.stream.users == dense).tolist() if dense else []
    now = source.now(user, last, titles)
    if not places and not (now and now.events):
        raise UsageError(f"{source.label}: user {user} has no event in {source.split}; leave USER out to draw one")
    known = source.known()
    numbers = [number for number, place in enumerate(places, 1) if number >= first and known[place]][:steps]
    questions = _questions(source, dense, places, numbers)
    return Person(
        user=version.raw_users[dense - 1].item() if dense else user,
        is_warm=bool(dense and version.known_users[dense]),
        dataset=version.name,
        version=version.id,
        split=source.split,
        source=source.label,
        titles=titles.note,
        events=len(places),
        steps=tuple(
            Step(
                number=number,
                time_s=question.time_s,
                events_before=len(question.history),
                last=tuple(map(titles.of, question.history[-last:] if last else [])),
                offers=offers,
                taken=titles.of(question.target),
            )
            for number, question, offers in zip(numbers, questions, source.offers(questions, titles), strict=True)
        ),
        now=now,
    )


def _questions(source: Source, dense: int, places: Sequence[int], numbers: Sequence[int]) -> list[Question]:
    """What is asked before the events of these numbers; `places` are all of the person's events in the stream."""
    version, stream = source.version, source.stream
    history: list[int | str] = []
    for split in SPLITS[: SPLITS.index(source.split)]:
        history += version.raw_items[version.sequences(split).of(dense) - 1].tolist() if dense else []
    before = len(history)
    history += [stream.raw_items[place] for place in places]
    found = []
    for number in numbers:
        place = places[number - 1]
        user, target, time_s = stream.raw_users[place], stream.raw_items[place], int(stream.times_s[place])
        found.append(Question(place, user, target, time_s, history[: before + number - 1]))
    return found
