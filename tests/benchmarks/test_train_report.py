"""Bars and tables follow from the results, and from nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import train_report
from train_bars import bars

if TYPE_CHECKING:
    from pathlib import Path

_MACHINE = {
    "processor": "Some", "cores": 2, "memory_bytes": 10**9, "kernel": "Linux 6", "python": "3.11", "day": "2026-11-25",
    "libraries": {"torch": "2.13"},
}  # fmt: skip
_USAGE = {"wall_s": 10.0, "foreign_cpu_s": 0.2, "steal_s": 0.0, "peak_rss_bytes": 2.9e9, "peak_anonymous_bytes": 1e9}


def _result(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"machine": _MACHINE, "runs": [{"seed": 0, "data": "games", "usage": _USAGE, **run} for run in runs]}


def _rate(data: str, way: str, rate: float, seed: int = 0) -> dict[str, Any]:
    return {"data": data, "way": way, "seed": seed, "sequences_per_s": rate, "rows_per_s": 2 * rate,
            "sequences_per_cpu_s": rate / 2, "counted_s": 15.0}  # fmt: skip


def _judged(way: str, ndcg: float, hits: float, protocol: str, seed: int = 0) -> dict[str, Any]:
    metrics = {"ndcg@10": ndcg, "hr@10": hits, "mrr@10": ndcg}
    part = {"events": 10, "metrics": metrics, "intervals": {"hr@10": [hits - 0.01, hits + 0.01]}}
    nothing = {"events": 0, "metrics": {"hr@10": None}, "intervals": {}}
    names = ("all", "warm users", "cold users", "warm items")
    whole = {"metrics": metrics, "segments": {**dict.fromkeys(names, part), "cold items": nothing}, "coverage": 0.5}
    every = (
        ["leave-one-out, full ranking", "leave-one-out, 100 negatives"] if protocol == "leave-one-out" else [protocol]
    )
    return {"way": way, "seed": seed, "trained_s": 60.0, "judged": dict.fromkeys(every, whole)}


def _held(results: dict[str, Any]) -> dict[str, bool]:
    return {bar.what: bar.holds for bar in bars(results)}


def test_speed_is_held_against_what_is_alike() -> None:
    runs = [_rate("games", "recbole", 99), _rate("games", "padded", 101), _rate("games", "padded with users", 80)]
    runs += [_rate("games", "matinee sasrec", rate, seed) for seed, rate in enumerate((1, 500, 9_000))]
    runs += [_rate("games", "matinee sse-pt", 400), _rate("long", "padded", 10), _rate("long", "matinee sasrec", 13.1)]
    runs += [_rate("long", "matinee sasrec, bce", 12.9)]
    assert _held({"speed": _result(runs)}) == {
        "games: matinee sasrec at least 5.0x recbole": True,
        "games: matinee sasrec at least 5.0x padded": False,
        "games: matinee sse-pt at least 5.0x recbole": False,
        "games: matinee sse-pt at least 5.0x padded with users": True,
        "long: matinee sasrec at least 1.3x padded": True,
        "long: matinee sasrec, bce at least 1.3x padded": False,
    }


def test_the_better_peer_counts() -> None:
    own = [_judged("matinee sse-pt", 0.05, 0.1, "leave-one-out")]
    peers = [_judged("recbole, our sizes", 0.03, 0.1, "leave-one-out")]
    peers += [_judged("rectools, recommended sizes", 0.046, 0.1, "leave-one-out"),
              _judged("padded, our sizes", 0.09, 0.1, "leave-one-out")]  # fmt: skip
    held = _held({"games-full": _result(own + peers)})
    assert held == {
        "full ranking, NDCG@10 at least 0.048": True,
        "NDCG@10 at least 1.1x the better peer (rectools, recommended sizes)": False,
    }


@pytest.mark.parametrize(("own", "holds"), [(0.2, True), (0.192, True), (0.185, False)])
def test_sasrec_is_reached_within_its_interval(own: float, holds: bool) -> None:
    ways = (("matinee sse-pt", own), ("matinee sasrec", 0.2), ("popularity", own / 2.5))
    runs = [_judged(way, 0.1, hits, "time, full ranking") for way, hits in ways]
    held = _held({"ml-100k": _result(runs)})
    assert held["HR@10 at least SASRec's within its 95% interval"] is holds
    assert held["HR@10 at least 0.19"] is (own >= 0.19)
    assert held["at least 2.4x streaming popularity"]


def test_the_page_shows_every_part(tmp_path: Path) -> None:
    time = "time, full ranking"
    strange = _judged("user SSE on", 0.1, 0.2, time)
    strange["judged"] = {f"mean, {prior}": strange["judged"] for prior in ("no prior", "prior")}
    results = {
        "speed": [_rate("games", "padded", rate, seed) for seed, rate in enumerate((100, 300, 200))],
        "games": [_judged("matinee sse-pt", 0.513, 0.69, "leave-one-out")],
        "games-full": [_judged("padded, our sizes", 0.01, 0.1, "leave-one-out")],
        "ml-100k": [_judged("matinee sse-pt", 0.1, 0.2, time)],
        "strangers": [strange],
        "memory": [{"way": "matinee sse-pt", "events": 48_000_000, "steps": 300}],
    }
    for part, runs in results.items():
        (tmp_path / f"train-{part}.json").write_text(json.dumps(_result(runs)))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{train_report.START}\nof long ago\n{train_report.END}\nafter\n")
    train_report.update_page(page, tmp_path)
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    for said in (
        "| games | padded | 200 (100 to 300) | 100 | 400 | 15 | 1.0% |",
        "| 100 negatives, NDCG@10 at least 0.512 | 0.5130 | yes |",
        "| 100 negatives, HR@10 at least 0.7 | 0.6900 | **no** |",
        "| matinee sse-pt | 0 | 0.2000 (0.1900 to 0.2100) | 0.1000 | 0.1000 | 0.2000 | 0.2000 | 0.2000 | - | 0.50 |",
        "| on | mean | off | 0.2000 | 0.1000 |",
        "| peak under 3,000 MB | 2,900 MB | yes |",
        "a quiet machine",
    ):
        assert said in text
    assert "of long ago" not in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(ValueError, match="put them back"):
        train_report.update_page(page, tmp_path)
