"""How fast `matinee replay` plays a split through `matinee serve`, both on this machine's cores, every event durable.

    python benchmarks/replay.py                    # 24,000 items, 50 positions; under four minutes
    python benchmarks/replay.py --rounds 5 --events 30000 --workers 2

Both are started as they are typed. Per round: the client alone, against an empty server; as fast as possible; and the
open loop at 80% of that rate, where latency counts from the moment an event was due. The figures go to
benchmarks/results/replay.json and from there into docs/benchmarks.md; exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serve_report
from machine import busy_share, describe_machine
from matinee.model.recommender import Prior
from matinee.replay.journal import asked_records, told_records
from matinee.replay.latency import Latencies
from matinee.stack import running
from serve_data import prepare
from serve_programs import BENCHMARKS, started

if TYPE_CHECKING:
    from matinee.version import Version

__all__ = ["main"]

ALONE, FAST, RATED = "client alone", "as fast as possible", "at 80% of that rate"
_RESULTS = BENCHMARKS / "results" / "replay.json"
_SHARE = 0.8
_EMPTY = "http://127.0.0.1:9631"
_LIBRARIES = ("matinee", "onnxruntime", "uvicorn", "starlette", "uvloop", "httptools", "msgspec", "psycopg", "numba")

Record = dict[str, Any]


class Bench:
    """Replays of one version, each into a folder of its own."""

    def __init__(self, version: Version, model: Path, folder: Path, chosen: argparse.Namespace) -> None:
        self._version, self._model, self._folder, self._chosen = version, model, folder, chosen
        self._played = 0

    def round(self) -> dict[str, Record]:
        """One of each."""
        log = self._folder / "empty.log"
        command = [sys.executable, str(BENCHMARKS / "serve_empty.py"), "9631", str(self._version.folder)]
        with started(command, f"{_EMPTY}/readyz", log):
            alone = self.play(ALONE, _EMPTY, self._chosen.alone)
        fast = self.play(FAST, str(self._model), self._chosen.events)
        rated = self.play(RATED, str(self._model), self._chosen.events, rate=_SHARE * fast["events_per_s"])
        return {ALONE: alone, FAST: fast, RATED: rated}

    def play(self, name: str, against: str, events: int, rate: float | None = None) -> Record:
        """One replay, as it is typed."""
        self._played += 1
        out, busy = self._folder / f"replay-{self._played}", busy_share()
        words = [
            sys.executable, "-m", "matinee", "replay", self._version.folder, "--against", against, "--limit", events,
            "--out", out, "--workers", self._chosen.workers, "--data-dir", self._folder / "data", "--quiet",
        ]  # fmt: skip
        if rate is None:
            words += ["--as-fast-as-possible", "--connections", self._chosen.connections]
        else:
            words += ["--rate", f"{rate:.1f}", "--connections", self._chosen.open_connections]
        subprocess.run([str(word) for word in words], check=True)
        record = _measured(out) | {"busy_before": busy, "rate": rate and round(rate, 1)}
        print(
            f"{name:<20} {record['events_per_s']:8,.0f} events/s; until acknowledged p50 "
            f"{record['latency_ms']['event']['p50']:.1f} ms, p99 {record['latency_ms']['event']['p99']:.1f} ms, max "
            f"{record['latency_ms']['event']['max']:.1f} ms; client {record['client_cpu_us']:.0f} us CPU a request",
            flush=True,
        )
        return record


def _measured(folder: Path) -> Record:
    """What a replay's own report and journals say."""
    report = json.loads((folder / "report.json").read_text())
    ((name, arm),) = report["arms"].items()
    client = report["sessions"][-1]["client"]
    if not arm["asked"] == arm["answered"] == arm["told"] == report["events"]:
        raise RuntimeError(f"{folder}: not every question was answered and every event told: {arm['unanswered']}")
    requests = client["asked"] + client["told"]
    whole = _whole_events(folder, name, report["plan"]["k"])
    return {
        "events": report["events"],
        "events_per_s": round(client["told"] / client["wall_s"], 1),
        "requests_per_s": round(requests / client["wall_s"], 1),
        "latency_ms": {"ask": arm["latency_ms"]["ask"], "tell": arm["latency_ms"]["tell"], "event": whole.facts()},
        "histogram": whole.encoded(),
        "client_cpu_us": round(1e6 * client["cpu_s"] / requests, 1),
        "client_share": round(client["cpu_s"] / client["wall_s"], 3),
        "late": client["late"],
        "complaint": client["complaint"],
    }


def _whole_events(folder: Path, arm: str, k: int) -> Latencies:
    """From when an event's question was due until the event was acknowledged."""
    asked, told = asked_records(folder, arm, k), told_records(folder, arm)
    asked, told = asked[asked["event"].argsort()], told[told["event"].argsort()]
    latencies = Latencies()
    latencies.add(told["done_us"] - asked["due_us"])
    return latencies


def main() -> int:
    """Measure, write the results, and say which bars hold; 1 where one does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=15_000, help="of a replay, at most 96,000")
    parser.add_argument("--alone", type=int, default=40_000, help="events told to the empty server")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--open-connections", type=int, default=128, help="at a rate, where people do not share them")
    parser.add_argument("--workers", type=int, default=1, help="of the server")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    chosen = parser.parse_args()
    load, busy = os.getloadavg()[0], busy_share(2)
    rounds: dict[str, list[Record]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        version, model = prepare(folder, Prior(0.5, None))
        bench = Bench(version, model, folder, chosen)
        with running(folder / "data", ["postgres"]):
            for number in range(1, chosen.rounds + 1):
                print(f"round {number}", flush=True)
                for way, record in bench.round().items():
                    rounds.setdefault(way, []).append(record)
    settings = {key: getattr(chosen, key) for key in ("events", "alone", "connections", "open_connections", "workers")}
    result = {"machine": describe_machine(_LIBRARIES), "load_before": load, "busy_before": busy} | settings
    result |= {"rounds": rounds, "bars": serve_report.bars_of_replay(rounds)}
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    return serve_report.conclude(result, chosen.results, _RESULTS)


if __name__ == "__main__":
    sys.exit(main())
