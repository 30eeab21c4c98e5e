"""What a replay has measured so far, added up from its journals as they grow or when all is over: the same numbers.

Only whole numbers are added up (ranks counted, microseconds, bytes), so neither batches nor their order change a
digit. An event counts once: of several records of one event, as a kill can leave, the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from matinee.metrics.ranking import metrics_at
from matinee.replay.journal import OUTCOMES, Asked, Told, asked_records, titles, told_records
from matinee.replay.latency import Latencies
from matinee.replay.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream

__all__ = ["Tally"]

_ASKED: Final = tuple(field for field in Asked._fields if field != "items")
_LATENCIES: Final = ("ask", "after_sending", "tell", "unanswered")
_COUNTS: Final = ("told", "told_again", "retries", "late", "bytes_out", "bytes_in")
_FROM_FILE: Final = 1 << 16
_BUCKETS: Final = 20  # of event time, equally many events each
_FEWEST: Final = 20  # events in one of them
_SEGMENTS: Final = ("warm_users", "cold_users", "warm_items", "cold_items")


class Tally:
    """Counts what several arms do with one stream.

    Args:
        stream: the events.
        plan: of the replay.
        arms: their names.
    """

    def __init__(self, stream: Stream, plan: Plan, arms: Sequence[str]) -> None:
        self._models: dict[str, list[str]] = {}
        self._arms = {arm: _Arm(stream, plan.k) for arm in arms}

    @classmethod
    def from_journals(cls, folder: Path, stream: Stream, plan: Plan, arms: Sequence[str]) -> Self:
        """All that the journals of a replay's folder tell."""
        tally = cls(stream, plan, arms)
        tally.read(folder)
        return tally

    def read(self, folder: Path) -> None:
        """Add what the journals tell behind what was read of them before."""
        self._models = {name: titles(folder, name) for name in self._arms}
        for name, arm in self._arms.items():
            arm.read(folder, name)

    def figures(self) -> dict[str, dict[str, Any]]:
        """By arm, in plain values, None for what nothing is known of; docs/report.md says what each is."""
        return {name: arm.figures(self._models.get(name, ())) for name, arm in self._arms.items()}

    def windows(self) -> dict[str, list[dict[str, Any]]]:
        """By arm: what happened while the clock on the wall went on, at most 240 windows of one width."""
        return {name: arm.over_wall_time() for name, arm in self._arms.items()}

    def buckets(self) -> dict[str, list[dict[str, Any]]]:
        """By arm: the quality over the time of the log, at most 60 parts of equally many events."""
        return {name: arm.over_event_time() for name, arm in self._arms.items()}

    def histograms(self) -> dict[str, dict[str, str]]:
        """By arm and kind: the latencies as an HdrHistogram in base64."""
        return {name: {kind: one.encoded() for kind, one in arm.latencies.items()} for name, arm in self._arms.items()}


