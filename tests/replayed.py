"""A replay's folder as an engine leaves it, made by chance in a moment: for tests of what comes out of a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.replay import plots
from matinee.replay.folder import Record, Session
from matinee.replay.journal import Asked, Told
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.report import make_report
from matinee.replay.stream import Stream
from replay_oracle import BEGAN_US, write_journals

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.replay.report import Report

__all__ = ["CLIENT", "PLAN", "lively_stream", "quick_report", "replayed"]

PLAN = Plan("toy", "0123456789abcdef", "ab" * 32, arrivals=Arrivals(rate=100.0))
CLIENT = {
    "asked": 600, "told": 600, "late": 0, "wall_s": 6.0, "cpu_s": 0.25, "is_open_loop": True,
    "cpu_us_per_event": 416.7, "complaint": "",
}  # fmt: skip


def lively_stream(events: int = 600, users: int = 40, seed: int = 0, asked_from: int = 0) -> Stream:
    """People of whom a fifth is warm, and items of which most are."""
    chance = np.random.default_rng(seed)
    who, what = chance.integers(1, users + 1, events), chance.integers(1, 101, events)
    return Stream(
        users=who.astype(np.int32),
        items=what.astype(np.int32),
        times_s=np.sort(chance.integers(890_000_000, 893_000_000, events)),
        raw_users=who.tolist(),
        raw_items=what.tolist(),
        warm_users=who <= users // 5,
        warm_items=what <= 90,
        asked_from=asked_from,
    )


def replayed(
    folder: Path,
    stream: Stream,
    *,
    plan: Plan = PLAN,
    arms: dict[str, float] | None = None,
    seed: int = 1,
    unanswered: int = 0,
    why: str | None = "finished",
    checkpoint_sha256: str = "",
) -> Record:
    """Write replay.json and journals.

    Args:
        folder: of the replay; made.
        stream: that was played.
        plan: that was followed.
        arms: names, and how good each one's model is: the mean of 1 / rank, about.
        seed: of all that is left to chance.
        unanswered: every so many-th question has no answer; 0 for none.
        why: the only session ended; None where it was killed.
        checkpoint_sha256: of each arm's model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arms = {"one": 0.2} if arms is None else arms
    chance = np.random.default_rng(seed)
    for name, goodness in arms.items():
        asked, told = [], []
        for event in range(stream.asked_from, len(stream)):
            due_us = BEGAN_US + event * 10_000
            took_us = int(chance.lognormal(8, 0.7))
            is_lost = bool(unanswered) and event % unanswered == 0
            rank = 0 if is_lost else min(int(1 / chance.beta(1, 1 / goodness)), 400)
            done_us = due_us + (10_000_000 if is_lost else took_us)
            asked.append(
                Asked(event, int(is_lost), 0 if is_lost else 200, 0, 0, rank, due_us, due_us + 50, done_us, 320,
                      0 if is_lost else 410, (1,) * plan.k, 0)
            )  # fmt: skip
            told.append(Told(event, 0, 1, 0, done_us, done_us + 20, done_us + took_us // 2, 210, 90))
        write_journals(folder, name, asked, told, plan.k)
        (folder / f"{name}.models").write_text(f"toy/{name}-0a1b2c3d\n")
    served = tuple(Arm(name, f"toy/{name}-0a1b2c3d", "", checkpoint_sha256, "", "") for name in arms)
    fresh = Record.new(folder.name, plan, served)
    ended = "2026-11-25T12:00:06+00:00" if why else None
    session = Session("2026-11-25T12:00:00+00:00", ended, why, "", CLIENT if why else {})
    record = Record(fresh.id, fresh.plan, fresh.arms, (session,), fresh.machine)
    record.write(folder)
    return record


def quick_report(folder: Path, stream: Stream) -> Report:
    """The report without its plots, which take most of the time and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("drawn", "variants"):
            patch.setattr(plots, name, lambda *_: "<svg></svg>")
        return make_report(folder, stream)
