"""What an expansion decides before a line is written: blocks of items, tastes, how many users, where pieces begin.

The source itself, seen from afar, says how blocks relate (Belletti et al. 2019, section 4, takes a reduced matrix for
it): its items in as many groups by popularity as there will be blocks, its users in as many by activity, and the share
of each group's events in each. A row of that small matrix is the taste of a coarse user.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from matinee.etl.synth_kernel import Crowd, Ways, cast, count_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.etl.synth_pattern import Pattern

__all__ = ["Piece", "Plan", "make_plan"]

# How much a copy differs from its user: enough that few are alike, not so much that what comes next is lost. Found by
# trying, with benchmarks/synth.py; a change of any of them is another generator.
_LEAST_KEPT: Final = 0.8  # of a user's events; the share is even from there to all
_ROAMING: Final = 0.2
_SWAPS: Final = 0.5
_NEAR: Final = 3
_SESSION_S: Final = 1800
_STRETCH: Final = 32
_SHIFT_SHARE: Final = 0.01  # of the source's time
_PIECE_ROWS: Final = 1 << 17


class Piece(NamedTuple):
    """Users written together: from `first` up to `stop`, which make `rows` rows."""

    first: int
    stop: int
    rows: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the lines of an expansion follow from, besides the source.

    Attributes:
        crowd: which source user each new one is a copy of, and how many events it keeps.
        ways: how it differs from that one.
        users: how many are made.
        pieces: the users in portions, whatever the number of threads.
    """

    crowd: Crowd
    ways: Ways
    users: int
    pieces: tuple[Piece, ...]

    @property
    def blocks(self) -> int:
        """Copies of the source's items."""
        return len(self.ways.tastes)


def make_plan(pattern: Pattern, rows: int, seed: int) -> Plan:
    """Plan an expansion of `pattern` to exactly `rows` rows, at least as many as it has itself."""
    lengths = np.diff(pattern.sequences.offsets)
    copies = math.ceil(rows / (_LEAST_KEPT * pattern.events)) + 1
    steps, starts = _rounds(lengths.size, copies, seed)
    starts_of_pieces = np.empty(rows // _PIECE_ROWS + 2, np.int64)
    crowd = Crowd(lengths, steps, starts, seed, _LEAST_KEPT, rows, 0, 0, 0, 0)
    users, found, whole_from, partial, extra, last = cast(crowd, rows, _PIECE_ROWS, starts_of_pieces)
    crowd = crowd._replace(users=users, whole_from=whole_from, partial=partial, extra=extra, last=last)
    bounds = [*(start for start in starts_of_pieces[:found].tolist() if start < users), users]
    pieces = tuple(Piece(a, b, count_rows(crowd, a, b)) for a, b in pairwise(bounds))
    ways = Ways(
        tastes=_tastes(pattern, _blocks(pattern, rows)),
        roaming=_ROAMING,
        swaps=_SWAPS,
        near=_NEAR,
        session_s=_SESSION_S,
        stretch=_STRETCH,
        shift_s=int((pattern.last - pattern.first) * _SHIFT_SHARE),
        first=pattern.first,
        last=pattern.last,
    )
    return Plan(crowd, ways, users, pieces)


def _blocks(pattern: Pattern, rows: int) -> int:
    """The square root of the expansion: items grow, and users grow more, as from one MovieLens to the next."""
    return max(1, min(round(math.sqrt(rows / pattern.events)), pattern.items))


def _tastes(pattern: Pattern, blocks: int) -> NDArray[np.float64]:
    """(blocks, blocks): the source's own users by activity and items by popularity, in equal groups each.

    Groups of users have equally many events, groups of items equally many items, the most popular first.
    """
    sequences = pattern.sequences
    lengths = np.diff(sequences.offsets)
    busiest = np.argsort(-lengths, kind="stable")
    group_of_user = np.empty(lengths.size, np.int64)
    before = np.cumsum(lengths[busiest]) - lengths[busiest]
    group_of_user[busiest] = before * blocks // pattern.events
    popular = np.argsort(-np.bincount(sequences.item, minlength=pattern.items), kind="stable")
    group_of_item = np.empty(pattern.items, np.int64)
    group_of_item[popular] = np.arange(pattern.items) * blocks // pattern.items
    pairs = np.repeat(group_of_user, lengths) * blocks + group_of_item[sequences.item]
    events = np.bincount(pairs, minlength=blocks * blocks).reshape(blocks, blocks).astype(np.float64)
    # A group of users can be empty where a few are very busy: then it tastes like everybody.
    events[events.sum(axis=1) == 0] = events.sum(axis=0)
    return np.cumsum(events / events.sum(axis=1, keepdims=True), axis=1)


def _rounds(users: int, copies: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A permutation of the source's users for each copy of them: place j is user (step * j + start) mod users."""
    random = np.random.Generator(np.random.PCG64([seed, 1]))
    steps = random.integers(1, users + 1, copies)
    while (shared := np.gcd(steps, users) > 1).any():
        steps[shared] = random.integers(1, users + 1, int(shared.sum()))
    return steps, random.integers(0, users, copies)
