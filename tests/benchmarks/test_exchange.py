"""The clock that all trainers are stopped by."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from exchange import Clock

if TYPE_CHECKING:
    from pathlib import Path


class Hands:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()
    monkeypatch.setattr(time, "perf_counter", hands)
    monkeypatch.setattr(time, "process_time", lambda: 3 * hands.now_s)
    return hands


def test_a_rate_is_taken_after_the_warm_up(tmp_path: Path, hands: Hands) -> None:
    clock = Clock(tmp_path, limit_s=10, warm_up_s=4)
    clock.start()
    more = []
    for _ in range(5):
        hands.now_s += 2
        more.append(clock.tick(30))
    clock.finish(0.5, told="more")
    assert more == [True, True, True, True, False]
    result = json.loads((tmp_path / "run.json").read_text())
    assert (result["trained_s"], result["counted_s"]) == (10, 6)
    assert (result["rows_per_s"], result["sequences_per_s"], result["told"]) == (15, 7.5, "more")
    assert result["sequences_per_cpu_s"] == 2.5


def test_there_is_a_rate_even_where_one_batch_outlasts_the_time(tmp_path: Path, hands: Hands) -> None:
    clock = Clock(tmp_path, limit_s=10, warm_up_s=4)
    clock.start()
    hands.now_s += 20
    assert clock.tick(8)
    hands.now_s += 20
    assert not clock.tick(8)
    clock.finish(1.0)
    assert json.loads((tmp_path / "run.json").read_text())["rows_per_s"] == 0.4


def test_saying_vectors_takes_no_time(tmp_path: Path, hands: Hands) -> None:
    def say(name: str) -> np.ndarray:
        said.append(name)
        hands.now_s += 1000
        return np.full((2, 3), len(said), np.float32)

    said: list[str] = []
    clock = Clock(tmp_path, limit_s=6, snapshots=2, say_vectors=say)
    clock.start()
    ticks = 1
    hands.now_s += 2
    while clock.tick(1):
        ticks += 1
        hands.now_s += 2
    clock.finish(1.0)
    assert ticks == 3
    assert said == ["eval", "test", "items"] * 2
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["snapshots"] == [
        {"folder": "snapshot-0", "trained_s": 4},
        {"folder": "snapshot-1", "trained_s": 6},
    ]
    assert np.load(tmp_path / "snapshot-1" / "items.npy").tolist() == [[6.0] * 3] * 2


def test_a_clock_that_was_not_started_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        Clock(tmp_path, limit_s=1).tick(1)
