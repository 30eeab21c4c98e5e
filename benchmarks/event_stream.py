"""The compiled loops of the log generator: one user after another, each from a random stream of its own.

An event is packed into 64 bits, `movie << 34 | second << 4 | half_stars - 1`, so that sorting a user's events sorts
them by movie, and formatting needs nothing else but the user.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fill_users", "format_rows"]

_SHORTEST = 20
_LOG_MEAN, _LOG_DEVIATION = 3.76, 1.3  # lengths beyond the shortest: median 43, mean 100
_TIE_SHARE = 0.35
_NEW_SESSION_SHARE = 1 / 40
_SECONDS_BETWEEN_RATINGS = 12.0
_SECONDS_BETWEEN_SESSIONS = 150 * 86_400.0
_OUT_AT_FIRST = 0.3  # share of the movies that exist on the first day
_QUIET_END_DAYS = 30  # nobody arrives in the last month, so that first sessions end inside the log
_RUSH_HOUR_AT = 0.6  # where in the log `half_in_one_hour` puts its hour
_ROW_BYTES = 40


@njit(cache=True)
def _draw(state: NDArray[np.uint64]) -> float:
    """SplitMix64, as a float in [0, 1)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return float(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _length(state: NDArray[np.uint64], longest: int, left: int) -> int:
    """Events of the next user; whoever would leave too few for another takes the rest."""
    normal = math.sqrt(-2 * math.log(1 - _draw(state))) * math.cos(2 * math.pi * _draw(state))
    length = min(longest, _SHORTEST + int(math.exp(_LOG_MEAN + _LOG_DEVIATION * normal)))
    return left if left - length < _SHORTEST else length


@njit(cache=True)
def _next_second(state: NDArray[np.uint64], second: int, last: int) -> int:
    """When this user rates next: at once, within seconds, or in a later session."""
    chance = _draw(state)
    if chance < _TIE_SHARE:
        return second
    wait = -math.log(1 - _draw(state))
    if chance > 1 - _NEW_SESSION_SHARE:
        return second + int(min(wait * _SECONDS_BETWEEN_SESSIONS, (last - second) / 8 * _draw(state)))
    return min(last, second + 1 + int(wait * _SECONDS_BETWEEN_RATINGS))


@njit(cache=True)
def _new_movie(
    state: NDArray[np.uint64],
    out_now: int,
    user: int,
    seen_by: NDArray[np.int64],
    keep: NDArray[np.float64],
    other: NDArray[np.int64],
) -> int:
    """A movie by popularity that is out and that this user has not rated; marks it as rated."""
    for _ in range(200):
        movie = int(_draw(state) * len(keep))
        if _draw(state) >= keep[movie]:
            movie = other[movie]
        if movie < out_now and seen_by[movie] != user:
            seen_by[movie] = user
            return movie
    movie = int(_draw(state) * out_now)  # who has seen all that is popular takes the next unseen one
    while seen_by[movie] == user:
        movie = (movie + 1) % out_now
    seen_by[movie] = user
    return movie


@njit(cache=True)
def fill_users(
    users: NDArray[np.int32],
    packed: NDArray[np.int64],
    user: int,
    wanted: int,
    left: int,
    longest: int,
    seen_by: NDArray[np.int64],
    arrival_cdf: NDArray[np.float64],
    keep: NDArray[np.float64],
    other: NDArray[np.int64],
    rating_cdf: NDArray[np.float64],
    seed: int,
    half_in_one_hour: bool,
) -> tuple[int, int]:
    """Write whole users from `user` on until `wanted` events are there, `left` being all that may still be written.

    Returns:
        The number of events written, and the user who comes next.
    """
    state = np.empty(1, np.uint64)
    days = len(arrival_cdf) - 1
    last = days * 86_400 - 1
    rush_hour = int(last * _RUSH_HOUR_AT) // 3600 * 3600
    filled = 0
    while filled < wanted:
        state[0] = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(user) * np.uint64(0x2545F4914F6CDD1D)
        length = _length(state, longest, left - filled)
        arrival = _draw(state) * arrival_cdf[days - _QUIET_END_DAYS]
        day = np.searchsorted(arrival_cdf, arrival, side="right") - 1
        second = day * 86_400 + int(_draw(state) * 86_400)
        for at in range(filled, filled + length):
            out_now = int(len(keep) * (_OUT_AT_FIRST + (1 - _OUT_AT_FIRST) * second / last))
            movie = _new_movie(state, out_now, user, seen_by, keep, other)
            rating = np.searchsorted(rating_cdf, _draw(state), side="right")
            moved = half_in_one_hour and _draw(state) < 0.5
            shown = rush_hour + int(_draw(state) * 3600) if moved else second
            packed[at] = movie << 34 | shown << 4 | rating
            second = _next_second(state, second, last)
        users[filled : filled + length] = user
        packed[filled : filled + length].sort()
        filled += length
        user += 1
    return filled, user


@njit(cache=True)
def _put_number(text: NDArray[np.uint8], at: int, number: int) -> int:
    """Write a number of 0 or more at `at`; returns where it ends."""
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        text[place] = 48 + number % 10
        number //= 10
    return at + digits


@njit(cache=True)
def format_rows(
    users: NDArray[np.int32], packed: NDArray[np.int64], movie_ids: NDArray[np.int64], first_second: int
) -> NDArray[np.uint8]:
    """The events as CSV lines 'user,movie,3.5,timestamp'."""
    comma, newline, point = 44, 10, 46
    text = np.empty(len(users) * _ROW_BYTES, np.uint8)
    at = 0
    for row in range(len(users)):
        half_stars = (packed[row] & 15) + 1
        at = _put_number(text, at, users[row])
        text[at] = comma
        at = _put_number(text, at + 1, movie_ids[packed[row] >> 34])
        text[at] = comma
        text[at + 1] = 48 + half_stars // 2
        text[at + 2] = point
        text[at + 3] = 53 if half_stars % 2 else 48
        text[at + 4] = comma
        at = _put_number(text, at + 5, first_second + (packed[row] >> 4 & (1 << 30) - 1))
        text[at] = newline
        at += 1
    return text[:at]
