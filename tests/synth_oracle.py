"""An expansion once more, as slow plain Python: what docs/synth.md says, written apart from the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chance", "Parameters", "expanded", "tastes"]

_MASK = (1 << 64) - 1

Event = tuple[int, int, str, int]  # user and item from 0 by first appearance, rating as text, second


@dataclass(frozen=True)
class Parameters:
    """As the note of an expansion has them."""

    least_kept: float
    roaming: float
    swaps: float
    near: int
    session_s: int
    stretch: int
    shift_s: int


class Chance:
    """SplitMix64, one stream a user."""

    def __init__(self, seed: int, user: int) -> None:
        self._state = _mix(_mix(seed) + user * 0xD1342543DE82EF95)

    def draw(self) -> float:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return (_mix(self._state) >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        return int(self.draw() * limit)


def _mix(z: int) -> int:
    z &= _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def tastes(events: Sequence[Event], blocks: int) -> list[list[float]]:
    """Cumulative shares of blocks by coarse user; `events` in order of time."""
    length: dict[int, int] = {}
    count: dict[int, int] = {}
    for user, item, _, _ in events:
        length[user] = length.get(user, 0) + 1
        count[item] = count.get(item, 0) + 1
    group_of_user, before = {}, 0
    for user in sorted(length, key=lambda user: (-length[user], user)):
        group_of_user[user] = before * blocks // len(events)
        before += length[user]
    ranked = sorted(count, key=lambda item: (-count[item], item))
    group_of_item = {item: place * blocks // len(count) for place, item in enumerate(ranked)}
    table = [[0] * blocks for _ in range(blocks)]
    for user, item, _, _ in events:
        table[group_of_user[user]][group_of_item[item]] += 1
    everybody = [sum(column) for column in zip(*table, strict=True)]
    rows = [row if sum(row) else everybody for row in table]
    return [[sum(row[: block + 1]) / sum(row) for block in range(blocks)] for row in rows]


def expanded(
    events: Sequence[Event],
    rows: int,
    seed: int,
    parameters: Parameters,
    rounds: Sequence[tuple[int, int]],
    blocks: int,
) -> list[tuple[int, int, str, int]]:
    """The rows: user and item as they stand in the text, rating, second.

    Args:
        events: the source in order of time, without exact repeats.
        rows: how many rows.
        seed: of the expansion.
        parameters: how users differ from their originals.
        rounds: (step, start) of the permutation of users in each copy of all of them.
        blocks: copies of the items.
    """
    users: dict[int, list[int]] = {}
    takers: dict[int, list[int]] = {}
    for number, (user, item, _, _) in enumerate(events):
        users.setdefault(user, []).append(number)
        takers.setdefault(item, []).append(number)
    originals, kept = _crowd([users[user] for user in sorted(users)], rows, seed, parameters, rounds)
    coarse = tastes(events, blocks)
    lines = []
    for user, (original, size) in enumerate(zip(originals, kept, strict=True)):
        for item, rating, second in _user(
            events, original, size, Chance(seed, user), parameters, coarse, users, takers
        ):
            lines.append((user + 1, item, rating, second))
    return lines


def _crowd(
    people: list[list[int]], rows: int, seed: int, parameters: Parameters, rounds: Sequence[tuple[int, int]]
) -> tuple[list[list[int]], list[int]]:
    """Each new user's original, and how many of its events it keeps."""
    originals: list[list[int]] = []
    kept: list[int] = []
    while sum(kept) < rows:
        copy, place = divmod(len(kept), len(people))
        step, start = rounds[copy]
        original = people[(step * place + start) % len(people)]
        kept.append(len(original) - Chance(seed, len(kept)).below(_spare(original, parameters) + 1))
        originals.append(original)
    left = kept[-1] - (sum(kept) - rows)
    if left >= min(kept[-1], len(originals[-1]) - _spare(originals[-1], parameters)):
        return originals, [*kept[:-1], left]
    giving = sum(len(original) - size for original, size in zip(originals[:-1], kept[:-1], strict=True))
    if giving < left:
        return originals, [*kept[:-1], left]
    originals.pop()
    kept.pop()
    for user in reversed(range(len(kept))):
        given = min(left, len(originals[user]) - kept[user])
        kept[user] += given
        left -= given
    return originals, kept


def _spare(original: list[int], parameters: Parameters) -> int:
    return int((1.0 - parameters.least_kept) * len(original))


def _user(
    events: Sequence[Event],
    original: list[int],
    size: int,
    chance: Chance,
    parameters: Parameters,
    coarse: list[list[float]],
    users: dict[int, list[int]],
    takers: dict[int, list[int]],
) -> list[tuple[int, str, int]]:
    chance.draw()  # the share that is kept
    gap_size = len(original) - size
    gap = chance.below(size + 1)
    first, last = events[0][3], events[-1][3]
    begins, ends = events[original[0]][3], events[original[-1]][3]
    earliest = max(-parameters.shift_s, first - begins)
    shift = earliest + chance.below(min(parameters.shift_s, last - ends) - earliest + 1)
    taste = coarse[chance.below(len(coarse))]
    home = block = _pick(taste, chance)
    has = {events[number][1] for number in original}
    block_of: dict[int, int] = {}
    followed: list[int] = []
    lines = []
    for place, number in enumerate(original):
        _, item, rating, second = events[number]
        paused = place > 0 and second - events[original[place - 1]][3] > parameters.session_s
        if paused or chance.draw() * parameters.stretch < 1.0:
            block = _pick(taste, chance) if chance.draw() < parameters.roaming else home
            followed = []
            if place > 0 and chance.draw() < parameters.swaps:
                followed = _followed(events, original[place - 1], chance, parameters, users, takers)
        if gap <= place < gap + gap_size:
            continue
        while followed:
            _, other_item, other_rating, other_second = events[followed.pop(0)]
            if other_second - second > parameters.shift_s:
                followed = []
            elif other_item not in has:
                item, rating = other_item, other_rating
                break
        has.add(item)
        item_block = block_of.setdefault(item, block)
        lines.append((item_block * len(takers) + item + 1, rating, second + shift))
    return lines


def _pick(taste: list[float], chance: Chance) -> int:
    drawn = chance.draw()
    return next((block for block, share in enumerate(taste[:-1]) if drawn < share), len(taste) - 1)


def _followed(
    events: Sequence[Event],
    number: int,
    chance: Chance,
    parameters: Parameters,
    users: dict[int, list[int]],
    takers: dict[int, list[int]],
) -> list[int]:
    """What somebody else did after the same item."""
    user, item, _, second = events[number]
    reach = 1 + chance.below(parameters.near)
    place = takers[item].index(number) + (reach if chance.draw() < 0.5 else -reach)
    if not 0 <= place < len(takers[item]):
        return []
    found = takers[item][place]
    other, _, _, other_second = events[found]
    if other == user or abs(other_second - second) > parameters.shift_s:
        return []
    return [number for number in users[other] if number > found]
