"""A server that stands still for a second: who asks at times of his own sees how many it hit, who waits does not."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.replay.journal import asked_records
from matinee.replay.plan import Arrivals
from matinee.serve.board import Board
from played import ARM, meanwhile, plan_of, play_against

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.replay.plan import Plan
    from matinee.version import Version
    from served import Server, Starter

pytestmark = pytest.mark.xdist_group("postgres")

STALL_S, RATE = 1.0, 60


def test_a_stall_is_in_the_latencies_of_an_open_loop_as_it_was(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    taken_s = _latencies_s(start(models["plain"]), version, plan_of(version, arrivals=Arrivals(rate=RATE)), tmp_path)
    assert taken_s.max() > 0.95 * STALL_S
    assert np.percentile(taken_s, 99) > 0.9 * STALL_S
    # Whatever was due during the stall has waited for the rest of it, each one a little less than the one before.
    assert (taken_s > STALL_S / 2).sum() >= RATE * STALL_S / 2 * 0.9


def test_a_closed_loop_would_not_see_it(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    taken_s = _latencies_s(start(models["plain"]), version, plan_of(version, connections=1), tmp_path)
    assert (taken_s > STALL_S / 2).sum() <= 1, "who waits for each answer asks once in that second"
    assert np.percentile(taken_s, 99) < STALL_S / 2


def _latencies_s(server: Server, version: Version, plan: Plan, folder: Path) -> np.ndarray:
    with meanwhile(folder / "replay", 30, lambda: _stall(server)):
        play_against(version, plan, server.url, folder / "replay")
    asked = asked_records(folder / "replay", ARM, plan.k)
    assert (asked["outcome"] == 0).all()
    return (asked["done_us"] - asked["due_us"]) / 1e6


def _stall(server: Server) -> None:
    pids = [report.pid for report in Board(server.data_dir / "serve" / str(server.port)).reports()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(STALL_S)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
