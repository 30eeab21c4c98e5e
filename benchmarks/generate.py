"""Writes a ratings log of any size that behaves like MovieLens, so that a benchmark needs no download.

    python benchmarks/generate.py /tmp/bench/ratings.csv --rows 20e6

The file is MovieLens' `ratings.csv` in shape: grouped by user, each user's rows by movie, so time jumps about and has
to be sorted for real. Users rate at least 20 movies, most few and some thousands; movies follow a Zipf-Mandelbrot tail
and appear over the years; people rate in sessions, with ties where a page of ratings is sent at once; some weeks see a
rush. Nobody rates a movie twice. The same rows, seed and options give the same bytes again.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from event_stream import fill_users, format_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Order", "generate"]

Order = Literal["user", "time", "random"]

_HEADER = b"userId,movieId,rating,timestamp\n"
_BLOCK_ROWS = 1 << 19
_FIRST_SECOND = 822_873_600  # 1996-01-29
_DAYS = 25 * 365 + 6
_LARGEST_MOVIE_ID = 290_000
_RATING_SHARES = (1.6, 3.1, 1.6, 6.6, 5.0, 19.6, 12.7, 26.5, 8.8, 14.5)  # 0.5 to 5.0, in percent, as in ML-25M
_RUSHES = 9


@dataclass(frozen=True, slots=True)
class _World:
    """What all users share: when people arrive, which movies there are, and the seed.

    Attributes:
        arrival_cdf: (days + 1,) share of the users who arrived before a day.
        movie_ids: (movies,) raw id of each movie, in order of appearance.
        keep, other: (movies,) alias table of the movies' popularity.
        rating_cdf: (10,) cumulative shares of 0.5, 1.0, ... 5.0.
    """

    arrival_cdf: NDArray[np.float64]
    movie_ids: NDArray[np.int64]
    keep: NDArray[np.float64]
    other: NDArray[np.int64]
    rating_cdf: NDArray[np.float64]
    seed: int
    half_in_one_hour: bool


def generate(
    out: Path, rows: int, *, seed: int = 1, order: Order = "user", half_in_one_hour: bool = False
) -> tuple[int, int]:
    """Write `rows` ratings to `out`; nothing is visible there before the file is complete.

    Memory does not grow with `rows`: other orders than by user go through temporary files beside `out`.

    Args:
        out: the CSV to write.
        rows: how many ratings.
        seed: another seed is another log.
        order: 'user' as MovieLens prints it, 'time' as a server logs it, 'random' as a shuffled export has it.
        half_in_one_hour: moves every second rating, drawn at random, into one hour.

    Returns:
        The number of users, and of bytes written.
    """
    world = _world(rows, seed, half_in_one_hour)
    users = 0
    with tempfile.TemporaryDirectory(prefix=".generate-", dir=out.parent) as folder:
        partial = Path(folder) / out.name
        with partial.open("wb") as file:
            file.write(_HEADER)
            blocks = _user_blocks(world, rows)
            if order != "user":
                blocks = _reordered(blocks, rows, order, seed, Path(folder))
            for user, packed in blocks:
                users = max(users, int(user.max()))
                format_rows(user, packed, world.movie_ids, _FIRST_SECOND).tofile(file)
            size_bytes = file.tell()
        partial.replace(out)
    return users, size_bytes


def _world(rows: int, seed: int, half_in_one_hour: bool) -> _World:
    random = np.random.Generator(np.random.PCG64(seed))
    movies = int(min(87_585, max(500, 6 * rows**0.5)))
    share = np.arange(movies) / movies
    keep, other = _alias_table(random.permutation((np.arange(movies) + 1 + movies / 200) ** -1.2))
    return _World(
        arrival_cdf=_arrivals(random),
        # The first movies have nearly consecutive ids, later ones wide gaps.
        movie_ids=((_LARGEST_MOVIE_ID - movies) * share**3).astype(np.int64) + np.arange(1, movies + 1),
        keep=keep,
        other=other,
        rating_cdf=np.cumsum(_RATING_SHARES) / sum(_RATING_SHARES),
        seed=seed,
        half_in_one_hour=half_in_one_hour,
    )


def _arrivals(random: np.random.Generator) -> NDArray[np.float64]:
    """Cumulative share of arrivals by day: growth, a yearly wave, and a few rushes that die down in days."""
    day = np.arange(_DAYS)
    density = (1 + 2 * day / _DAYS) * (1 + 0.3 * np.cos(2 * np.pi * day / 365.25))
    for start in random.integers(60, _DAYS - 60, _RUSHES):
        density += np.where(day >= start, 60 * np.exp(-np.maximum(day - start, 0) / 4), 0)
    return np.concatenate(([0.0], np.cumsum(density) / density.sum()))


def _alias_table(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vose's alias table: draw a row uniformly, keep it with `keep`, else take `other`; all draws cost the same."""
    keep = weights * (len(weights) / weights.sum())
    other = np.arange(len(weights))
    small, large = list(np.flatnonzero(keep < 1)), list(np.flatnonzero(keep >= 1))
    while small and large:
        poor, rich = small.pop(), large[-1]
        other[poor] = rich
        keep[rich] -= 1 - keep[poor]
        if keep[rich] < 1:
            small.append(large.pop())
    keep[small + large] = 1.0
    return keep, other


