from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matinee.etl.facts import Facts
from matinee.schema.certificate import SplitFacts, Timeline
from matinee.schema.layout import SPLITS

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Event(NamedTuple):
    user: int
    item: int
    time: int
    split: int


def dense(values: list[int]) -> list[int]:
    ids: dict[int, int] = {}
    return [ids.setdefault(value, len(ids) + 1) for value in values]


times = st.one_of(
    st.integers(0, 4),
    st.integers(0, 1000),
    st.integers(INT64_MIN, INT64_MAX),
    st.sampled_from([INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX]),
)
small = st.integers(0, 6)


@st.composite
def logs(draw: st.DrawFn, *, by_time: bool) -> list[Event]:
    rows = draw(st.lists(st.tuples(small, small, times, st.integers(0, 2)), min_size=1, max_size=60))
    splits = [row[3] for row in rows]
    return [
        Event(*columns)
        for columns in zip(
            dense([row[0] for row in rows]),
            dense([row[1] for row in rows]),
            sorted(row[2] for row in rows),
            sorted(splits) if by_time else splits,
            strict=True,
        )
    ]


def counted(events: list[Event], borders: list[int], *, by_time: bool, one_code: bool = False) -> Facts:
    """Facts of these events in batches cut at the borders; with `one_code`, also wherever the split changes."""
    cuts = {0, len(events), *(border for border in borders if border < len(events))}
    if one_code:
        cuts |= {i for i in range(1, len(events)) if events[i].split != events[i - 1].split}
    facts = Facts(events[0].time, events[-1].time, by_time=by_time)
    for start, stop in pairwise(sorted(cuts)):
        part = events[start:stop]
        facts.add(
            np.array([event.user for event in part], np.int32),
            np.array([event.item for event in part], np.int32),
            np.array([event.time for event in part], np.int64),
            part[0].split if one_code else np.array([event.split for event in part], np.uint8),
        )
    return facts


def expected_split(events: list[Event], split: int, *, by_time: bool) -> SplitFacts:
    train = [event for event in events if event.split == 0]
    own = [event for event in events if event.split == split]
    users, items = {event.user for event in train}, {event.item for event in train}
    by_cold = [event for event in own if event.user not in users]
    on_cold = [event for event in own if event.item not in items]
    return SplitFacts(
        rows=len(own),
        users=len({event.user for event in own}),
        items=len({event.item for event in own}),
        first=min((event.time for event in own), default=None),
        last=max((event.time for event in own), default=None),
        cold_users=len({event.user for event in by_cold}),
        cold_items=len({event.item for event in on_cold}),
        by_cold_users=len(by_cold),
        on_cold_items=len(on_cold),
        cold_both=sum(event.item not in items for event in by_cold) if by_time else None,
        before_train=sum(any(event.time < other.time for other in train) for event in own) if split else 0,
    )


def expected_timeline(events: list[Event], *, by_time: bool) -> Timeline:
    first, last = events[0].time, events[-1].time
    width = max(1, math.ceil(Fraction(last - first + 1, 200)))
    edges = [first]
    while edges[-1] <= last:
        edges.append(edges[-1] + width)
    users = {event.user for event in events if event.split == 0}
    items = {event.item for event in events if event.split == 0}

    def bins(chosen: list[Event]) -> tuple[int, ...]:
        return tuple(sum(low <= event.time < high for event in chosen) for low, high in pairwise(edges))

    by_cold = bins([event for event in events if event.user not in users])
    on_cold = bins([event for event in events if event.item not in items])
    return Timeline(tuple(edges), bins(events), by_cold if by_time else (), on_cold if by_time else ())


def spaced(largest: int) -> list[int]:
    marks = [round(10 ** (i * math.log10(largest) / 199)) for i in range(200)]
    return sorted({min(max(mark, 1), largest) for mark in marks})


def check(facts: Facts, events: list[Event], *, by_time: bool) -> None:
    assert facts.split_facts() == tuple(expected_split(events, split, by_time=by_time) for split in range(3))
    assert facts.timeline() == expected_timeline(events, by_time=by_time)
    at = Counter(event.time for event in events)
    assert facts.tied_events == sum(count for count in at.values() if count > 1)

    of_item = sorted(Counter(event.item for event in events).values(), reverse=True)
    of_user = Counter(event.user for event in events)
    assert facts.items == len(of_item)
    assert facts.users == len(of_user)
    assert facts.popularity() == tuple((rank, of_item[rank - 1]) for rank in spaced(len(of_item)))
    starts = spaced(max(of_user.values()))
    per_start = Counter(max(start for start in starts if start <= length) for length in of_user.values())
    assert facts.lengths() == tuple(sorted(per_start.items()))

    totals = facts.totals(facts.users)
    assert list(totals) == list(SPLITS)
    for code, split in enumerate(SPLITS):
        assert totals[split].dtype == np.int64
        own = Counter(event.user for event in events if event.split == code)
        assert totals[split].tolist() == [own[user] for user in range(len(of_user) + 1)]


