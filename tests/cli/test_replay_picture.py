from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from matinee.cli.replay_picture import picture
from matinee.replay.folder import Record
from matinee.replay.journal import Asked, Told
from matinee.replay.live_document import LiveDocument
from matinee.replay.plan import Arm, Arrivals, Plan
from replay_oracle import make_stream, write_journals

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("sse-pt", "popularity", "markov")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Of a replay of three arms, all of whose targets are at the first rank, except for the second arm."""
    stream = make_stream([(number % 4 == 0, True) for number in range(40)])
    plan = Plan("toy", "0123456789abcdef", "00", arrivals=Arrivals(rate=200))
    now_us = time.time_ns() // 1000
    for name in NAMES:
        rank = 11 if name == "popularity" else 1
        asked = [
            Asked(event, 2 if event == 39 else 0, 200, 0, 0, rank, now_us, now_us, now_us + 4000, 500, 250, (0,) * 10)
            for event in range(40)
        ]
        told = [Told(event, 0, 1, 0, now_us, now_us, now_us + 100, 500, 250) for event in range(40)]
        write_journals(tmp_path, name, asked, told)
    return LiveDocument(tmp_path, record(plan), stream).make("finished")


def record(plan: Plan) -> Record:
    return Record("20261125", plan, tuple(Arm(name, "", "", "", "", "") for name in NAMES), (), {}).begun()


def drawn(document: dict[str, Any], width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width, height=height, markup=False, highlight=False)
    console.print(picture(document, width, height))
    return console.export_text().splitlines()


def row(lines: list[str], label: str) -> list[str]:
    """The cells of the first line with this label, which are two blanks apart."""
    (found, *_) = [line for line in lines if line.strip().startswith(label)]
    return [cell.strip() for cell in found.strip().removeprefix(label).split("  ") if cell.strip()]


def test_arms_stand_side_by_side(document: dict[str, Any]) -> None:
    lines = drawn(document, 120, 24)
    assert lines[0] == "toy 0123456789abcdef, eval: 40 events, 200 a second; finished"
    assert next(line.split() for line in lines if "sse-pt" in line) == list(NAMES)
    assert row(lines, "told") == ["40 of 40"] * 3
    assert row(lines, "ndcg@10") == ["1.0000", "0.0000", "1.0000"]
    assert row(lines, "warm users") == ["1.0000 of 10", "0.0000 of 10", "1.0000 of 10"]
    assert row(lines, "cold users") == ["1.0000 of 29", "0.0000 of 29", "1.0000 of 29"]
    assert row(lines, "answered within p50") == ["4.0 ms"] * 3
    assert row(lines, "unanswered") == ["1 connection lost"] * 3
    assert row(lines, "bytes out, in") == ["40.0 kB, 20.0 kB"] * 3
    assert lines[-1].startswith("network: ")
    assert "lo in " in lines[-1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 24), (200, 60)])
def test_it_fits_the_terminal(document: dict[str, Any], width: int, height: int) -> None:
    lines = drawn(document, width, height)
    assert len(lines) < height  # the cursor has a line of its own
    assert max(map(len, lines)) <= width
    assert any("told again" in line for line in lines) == (height >= 60)


def test_before_the_first_answer_there_is_nothing_to_say(tmp_path: Path) -> None:
    plan = Plan("toy", "0123456789abcdef", "00")
    made = LiveDocument(tmp_path, record(plan), make_stream([(True, True)])).make("running")
    lines = drawn(made, 80, 24)
    assert "as fast as possible" in lines[0]
    assert row(lines, "told") == ["0 of 1"] * 3
    assert row(lines, "ndcg@10") == []