_Block = tuple[NDArray[np.int32], NDArray[np.int64]]


def _user_blocks(world: _World, rows: int) -> Iterator[_Block]:
    """Blocks of (user, packed event), whole users in order of their ids."""
    movies = len(world.movie_ids)
    longest = movies // 5  # what is out at the beginning is more than this, so a user never runs out of movies
    user = np.empty(_BLOCK_ROWS + longest + 40, np.int32)
    packed = np.empty(len(user), np.int64)
    seen_by = np.zeros(movies, np.int64)
    next_user = 1
    while rows:
        filled, next_user = fill_users(
            user,
            packed,
            next_user,
            min(rows, _BLOCK_ROWS),
            rows,
            longest,
            seen_by,
            world.arrival_cdf,
            world.keep,
            world.other,
            world.rating_cdf,
            world.seed,
            world.half_in_one_hour,
        )
        rows -= filled
        yield user[:filled], packed[:filled]


def _reordered(blocks: Iterator[_Block], rows: int, order: Order, seed: int, folder: Path) -> Iterator[_Block]:
    """The same events sorted by a key: scattered to files by ranges of it, then each file sorted in memory."""
    random = np.random.Generator(np.random.PCG64([seed, 2]))
    count = max(1, round(rows / _BLOCK_ROWS))
    files: list[IO[bytes]] = []
    edges: NDArray[np.int64] | None = None
    for user, packed in blocks:
        key = packed >> 4 & (1 << 30) - 1 if order == "time" else random.integers(0, 1 << 62, len(user))
        if edges is None:  # users are alike whatever their id, so the first ones tell where the times lie
            edges = np.quantile(key, np.arange(1, count) / count).astype(np.int64)
            files = [(folder / f"{number}.bucket").open("w+b") for number in range(count)]
        bucket = np.searchsorted(edges, key, side="right")
        by_bucket = np.argsort(bucket, kind="stable")
        starts = np.searchsorted(bucket[by_bucket], np.arange(count + 1))
        records = np.stack((key, user.astype(np.int64), packed), axis=1)[by_bucket]
        for number, file in enumerate(files):
            records[starts[number] : starts[number + 1]].tofile(file)
    for file in files:
        file.seek(0)
        records = np.fromfile(file, np.int64).reshape(-1, 3)
        file.close()
        if len(records):
            records = records[np.argsort(records[:, 0], kind="stable")]
            yield records[:, 1].astype(np.int32), np.ascontiguousarray(records[:, 2])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a ratings log that behaves like MovieLens.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--order", choices=get_args(Order), default="user")
    parser.add_argument("--half-in-one-hour", action="store_true")
    asked = parser.parse_args()
    users, size_bytes = generate(
        asked.out, asked.rows, seed=asked.seed, order=asked.order, half_in_one_hour=asked.half_in_one_hour
    )
    print(f"{asked.out}: {asked.rows:,} ratings by {users:,} users, {size_bytes / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