class _Arm:
    """The sums of one arm."""

    def __init__(self, stream: Stream, k: int) -> None:
        size = stream.users.size
        self._stream, self._k = stream, k
        self._read_asked = self._read_told = 0
        self._is_asked, self._is_told = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        self._outcomes = np.zeros(len(OUTCOMES), np.int64)
        self._answers_by_model = np.zeros(0, np.int64)
        self._edges = _edges(stream.asked_from, size)
        # By part of event time, by whether user and item are warm (2 * user + item), by rank as in `_bins`.
        self._ranks = np.zeros((self._edges.size - 1, 4, k + 1), np.int64)
        self.latencies = {kind: Latencies() for kind in _LATENCIES}
        self._windows = Windows(k)
        self._counts = dict.fromkeys(_COUNTS, 0)

    def read(self, folder: Path, name: str) -> None:
        asked = asked_records(folder, name, self._k, since=self._read_asked)
        self._read_asked += asked.size
        for records in _pieces(asked):
            self.add_asked({field: records[field].astype(np.int64) for field in _ASKED})
        told = told_records(folder, name, since=self._read_told)
        self._read_told += told.size
        for records in _pieces(told):
            self.add_told({field: records[field].astype(np.int64) for field in Told._fields})

    def add_asked(self, batch: dict[str, NDArray[np.int64]]) -> None:
        """Questions, in order; fields of `Asked`, (n,) each."""
        batch = _firsts(batch, self._is_asked)
        events, answered = batch["event"], batch["outcome"] == 0
        bins = np.where(answered, _bins(batch["rank"], self._k), -1)
        self._outcomes += np.bincount(batch["outcome"], minlength=len(OUTCOMES))
        self._count_models(batch["model"][answered])
        self._count_ranks(events[answered], bins[answered])
        taken_us = batch["done_us"] - batch["due_us"]
        self.latencies["ask"].add(taken_us[answered])
        self.latencies["after_sending"].add((batch["done_us"] - batch["sent_us"])[answered])
        self.latencies["unanswered"].add(taken_us[~answered])
        self._counts["late"] += int(batch["late"].sum())
        self._count_bytes(batch)
        self._windows.add_asked(batch, bins)

    def add_told(self, batch: dict[str, NDArray[np.int64]]) -> None:
        """Acknowledged events, in order; fields of `Told`, (n,) each."""
        batch = _firsts(batch, self._is_told)
        self._counts["told"] += batch["event"].size
        self._counts["told_again"] += int((batch["known"] > 0).sum())
        self._counts["retries"] += int((batch["attempts"] - 1).sum())
        self.latencies["tell"].add(batch["done_us"] - batch["due_us"])
        self._count_bytes(batch)
        self._windows.add_told(batch)

    def figures(self, models: Sequence[str]) -> dict[str, Any]:
        counts = self._counts
        busy_s = self._windows.busy_s
        by_segment = self._ranks.sum(axis=0)
        chosen = {"warm_users": [2, 3], "cold_users": [0, 1], "warm_items": [1, 3], "cold_items": [0, 2]}
        segments = {name: self._segment(by_segment[chosen[name]].sum(axis=0)) for name in _SEGMENTS}
        last = int(np.flatnonzero(self._answers_by_model)[-1]) if self._answers_by_model.any() else 0
        return {
            "model": models[last] if last < len(models) else "",
            "models": self._models(models),
            "asked": int(self._outcomes.sum()),
            "answered": int(self._outcomes[0]),
            "unanswered": {
                outcome: number
                for outcome, number in zip(OUTCOMES[1:], self._outcomes[1:].tolist(), strict=True)
                if number
            },
            "told": counts["told"],
            "told_again": counts["told_again"],
            "retries": counts["retries"],
            "metrics": self._means(by_segment.sum(axis=0)),
            **segments,
            "latency_ms": {kind: one.facts() for kind, one in self.latencies.items()},
            "busy_s": busy_s,
            "per_s": counts["told"] / busy_s if busy_s else 0.0,
            "late": counts["late"],
            "bytes_out": counts["bytes_out"],
            "bytes_in": counts["bytes_in"],
        }

    def over_wall_time(self) -> list[dict[str, Any]]:
        return self._windows.as_json(self._means)

    def over_event_time(self) -> list[dict[str, Any]]:
        times_s = self._stream.times_s
        return [
            {
                "first_s": int(times_s[start]),
                "last_s": int(times_s[stop - 1]),
                "events": int(stop - start),
                "answered": int(ranks.sum()),
                "by_cold_users": int(ranks[:2].sum()),
                "on_cold_items": int(ranks[::2].sum()),
                "metrics": self._means(ranks.sum(axis=0)),
                "warm_users": self._means(ranks[2:].sum(axis=0)),
                "cold_users": self._means(ranks[:2].sum(axis=0)),
            }
            for start, stop, ranks in zip(self._edges[:-1], self._edges[1:], self._ranks, strict=True)
        ]

    def _models(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Who answered how many, in order of the first answer."""
        return [
            {"title": names[place] if place < len(names) else "", "answered": number}
            for place, number in enumerate(self._answers_by_model.tolist())
        ]

    def _segment(self, ranks: NDArray[np.int64]) -> dict[str, Any]:
        return {"events": int(ranks.sum()), "metrics": self._means(ranks)}

    def _means(self, ranks: NDArray[np.int64]) -> dict[str, float | None]:
        """Each metric's mean from counted ranks, (k + 1,); None without any."""
        total = int(ranks.sum())
        values = metrics_at(np.arange(1, self._k + 1, dtype=np.int32), self._k)
        return {name: float(ranks[1:] @ value) / total if total else None for name, value in values.items()}

    def _count_models(self, models: NDArray[np.int64]) -> None:
        counted = np.bincount(models, minlength=self._answers_by_model.size)
        counted[: self._answers_by_model.size] += self._answers_by_model
        self._answers_by_model = counted

    def _count_ranks(self, events: NDArray[np.int64], bins: NDArray[np.int64]) -> None:
        bucket = np.searchsorted(self._edges, events, side="right") - 1
        segment = 2 * self._stream.warm_users[events] + self._stream.warm_items[events]
        place = (bucket * 4 + segment) * (self._k + 1) + bins
        self._ranks += np.bincount(place, minlength=self._ranks.size).reshape(self._ranks.shape)

    def _count_bytes(self, batch: Mapping[str, NDArray[np.int64]]) -> None:
        for name in ("bytes_out", "bytes_in"):
            self._counts[name] += int(batch[name].sum())


def _edges(first: int, size: int) -> NDArray[np.int64]:
    """Where each part of event time begins, and where the last ends."""
    parts = max(1, min(_BUCKETS, (size - first) // _FEWEST))
    return np.array([first + (size - first) * part // parts for part in range(parts + 1)], np.int64)


def _pieces(records: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, records.size, _FROM_FILE):
        yield records[start : start + _FROM_FILE]


def _firsts(batch: dict[str, NDArray[np.int64]], seen: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    """The rows of events that have none yet; `seen` is told of them."""
    events, places = np.unique(batch["event"], return_index=True)
    chosen = np.sort(places[~seen[events]])
    seen[events] = True
    return batch if chosen.size == batch["event"].size else {name: values[chosen] for name, values in batch.items()}


def _bins(ranks: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The rank where it is within the list, 0 for all others and for a target that the server does not know."""
    return np.where((ranks >= 1) & (ranks <= k), ranks, 0)
