"""The compiled loops of the expansion: one new user after another, each from a random stream of its own, as CSV lines.

A new user is a user of the source again: the same gaps, ties and sessions, moved in time as a whole, one run of events
left out, some stretches gone the way of somebody else who took the same item just then, and each stretch in one block
of item copies. As a user depends on nothing but the source, the plan and its own number, users can be made anywhere, in
any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.etl.synth_pattern import Sequences

__all__ = ["Crowd", "Ways", "cast", "count_rows", "original_of", "write_users"]

_GOLDEN = 0x9E3779B97F4A7C15


class Crowd(NamedTuple):
    """Who is made: new user k is a copy of one user of the source, and keeps a part of its events.

    Attributes:
        lengths: (source users,) int64 events of each.
        steps, starts: (copies,) int64 permutation of the source's users in each copy of all of them.
        seed: of everything.
        least_kept: share of its events that a user keeps at least.
        users: how many are made.
        whole_from: users from here on keep all of their events, so that the rows come out exactly.
        partial, extra: this user keeps so many events more than it would, for the same reason.
        last: events of the last user where it is cut short; 0 where it is not.
    """

    lengths: NDArray[np.int64]
    steps: NDArray[np.int64]
    starts: NDArray[np.int64]
    seed: int
    least_kept: float
    users: int
    whole_from: int
    partial: int
    extra: int
    last: int


class Ways(NamedTuple):
    """How users differ from the ones they are copies of.

    Attributes:
        tastes: (blocks, blocks) float64 cumulative shares of blocks, a row a coarse user.
        roaming: chance that a stretch of events lies in another block than the user's own.
        swaps: chance that a stretch goes on as another user did after the same item.
        near: occurrences of an item, to both sides in time, among which that other user is looked for.
        session_s: a longer pause ends a stretch.
        stretch: events after which one ends anyhow, on average.
        shift_s: the most by which a user is moved in time, to both sides; and how far away in time the other may be.
        first, last: times between which everything stays.
    """

    tastes: NDArray[np.float64]
    roaming: float
    swaps: float
    near: int
    session_s: int
    stretch: int
    shift_s: int
    first: int
    last: int


@njit(nogil=True, cache=True)
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True)
def _draw(state: NDArray[np.uint64]) -> float:
    """SplitMix64, as a float in [0, 1)."""
    state[0] += np.uint64(_GOLDEN)
    return float(_mix(state[0]) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _begin(state: NDArray[np.uint64], seed: int, user: int) -> None:
    """Start the stream of one user."""
    state[0] = _mix(_mix(np.uint64(seed)) + np.uint64(user) * np.uint64(0xD1342543DE82EF95))


@njit(nogil=True, cache=True)
def original_of(crowd: Crowd, user: int) -> int:
    """The source's user that this one is a copy of."""
    people = crowd.lengths.size
    copy = user // people
    return int((crowd.steps[copy] * (user - copy * people) + crowd.starts[copy]) % people)


@njit(nogil=True, cache=True)
def _least(crowd: Crowd, length: int) -> int:
    return length - int((1.0 - crowd.least_kept) * length)


@njit(nogil=True, cache=True)
def _thinned(crowd: Crowd, length: int, state: NDArray[np.uint64]) -> int:
    """How many of its events a user keeps, if nothing else is asked of it."""
    return length - int(_draw(state) * (length - _least(crowd, length) + 1))


@njit(nogil=True, cache=True)
def _kept(crowd: Crowd, user: int, length: int, state: NDArray[np.uint64]) -> int:
    """How many events this user has; always takes one number from its stream."""
    kept = _thinned(crowd, length, state)
    if user == crowd.users - 1 and crowd.last > 0:
        return crowd.last
    if user >= crowd.whole_from:
        return length
    return kept + crowd.extra if user == crowd.partial else kept


@njit(nogil=True, cache=True)
def cast(
    crowd: Crowd, rows: int, piece_rows: int, piece_starts: NDArray[np.int64]
) -> tuple[int, int, int, int, int, int]:
    """Go through users until they have `rows` rows between them.

    The one who would have too many has fewer, if that is still a part that others have, too; else its rows go to
    those before it, who are thinned less. Writes the first user of each piece of about `piece_rows` rows.

    Returns:
        The number of users, of pieces, and what Crowd calls whole_from, partial, extra and last.
    """
    state = np.empty(1, np.uint64)
    total = user = pieces = length = kept = 0
    while total < rows:
        if total >= pieces * piece_rows:
            piece_starts[pieces] = user
            pieces += 1
        _begin(state, crowd.seed, user)
        length = crowd.lengths[original_of(crowd, user)]
        kept = _thinned(crowd, length, state)
        total += kept
        user += 1
    left = kept - (total - rows)
    if left >= min(kept, _least(crowd, length)):
        return user, pieces, user, -1, 0, left
    whole_from = user - 1
    while whole_from > 0:
        _begin(state, crowd.seed, whole_from - 1)
        before = crowd.lengths[original_of(crowd, whole_from - 1)]
        slack = before - _thinned(crowd, before, state)
        if slack >= left:
            return user - 1, pieces, whole_from, whole_from - 1, left, 0
        left -= slack
        whole_from -= 1
    # Nobody has anything to give: a log so small that its last user is a stub.
    return user, pieces, user, -1, 0, kept - (total - rows)


