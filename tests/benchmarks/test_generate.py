from __future__ import annotations

import re
from collections import Counter
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import pytest

import generate as module
from generate import generate

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"[1-9][0-9]*,[1-9][0-9]*,[0-5]\.[05],[0-9]{9,10}")


def _events(path: Path) -> list[tuple[int, int, float, int]]:
    header, *lines = path.read_text().splitlines()
    assert header == "userId,movieId,rating,timestamp"
    assert all(_LINE.fullmatch(line) for line in lines)
    fields = (line.split(",") for line in lines)
    return [(int(user), int(movie), float(rating), int(time)) for user, movie, rating, time in fields]


@pytest.mark.parametrize("rows", [1, 19, 20, 21, 39, 40, 41, 777, 5000])
def test_it_has_the_rows_that_were_asked_for(tmp_path: Path, rows: int) -> None:
    users, size_bytes = generate(tmp_path / "log.csv", rows)
    events = _events(tmp_path / "log.csv")
    assert len(events) == rows
    assert users == len({event[0] for event in events})
    assert size_bytes == (tmp_path / "log.csv").stat().st_size
    assert min(Counter(event[0] for event in events).values()) >= min(20, rows)


def test_it_looks_like_movielens(tmp_path: Path) -> None:
    generate(tmp_path / "log.csv", 200_000)
    events = _events(tmp_path / "log.csv")
    assert len({(user, movie) for user, movie, _, _ in events}) == len(events), "somebody rated a movie twice"
    assert all(before[:2] < after[:2] for before, after in pairwise(events)), "not by user, then movie"
    assert {rating for _, _, rating, _ in events} == {half / 2 for half in range(1, 11)}
    lengths = sorted(Counter(user for user, *_ in events).values())
    assert 40 < lengths[len(lengths) // 2] < 90
    assert lengths[-1] > 8 * lengths[len(lengths) // 2]
    movies = sorted(Counter(movie for _, movie, _, _ in events).values(), reverse=True)
    assert sum(movies[: len(movies) // 10]) > 0.4 * len(events)
    assert max(movie for _, movie, _, _ in events) > 5 * len(movies), "ids without gaps"
    times = Counter(time for *_, time in events)
    tied = sum(count for count in times.values() if count > 1)
    assert 0.4 < tied / len(events) < 0.8
    assert max(times.values()) < 40
    assert max(times) - min(times) > 24 * 365 * 86_400
    days = sorted(Counter(time // 86_400 for time in times.elements()).values())
    assert days[-1] > 5 * days[len(days) // 2], "no rush"


def test_a_user_does_not_follow_from_an_id(tmp_path: Path) -> None:
    generate(tmp_path / "log.csv", 50_000)
    starts = [min(time for *_, time in rows) for _, rows in groupby(_events(tmp_path / "log.csv"), lambda row: row[0])]
    rising = sum(before < after for before, after in pairwise(starts)) / (len(starts) - 1)
    assert 0.4 < rising < 0.6


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(tmp_path / name, 3000, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("half_in_one_hour", [False, True])
def test_every_order_has_the_same_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half_in_one_hour: bool
) -> None:
    generate(tmp_path / "one block", 20_000, half_in_one_hour=half_in_one_hour)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 1500)
    for order in ("user", "time", "random"):
        generate(tmp_path / order, 20_000, order=order, half_in_one_hour=half_in_one_hour)
    by_user = _events(tmp_path / "user")
    assert (tmp_path / "one block").read_bytes() == (tmp_path / "user").read_bytes()
    assert _events(tmp_path / "time") == sorted(by_user, key=lambda event: event[3])
    shuffled = _events(tmp_path / "random")
    assert sorted(shuffled) == by_user
    times = [event[3] for event in shuffled]
    assert 0.45 < sum(before < after for before, after in pairwise(times)) / len(times) < 0.55
    busiest = Counter(time // 3600 for time in times).most_common(1)[0][1] / len(times)
    assert (busiest > 0.48) == half_in_one_hour


def test_a_run_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError

    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(module, "format_rows", fail)
    with pytest.raises(OSError):  # noqa: PT011 - which one is of no interest
        generate(tmp_path / "logs" / "log.csv", 100, order="time")
    assert not list((tmp_path / "logs").iterdir())
