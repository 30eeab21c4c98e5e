"""What it costs a replay to be watched: how late its engine wakes up, and what its process computes.

    python benchmarks/live.py                # three rounds of 20 s a way
    python benchmarks/live.py --rounds 1 --seconds 5

An event loop as the replay's wakes up every millisecond for an event of two arms, as its timer tells it to, and writes
down what a server might have answered: nobody looks; live.json is written; it is drawn on a terminal as well. All
windows are full from the beginning. Figures go to benchmarks/results/live.json; docs/watching.md tells them.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import pty
import random
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
import uvloop
from rich.console import Console

from machine import describe_machine
from matinee.cli.replay_picture import picture
from matinee.cli.replay_screen import ReplayScreen
from matinee.replay.clock import Clock, Timer
from matinee.replay.folder import Record
from matinee.replay.journal import Asked, Journal, Told
from matinee.replay.live import Live
from matinee.replay.live_document import LiveDocument
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.stage import Begun
from matinee.replay.stream import Stream

__all__ = ["main"]

ARMS = ("sse-pt", "popularity")
WAYS = ("nobody looks", "live.json", "live.json and a terminal")
PER_S = 1000
PAST_S = 300  # of the replay that is there already, so that windows are as many as they get
_PICTURES = 50
_RESULTS = Path(__file__).parent / "results" / "live.json"


def main() -> None:
    """All rounds, the ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    rounds = [{way: _measured(way, options.seconds) for way in WAYS} for _ in range(options.rounds)]
    figures = {way: {name: median(each[way][name] for each in rounds) for name in rounds[0][way]} for way in WAYS}
    for way, found in figures.items():
        print(f"{way:<26}", "  ".join(f"{name} {value:8.3f}" for name, value in found.items()))
    picture_ms = _picture_ms()
    print(f"a picture takes {picture_ms:.1f} ms of a processor")
    result = {
        "picture_ms": picture_ms,
        "per_s": PER_S,
        "arms": len(ARMS),
        "seconds": options.seconds,
        "medians": figures,
        "rounds": rounds,
    }
    result["machine"] = describe_machine(("matinee", "rich", "uvloop", "numpy", "psutil"))
    _RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def _picture_ms() -> float:
    """Of a processor, for one picture on a terminal of 120 by 40."""
    with tempfile.TemporaryDirectory() as folder:
        begun = _Player(Path(folder), 1).begun
        document = LiveDocument(begun.folder, begun.record, begun.stream).make("running")
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    began_s = time.process_time()
    for _ in range(_PICTURES):
        console.print(picture(document, 120, 40))
    return (time.process_time() - began_s) / _PICTURES * 1000


def _measured(way: str, seconds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        player = _Player(Path(folder), seconds)
        if way != WAYS[0]:
            show = None
            if way == WAYS[2]:
                leader, follower = pty.openpty()
                reader = subprocess.Popen(["cat"], stdin=leader, stdout=subprocess.DEVNULL)
                os.close(leader)
                stream = stack.enter_context(os.fdopen(follower, "w"))
                stack.callback(reader.terminate)
                os.environ |= {"COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
                show = ReplayScreen(stream).show
            stack.enter_context(Live(player.begun, show=show))
        time.sleep(3)  # until the past is read
        cpu_s = time.process_time()
        late_us = player.play()
        cpu_s = time.process_time() - cpu_s
    p99, p999 = np.percentile(late_us, [99, 99.9]) / 1000
    return {
        "late_p50_ms": float(np.median(late_us)) / 1000,
        "late_p99_ms": float(p99),
        "late_p999_ms": float(p999),
        "late_max_ms": float(late_us.max()) / 1000,
        "processor_share": cpu_s / seconds,
    }


class _Player:
    """An engine without a server."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self._events, past = seconds * PER_S, PAST_S * PER_S
        size = past + self._events
        chance = np.random.default_rng(0)
        stream = Stream(
            users=chance.integers(1, 1000, size).astype(np.int32),
            items=chance.integers(1, 1000, size).astype(np.int32),
            times_s=np.arange(size, dtype=np.int64),
            raw_users=[],
            raw_items=[],
            warm_users=chance.random(size) < 0.2,
            warm_items=chance.random(size) < 0.9,
        )
        plan = Plan("log", "0123456789abcdef", "00", arrivals=Arrivals(rate=PER_S))
        record = Record("live", plan, tuple(Arm(name, "", "", "", "", "") for name in ARMS), (), {}).begun()
        record.write(folder)
        self.begun = Begun(folder, record, stream)
        self._clock = Clock()
        self._chance = random.Random(0)
        self._journals = {name: Journal(folder, name, plan.k) for name in ARMS}
        now_us = self._clock.now_us()
        for event in range(past):
            self._happen(event, now_us - (past - event) * 1_000_000 // PER_S)

    def play(self) -> np.ndarray:
        """How late each event began, in microseconds; (events,)."""
        return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(self._play())

    async def _play(self) -> np.ndarray:
        loop, timer, over = asyncio.get_running_loop(), Timer(self._clock), asyncio.Event()
        began_us = self._clock.now_us() + 1000
        late_us: list[int] = []

        def wake() -> None:
            timer.heard()
            while len(late_us) < self._events:
                due_us = began_us + len(late_us) * 1_000_000 // PER_S
                now_us = self._clock.now_us()
                if now_us < due_us:
                    timer.set(due_us)
                    return
                late_us.append(now_us - due_us)
                self._happen(PAST_S * PER_S + len(late_us) - 1, now_us)
            over.set()

        loop.add_reader(timer.handle, wake)
        timer.set(began_us)
        await over.wait()
        loop.remove_reader(timer.handle)
        timer.close()
        return np.array(late_us)

    def _happen(self, event: int, now_us: int) -> None:
        for journal in self._journals.values():
            done_us = now_us + int(self._chance.expovariate(1 / 4000))
            rank = int(self._chance.expovariate(0.05)) + 1
            journal.asked(Asked(event, 0, 200, 0, 0, rank, now_us, now_us, done_us, 300, 250, (1,) * 10))
            journal.told(Told(event, 0, 1, 0, done_us, done_us, done_us + 900, 250, 60))


if __name__ == "__main__":
    main()
