"""What was asked of training, held against the results of benchmarks/train.py: each bar holds or does not."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["FULL", "IN_TIME", "NEGATIVES", "Bar", "bars", "groups", "median_of"]

# Names of train_judge.JUDGED, read here too where Matinee is not installed.
FULL, NEGATIVES, IN_TIME = "leave-one-out, full ranking", "leave-one-out, 100 negatives", "time, full ranking"

_OWN = "matinee "

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """What was asked for, and what was measured: medians over the seeds.

    Attributes:
        part: whose bar it is.
        what: in words, with the number that it is held against.
        measured: in words.
        holds: whether it is reached.
    """

    part: str
    what: str
    measured: str
    holds: bool


def bars(results: dict[str, Result]) -> list[Bar]:
    """Every bar that the runs so far can be held against."""
    found: list[Bar] = []
    if "speed" in results:
        found += _speed_bars(results["speed"]["runs"])
    for part, least in (("games", (0.512, 0.70)), ("games-best", (0.538, 0.744))):
        if part in results:
            for metric, bar in zip(("ndcg@10", "hr@10"), least, strict=True):
                value = median_of(results[part]["runs"], NEGATIVES, metric)
                found.append(_at_least(part, f"100 negatives, {metric.upper()}", value, bar))
    if "games-full" in results:
        found += _full_bars(results["games-full"]["runs"])
    if "ml-100k" in results:
        found += _time_bars(results["ml-100k"]["runs"])
    if "memory" in results:
        peak = max(run["usage"]["peak_rss_bytes"] for run in results["memory"]["runs"])
        found.append(Bar("memory", "peak under 3,000 MB", f"{peak / 1e6:,.0f} MB", peak < 3e9))
    return found


def groups(runs: list[Result], *keys: str) -> dict[tuple[str, ...], list[Result]]:
    """Runs by these facts, in order of appearance."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for run in runs:
        found.setdefault(tuple(run[key] for key in keys), []).append(run)
    return found


def median_of(runs: list[Result], protocol: str, metric: str) -> float:
    """A metric on test, the median over the runs."""
    return median(run["judged"][protocol]["metrics"][metric] for run in runs)


def _speed_bars(runs: list[Result]) -> list[Bar]:
    found = []
    rate = {key: median(run["sequences_per_s"] for run in group) for key, group in groups(runs, "data", "way").items()}
    like = {f"matinee sasrec{loss}": "padded" for loss in ("", ", bce")}
    like |= {f"matinee sse-pt{loss}": "padded with users" for loss in ("", ", bce")}
    for (data, way), own in rate.items():
        if way in like:
            peers = {like[way]: 5.0 if data == "games" else 1.3} | ({"recbole": 5.0} if data == "games" else {})
            for peer, factor in peers.items():
                if (data, peer) in rate:
                    times = own / rate[data, peer]
                    what = f"{data}: {way} at least {factor}x {peer}"
                    found.append(Bar("speed", what, f"{times:.2f}x", times >= factor))
    return found


def _full_bars(runs: list[Result]) -> list[Bar]:
    own = [run for run in runs if run["way"].startswith(_OWN)]
    if not own:
        return []
    value = median_of(own, FULL, "ndcg@10")
    found = [_at_least("games-full", "full ranking, NDCG@10", value, 0.048)]
    peers = groups([run for run in runs if run["way"].startswith(("recbole", "rectools"))], "way")
    if peers:
        best = max(peers, key=lambda key: median_of(peers[key], FULL, "ndcg@10"))
        times = value / median_of(peers[best], FULL, "ndcg@10")
        what = f"NDCG@10 at least 1.1x the better peer ({best[0]})"
        found.append(Bar("games-full", what, f"{times:.2f}x", times >= 1.1))
    return found


def _time_bars(runs: list[Result]) -> list[Bar]:
    by_way = {key[0]: group for key, group in groups(runs, "way").items()}
    own = by_way.get("matinee sse-pt")
    if not own:
        return []
    value = median_of(own, IN_TIME, "hr@10")
    found = [_at_least("ml-100k", "HR@10", value, 0.19)]
    if "popularity" in by_way:
        times = value / median_of(by_way["popularity"], IN_TIME, "hr@10")
        found.append(Bar("ml-100k", "at least 2.4x streaming popularity", f"{times:.2f}x", times >= 2.4))
    if "matinee sasrec" in by_way:
        rival = by_way["matinee sasrec"]
        low = median(run["judged"][IN_TIME]["segments"]["all"]["intervals"]["hr@10"][0] for run in rival)
        other = median_of(rival, IN_TIME, "hr@10")
        what = "HR@10 at least SASRec's within its 95% interval"
        found.append(Bar("ml-100k", what, f"{value:.4f} against {other:.4f} (from {low:.4f})", value >= low))
    return found


def _at_least(part: str, what: str, value: float, bar: float) -> Bar:
    return Bar(part, f"{what} at least {bar}", f"{value:.4f}", value >= bar)