@njit(nogil=True, cache=True)
def count_rows(crowd: Crowd, first: int, stop: int) -> int:
    """Rows of the users first..stop-1."""
    state = np.empty(1, np.uint64)
    rows = 0
    for user in range(first, stop):
        _begin(state, crowd.seed, user)
        rows += _kept(crowd, user, crowd.lengths[original_of(crowd, user)], state)
    return rows


@njit(nogil=True, cache=True)
def _block(taste: NDArray[np.float64], state: NDArray[np.uint64]) -> int:
    chance = _draw(state)
    block = 0
    while block < taste.size - 1 and chance >= taste[block]:
        block += 1
    return block


@njit(nogil=True, cache=True)
def _shift(ways: Ways, begins: int, ends: int, state: NDArray[np.uint64]) -> int:
    """By how many seconds a user is moved who is there from `begins` to `ends`."""
    least = max(-ways.shift_s, ways.first - begins)
    most = min(ways.shift_s, ways.last - ends)
    return least + int(_draw(state) * (most - least + 1))


@njit(nogil=True, cache=True)
def _other(
    source: Sequences, ways: Ways, event: int, start: int, end: int, state: NDArray[np.uint64]
) -> tuple[int, int]:
    """The events of somebody else after one on the same item at about the same time; none where nobody is found.

    `start` and `end` are those of the user whose event it is.
    """
    item = source.item[event]
    reach = 1 + int(_draw(state) * ways.near)
    place = source.place[event] + (reach if _draw(state) < 0.5 else -reach)
    if place < source.item_offsets[item] or place >= source.item_offsets[item + 1]:
        return 0, 0
    found = source.by_item[place]
    if start <= found < end or abs(source.time[found] - source.time[event]) > ways.shift_s:
        return 0, 0
    return found + 1, source.offsets[np.searchsorted(source.offsets, found, side="right")]


@njit(nogil=True, cache=True)
def _number(text: NDArray[np.uint8], at: int, number: int) -> int:
    """Write a number at `at`; returns where it ends."""
    if number < 0:
        text[at] = 45
        at += 1
        number = -number
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        text[place] = 48 + number % 10
        number //= 10
    return at + digits


@njit(nogil=True, cache=True)
def write_users(
    source: Sequences,
    crowd: Crowd,
    ways: Ways,
    first_user: int,
    stop: int,
    rating_texts: NDArray[np.uint8],
    rating_sizes: NDArray[np.int64],
    marks: NDArray[np.int64],
    placed_in: NDArray[np.int32],
    seen: NDArray[np.uint8],
    text: NDArray[np.uint8],
) -> int:
    """Write the lines of the users first_user..stop-1; returns how many bytes they are.

    Users and items count from 0 here and from 1 in the text, where an item's id is block * items + item + 1.

    `rating_texts` (codes, width) and `rating_sizes` (codes,) are what stands between the commas, without codes where
    there is no such column. `marks` and `placed_in`, (source items,), are scratch of a thread, zero at first: 2k + 1 if
    the original of user k has the item and 2k + 2 once k has it itself, and the block that k has it from. `seen`,
    (blocks * source items,), is set to 1 where an item occurs. `text` has room for the lines.
    """
    state = np.empty(1, np.uint64)
    items = marks.size
    at = 0
    for user in range(first_user, stop):
        _begin(state, crowd.seed, user)
        original = original_of(crowd, user)
        start, end = source.offsets[original], source.offsets[original + 1]
        gap_size = end - start - _kept(crowd, user, end - start, state)
        gap = start + int(_draw(state) * (end - start - gap_size + 1))
        shift = _shift(ways, source.time[start], source.time[end - 1], state)
        taste = ways.tastes[int(_draw(state) * ways.tastes.shape[0])]
        home = _block(taste, state)
        block = home
        other = other_end = 0
        theirs, ours = 2 * user + 1, 2 * user + 2
        for event in range(start, end):
            marks[source.item[event]] = theirs
        for event in range(start, end):
            new_session = event > start and source.time[event] - source.time[event - 1] > ways.session_s
            if new_session or _draw(state) * ways.stretch < 1.0:
                block = _block(taste, state) if _draw(state) < ways.roaming else home
                other = other_end = 0
                if event > start and _draw(state) < ways.swaps:
                    other, other_end = _other(source, ways, event - 1, start, end, state)
            if gap <= event < gap + gap_size:
                continue
            item, rating = source.item[event], source.rating[event]
            while other < other_end:
                taken = marks[source.item[other]]
                other += 1
                if source.time[other - 1] - source.time[event] > ways.shift_s:  # nothing comes before its time
                    other_end = 0
                elif taken not in (theirs, ours):  # only an item that the user has not got anyhow
                    item, rating = source.item[other - 1], source.rating[other - 1]
                    break
            if marks[item] != ours:
                marks[item] = ours
                placed_in[item] = block
            copy = placed_in[item] * items + item
            seen[copy] = 1
            at = _number(text, at, user + 1)
            text[at] = 44
            at = _number(text, at + 1, copy + 1)
            text[at] = 44
            at += 1
            if rating_sizes.size:
                for place in range(rating_sizes[rating]):
                    text[at + place] = rating_texts[rating, place]
                at += rating_sizes[rating]
                text[at] = 44
                at += 1
            at = _number(text, at, source.time[event] + shift)
            text[at] = 10
            at += 1
    return at