borders = st.lists(st.integers(0, 60), max_size=8)
# Eval and test before, in and after a tie with train; every border cuts the tie.
TIE = [Event(1, 1, 4, 1), Event(2, 1, 5, 2), Event(1, 2, 5, 0), Event(3, 2, 5, 1), Event(1, 3, 5, 2), Event(1, 1, 6, 2)]


@settings(deadline=None)
@given(logs(by_time=False), borders)
@example(TIE, [1, 2, 3, 4, 5])
@example([Event(1, 1, INT64_MIN, 0), Event(2, 1, INT64_MAX, 1)], [])
def test_splits_not_by_time(events: list[Event], borders: list[int]) -> None:
    check(counted(events, borders, by_time=False), events, by_time=False)


@settings(deadline=None)
@given(logs(by_time=True), borders, st.booleans())
@example([Event(1, 1, INT64_MIN, 0), Event(2, 2, INT64_MAX, 2)], [1], True)
def test_splits_by_time(events: list[Event], borders: list[int], one_code: bool) -> None:
    check(counted(events, borders, by_time=True, one_code=one_code), events, by_time=True)


@pytest.mark.parametrize("by_time", [True, False])
def test_counters_grow_and_keep_what_they_have(by_time: bool) -> None:
    rng = np.random.default_rng(5)
    n = 6000
    users, items = (dense(rng.integers(0, 4000, n).tolist()) for _ in range(2))
    splits = np.sort(rng.integers(0, 3, n)) if by_time else rng.integers(0, 3, n)
    seconds = np.sort(rng.integers(0, 3000, n)).tolist()
    events = [Event(*columns) for columns in zip(users, items, seconds, splits.tolist(), strict=True)]
    facts = counted(events, [900, 1100, 5000], by_time=by_time)

    for code, split in enumerate(SPLITS):
        own = Counter(event.user for event in events if event.split == code)
        assert facts.totals(facts.users)[split].tolist() == [own[user] for user in range(facts.users + 1)]
    assert sum(part.rows for part in facts.split_facts()) == sum(facts.timeline().events) == n
    counts = sorted(Counter(items).values(), reverse=True)
    assert len(counts) > 2048
    assert facts.popularity() == tuple((rank, counts[rank - 1]) for rank in spaced(len(counts)))
    assert len(facts.popularity()) <= 200


def test_one_user_and_a_long_list() -> None:
    events = [Event(1, 1, 0, 0)] * 3000
    facts = counted(events, [], by_time=True)
    assert facts.lengths() == ((3000, 1),)
    assert facts.popularity() == ((1, 3000),)
    assert facts.tied_events == 3000
    assert facts.timeline() == Timeline((0, 1), (3000,), (0,), (0,))


def test_edges_beyond_int64() -> None:
    timeline = counted([Event(1, 1, INT64_MIN, 0), Event(1, 1, INT64_MAX, 0)], [], by_time=True).timeline()
    assert len(timeline.events) == 200
    assert timeline.edges[0] == INT64_MIN
    assert timeline.edges[-1] > INT64_MAX >= timeline.edges[-2]
    assert timeline.events[0] == timeline.events[-1] == 1


@pytest.mark.parametrize("by_time", [True, False])
def test_nothing_at_all(by_time: bool) -> None:
    facts = Facts(0, 0, by_time=by_time)
    none = np.empty(0, np.int32)
    facts.add(none, none, np.empty(0, np.int64), 0)
    facts.add(none, none, np.empty(0, np.int64), np.empty(0, np.uint8))
    empty = SplitFacts(0, 0, 0, None, None, 0, 0, 0, 0, 0 if by_time else None, 0)
    assert facts.split_facts() == (empty, empty, empty)
    assert facts.popularity() == facts.lengths() == ()
    assert (facts.users, facts.items, facts.tied_events) == (0, 0, 0)
    assert [counts.tolist() for counts in facts.totals(0).values()] == [[0], [0], [0]]
    assert facts.timeline().events == (0,)


def test_a_plain_number_is_what_json_needs() -> None:
    facts = counted(TIE, [2], by_time=False)
    for part in facts.split_facts():
        values = [getattr(part, name) for name in SplitFacts.__slots__]
        assert all(value is None or type(value) is int for value in values)
    timeline = facts.timeline()
    numbers = [*timeline.edges, *timeline.events, *sum(facts.popularity(), ()), *sum(facts.lengths(), ())]
    assert all(type(number) is int for number in numbers)
