from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from matinee.cli.replay_picture import picture
from matinee.replay.folder import Record
from matinee.replay.journal import Asked, Told
from matinee.replay.live import Live
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.stage import Begun
from replay_oracle import make_stream

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.replay.stream import Stream

NAMES = ("sse-pt", "popularity", "markov")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Of a replay of three arms, all of whose targets are at the first rank, except for the second arm."""
    shown: list[dict[str, Any]] = []
    stream = make_stream([(number % 4 == 0, True) for number in range(40)])
    plan = Plan("toy", "0123456789abcdef", "00", arrivals=Arrivals(rate=200))
    with Live(session(tmp_path, plan, stream), show=shown.append) as live:
        for event in range(40):
            now_us = time.time_ns() // 1000
            for name in NAMES:
                rank = 11 if name == "popularity" else 1
                outcome = 2 if event == 39 else 0
                asked = Asked(
                    event, outcome, 200, 0, 0, rank, now_us - 4000, now_us - 3900, now_us, 500, 250, (0,) * 10, 0
                )
                live.asked(name, asked)
                live.told(name, Told(event, 0, 1, 0, now_us, now_us, now_us + 100, 500, 250))
    return shown[-1]


def session(folder: Path, plan: Plan, stream: Stream) -> Begun:
    record = Record(
        "20261125-120000-0a1b2c3d4e5f", plan, tuple(Arm(name, "", "", "", "", "") for name in NAMES), (), {}
    )
    return Begun(folder, record.begun(), stream)


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
    shown: list[dict[str, Any]] = []
    plan = Plan("toy", "0123456789abcdef", "00")
    stream = make_stream([(True, True)])
    with Live(session(tmp_path, plan, stream), show=shown.append):
        pass
    lines = drawn(shown[-1], 80, 24)
    assert "as fast as possible" in lines[0]
    assert row(lines, "told") == ["0 of 1"] * 3
    assert row(lines, "ndcg@10") == []
