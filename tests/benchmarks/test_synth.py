"""What the comparison of expansions counts, on a log small enough to count by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from small_version import small_version
from synth_figures import likeness, look_at
from synth_plots import draw, tables

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_is_counted_as_by_hand(tmp_path: Path) -> None:
    first = [(1, 10, 0), (1, 11, 0), (1, 12, 50), (1, 10, 5000)]
    look = look_at(small_version(tmp_path, [*first, (2, 10, 0), (2, 13, 60), (3, 14, 9000), (3, 10, 9001)]))
    assert (look["rows"], look["users"], look["items"]) == (8, 3, 5)
    assert look["popularity"]["first"] == pytest.approx(4 / 8)
    assert look["popularity"]["items_below_5"] == 1
    assert look["lengths"]["mean"] == pytest.approx(8 / 3)
    assert look["lengths"]["at_least"][:3] == [(1, 1.0), (2, 1.0), (3, pytest.approx(1 / 3))]
    assert dict(look["gaps"]["at_most"])[0] == pytest.approx(1 / 5)
    assert dict(look["gaps"]["at_most"])[60] == pytest.approx(4 / 5)
    assert look["gaps"]["new_session"] == pytest.approx(1 / 5)
    assert look["tied"] == {"with_own": pytest.approx(2 / 8), "with_anybody": pytest.approx(3 / 8)}
    assert look["cold"]["test"] == {"by_users": 1.0, "on_items": 0.5}


def test_likeness_is_told_of_copies_of_one_user_only(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("userId,itemId,timestamp\n1,1,1\n1,2,1\n2,9,5\n3,2,7\n3,13,8\n")  # item 13 is item 3 of block 1
    assert likeness(log, [4, 5, 4], 10)["0.5"] == pytest.approx(1 / 3)


def test_pictures_are_the_same_bytes_again_and_small(tmp_path: Path) -> None:
    rows = [(user, item, 100 * user + item) for user in range(9) for item in range(9)]
    looks = {name: look_at(small_version(tmp_path / name, rows)) for name in ("one", "two")}
    judged = {"one": {"markov": {"hr@10": 0.5, "low": 0.4, "high": 0.6}}}
    once, again = (draw(looks, judged, tmp_path / name) for name in ("once", "again"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    assert len(once) == 5
    assert all(path.stat().st_size < 200_000 for path in once)
    table = tables({"logs": looks, "next": judged})
    assert "| HR@10 of `markov` on test (95% interval) | 0.500 (0.400 to 0.600) |  |" in table
