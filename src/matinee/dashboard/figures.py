"""Which figures of a replay the page shows, in which order, under which name, and where each stands in its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.dashboard.reading import number

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Measure", "cut_off", "measures"]

_LONGEST_K: Final = 6


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table of a replay.

    Attributes:
        label: for people.
        keys: the path in an arm's figures; a last key of '*' sums what is there.
        unit: as `shown` takes it.
    """

    label: str
    keys: tuple[str, ...]
    unit: str = ""

    @property
    def name(self) -> str:
        """The path as one word."""
        return "/".join(self.keys)

    def of(self, figures: dict[str, Any]) -> float | None:
        """Its value; None where there is none."""
        if self.keys[-1] != "*":
            return number(figures, *self.keys)
        counts = figures
        for key in self.keys[:-1]:
            counts = counts.get(key) or {}
            if not isinstance(counts, dict):
                return None
        return sum(number(counts, outcome) or 0 for outcome in counts)


def cut_off(arms: dict[str, dict[str, Any]]) -> int:
    """The k of the metrics, as in ndcg@10."""
    for figures in arms.values():
        metrics = figures.get("metrics")
        for name in metrics if isinstance(metrics, dict) else ():
            metric, _, k = name.partition("@")
            if metric == "ndcg" and k.isdecimal() and len(k) <= _LONGEST_K:
                return int(k)
    return 10


def measures(k: int) -> Iterator[Measure]:
    """The rows, from what matters most."""
    for metric in ("ndcg", "hr", "mrr"):
        yield Measure(f"{metric.upper()}@{k}", ("metrics", f"{metric}@{k}"), "ratio")
    for part, label in (("warm_users", "warm users"), ("cold_users", "cold users")):
        yield Measure(f"NDCG@{k}, {label}", (part, "metrics", f"ndcg@{k}"), "ratio")
    yield Measure("answered", ("answered",))
    yield Measure("unanswered", ("unanswered", "*"))
    yield Measure("told", ("told",))
    yield Measure("events a second", ("per_s",), "per_s")
    for name in ("p50", "p95", "p99", "max"):
        yield Measure(f"answer, {name}", ("latency_ms", "ask", name), "ms")
    yield Measure("telling, p99", ("latency_ms", "tell", "p99"), "ms")
    yield Measure("late by own fault", ("late",))
    yield Measure("bytes out", ("bytes_out",), "bytes")
    yield Measure("bytes in", ("bytes_in",), "bytes")
