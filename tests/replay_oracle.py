"""What a replay's report must say, computed slowly: plain Python over the records, exact percentiles, no histogram."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from matinee.replay.journal import OUTCOMES, Asked, Journal, Told
from matinee.replay.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matinee.replay.plan import Plan

__all__ = ["exact_percentile", "expected_figures", "journals", "make_stream", "write_journals"]

BEGAN_US = 1_764_000_000_000_000


def make_stream(warm: Sequence[tuple[bool, bool]], asked_from: int = 0) -> Stream:
    """One event for each (user is warm, item is warm), a minute apart."""
    n = len(warm)
    users = np.arange(1, n + 1, dtype=np.int32) % 7 + 1
    items = np.arange(1, n + 1, dtype=np.int32) % 11 + 1
    return Stream(
        users=users,
        items=items,
        times_s=np.arange(n, dtype=np.int64) * 60 + 900_000_000,
        raw_users=users.tolist(),
        raw_items=items.tolist(),
        warm_users=np.array([one for one, _ in warm], np.bool_),
        warm_items=np.array([two for _, two in warm], np.bool_),
        asked_from=asked_from,
    )


@st.composite
def journals(draw: Callable[..., Any], k: int = 10) -> tuple[Stream, list[Asked], list[Told]]:
    """A stream and what may be in an arm's two files: several sessions, events asked or told twice, any outcome."""
    warm = draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
    stream = make_stream(warm, draw(st.integers(0, len(warm) - 1)))
    asked, told = [], []
    sessions = draw(st.integers(1, 3))
    for session in range(sessions):
        begun_us = BEGAN_US + session * draw(st.integers(1, 10**12))
        for event in range(stream.asked_from, len(warm)):
            due_us = begun_us + event * draw(st.integers(0, 3_000_000))
            took_us = draw(st.integers(0, 4_000_000_000))
            if draw(st.integers(0, 5)):
                outcome = draw(st.sampled_from([0, 0, 0, *range(1, len(OUTCOMES))]))
                rank = draw(st.sampled_from([-1, *range(1, 3 * k)])) if outcome == 0 else 0
                asked.append(
                    Asked(event, outcome, 200, session, session, rank, due_us, due_us + 5, due_us + took_us,
                          draw(st.integers(0, 900)), draw(st.integers(0, 900)), (0,) * k, draw(st.integers(0, 1)))
                )  # fmt: skip
            if draw(st.integers(0, 5)):
                told.append(
                    Told(event, draw(st.integers(0, 1)), draw(st.integers(1, 4)), session, due_us, due_us + 5,
                         due_us + took_us // 2, draw(st.integers(0, 900)), draw(st.integers(0, 900)))
                )  # fmt: skip
    return stream, asked, told


def write_journals(folder: Path, arm: str, asked: Sequence[Asked], told: Sequence[Told], k: int = 10) -> None:
    """As a replay leaves them."""
    journal = Journal(folder, arm, k)
    for question in asked:
        journal.asked(question)
    for event in told:
        journal.told(event)
    journal.close()


def expected_figures(stream: Stream, plan: Plan, asked: Sequence[Asked], told: Sequence[Told]) -> dict[str, Any]:
    """`Tally.figures` of one arm, one event after the other."""
    questions = _firsts(asked)
    acknowledged = _firsts(told)
    answered = [one for one in questions if one.outcome == 0]
    parts = {
        "warm_users": [one for one in answered if stream.warm_users[one.event]],
        "cold_users": [one for one in answered if not stream.warm_users[one.event]],
        "warm_items": [one for one in answered if stream.warm_items[one.event]],
        "cold_items": [one for one in answered if not stream.warm_items[one.event]],
    }
    extents: dict[int, list[int]] = {}
    for entry in (*questions, *acknowledged):
        extents.setdefault(entry.session, []).extend((entry.due_us, entry.done_us))
    busy_s = sum(max(times) - min(times) for times in extents.values()) / 1e6
    outcomes = Counter(OUTCOMES[one.outcome] for one in questions if one.outcome)
    return {
        "asked": len(questions),
        "answered": len(answered),
        "unanswered": dict(outcomes),
        "told": len(acknowledged),
        "told_again": sum(one.known for one in acknowledged),
        "retries": sum(one.attempts - 1 for one in acknowledged),
        "metrics": _metrics(answered, plan.k),
        **{name: {"events": len(part), "metrics": _metrics(part, plan.k)} for name, part in parts.items()},
        "busy_s": busy_s,
        "per_s": len(acknowledged) / busy_s if busy_s else 0.0,
        "late": sum(one.late for one in questions),
        "bytes_out": sum(one.bytes_out for one in (*questions, *acknowledged)),
        "bytes_in": sum(one.bytes_in for one in (*questions, *acknowledged)),
        "took_us": {
            "ask": [one.done_us - one.due_us for one in answered],
            "after_sending": [max(one.done_us - one.sent_us, 0) for one in answered],
            "unanswered": [one.done_us - one.due_us for one in questions if one.outcome],
            "tell": [one.done_us - one.due_us for one in acknowledged],
        },
    }


def exact_percentile(values: Sequence[int], percent: int) -> int:
    """The smallest value that so many percent of them do not exceed, by sorting."""
    return next(value for place, value in enumerate(sorted(values), 1) if 100 * place >= percent * len(values))


def _firsts(entries: Sequence[Any]) -> list[Any]:
    found: dict[int, Any] = {}
    for entry in entries:
        found.setdefault(entry.event, entry)
    return list(found.values())


def _metrics(answered: Sequence[Asked], k: int) -> dict[str, float | None]:
    ranks = [one.rank for one in answered]
    inside = [rank for rank in ranks if 1 <= rank <= k]
    values = {
        f"hr@{k}": len(inside),
        f"ndcg@{k}": sum(1 / math.log2(1 + rank) for rank in inside),
        f"mrr@{k}": sum(1 / rank for rank in inside),
    }
    return {name: value / len(ranks) if ranks else None for name, value in values.items()}
