from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import serve_report

if TYPE_CHECKING:
    from pathlib import Path

_MACHINE = {"processor": "a", "cores": 2, "kernel": "b", "python": "c", "libraries": {"d": "1"}, "day": "2026-11-25"}


def _answers(per_s: float) -> dict[str, Any]:
    latency = {"p50": 1.0, "p99": 2.0, "max": 3.0}
    more = {"bytes_an_answer": 1, "server_cpu_us": 1.0, "client_cpu_us": 1.0, "busy_before": 0.0}
    return {"per_s": per_s, "latency_ms": latency} | more


def _events(per_s: float, p99: float) -> dict[str, Any]:
    latency = {kind: {"p50": 1.0, "p99": p99, "max": 2 * p99} for kind in ("ask", "tell", "event")}
    more = {"client_cpu_us": 1.0, "client_share": 0.5, "busy_before": 0.5, "complaint": ""}
    return {"events_per_s": per_s, "requests_per_s": 2 * per_s, "latency_ms": latency} | more


def _peers(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    rounds = {"matinee serve: 1 worker": [*map(_answers, ours)], "litserve: a": [*map(_answers, theirs)]}
    trials = {"litserve": {"a": _answers(1)}}
    best = {"matinee serve": "1 worker", "litserve": "a"}
    return {"machine": _MACHINE, "connections": 1, "trial_s": 1.0, "trials": trials, "best": best, "rounds": rounds}


def _replay(fast: float, p99: float) -> dict[str, Any]:
    rounds = {
        "client alone": [_events(9_000, 1)],
        "as fast as possible": [_events(fast, 1)],
        "at 80% of that rate": [_events(0.8 * fast, p99)],
    }
    return {"machine": _MACHINE, "connections": 1, "rounds": rounds, "bars": serve_report.bars_of_replay(rounds)}


def test_peers_are_compared_round_by_round() -> None:
    # The machine was three times slower in the second round: the ratios are 2, 2 and 3.
    (bar,) = serve_report.bars_of_peers(_peers([400, 130, 450], [200, 65, 150]))
    assert bar["measured"] == "2.00x"
    assert bar["holds"]
    assert not serve_report.bars_of_peers(_peers([199], [100]))[0]["holds"]


@pytest.mark.parametrize(("fast", "p99", "held"), [(1_000, 49.9, [True] * 5), (999, 50, [False, True] + 3 * [False])])
def test_a_replay_is_held_against_its_bars(fast: float, p99: float, held: list[bool]) -> None:
    assert [bar["holds"] for bar in _replay(fast, p99)["bars"]] == held


def test_the_page_has_what_was_measured_and_says_that_it_was_loud(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{serve_report.START}\nearlier\n{serve_report.END}\nafter\n")
    peers = _peers([400], [100])
    (tmp_path / "serve.json").write_text(json.dumps(peers | {"bars": serve_report.bars_of_peers(peers)}))
    (tmp_path / "replay.json").write_text(json.dumps(_replay(1_234, 60)))
    serve_report.update_page(page, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "earlier" not in text
    assert "| litserve: a | 100 (100 to 100) | 1.0 | 2.0 |" in text
    assert "| as fast as possible | 1,234 (1,234 to 1,234) |" in text
    assert "p99 of an answer under 50 ms | 60.0 ms | **no** |" in text
    assert text.count("**not a quiet machine**") == 1
    with pytest.raises(ValueError, match="no lines"):
        serve_report.update_page(tmp_path / "serve.json", tmp_path)
