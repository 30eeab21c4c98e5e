"""When events are due, by plain arithmetic; a clock that does not go back; a timer that does not ring early."""

from __future__ import annotations

import math
import select
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.replay.clock import Clock, Timer, due_us
from matinee.replay.plan import Arrivals

times = st.lists(st.integers(0, 10**9), min_size=1, max_size=50).map(sorted)


@given(times, st.floats(0.01, 1e6), st.none() | st.floats(0.001, 1e6))
def test_due_times_by_the_log_are_its_gaps(seconds: list[int], speed: float, max_gap_s: float | None) -> None:
    due = due_us(np.array(seconds, np.int64), Arrivals(speed=speed, max_gap_s=max_gap_s)).tolist()
    assert due[0] == 0
    expected = 0.0
    for before, after, place in zip(seconds, seconds[1:], range(1, len(seconds)), strict=False):
        gap_s = (after - before) / speed
        expected += gap_s if max_gap_s is None else min(gap_s, max_gap_s)
        assert due[place] == pytest.approx(expected * 1e6, rel=1e-9, abs=1)
        if before == after:
            assert due[place] == due[place - 1], "what happened in one second is due in one moment"
    assert due == sorted(due)


@given(times, st.floats(0.01, 1e6))
def test_due_times_at_a_rate_are_evenly_spaced(seconds: list[int], rate: float) -> None:
    due = due_us(np.array(seconds, np.int64), Arrivals(rate=rate)).tolist()
    assert due == [pytest.approx(math.floor(1e6 * place / rate + 0.5), abs=1) for place in range(len(seconds))]


def test_the_clock_is_unix_time_and_never_goes_back() -> None:
    import time

    clock = Clock()
    seen = [clock.now_us() for _ in range(1000)]
    assert seen == sorted(seen)
    assert abs(seen[0] / 1e6 - time.time()) < 60


@pytest.mark.parametrize("in_us", [-(10**15), -1, 0, 3_000])
def test_the_timer_rings_when_it_is_time_and_not_before(in_us: int) -> None:
    clock = Clock()
    timer = Timer(clock)
    try:
        at_us = clock.now_us() + in_us
        timer.set(at_us)
        assert _readable(timer, 10)
        assert clock.now_us() >= at_us
        timer.heard()
        timer.heard()
        assert not _readable(timer, 0)
        timer.set(clock.now_us() + 10**9)
        timer.set(clock.now_us())
        assert _readable(timer, 10), "the last word counts"
    finally:
        timer.close()


def _readable(timer: Timer, timeout_s: float) -> Any:
    return select.select([timer.handle], [], [], timeout_s)[0]
