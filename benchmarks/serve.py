"""How many questions a second the server answers, against the same ONNX file behind MLflow and LitServe.

    python benchmarks/serve.py                           # 24,000 items, 50 positions; under four minutes
    python benchmarks/serve.py --peers litserve --rounds 5

Client and servers share this machine's cores, and the client is the replay's own. Every question brings its history
along, so it costs the same everywhere. First each server is tried at all its settings, and seen to give the same lists;
then the best setting of each takes turns, round after round, behind an empty server that shows what the client can do.
Asking *and telling* is measured by benchmarks/replay.py. The figures go to
benchmarks/results/serve.json and from there into docs/benchmarks.md; exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import serve_client
import serve_report
from machine import busy_share, describe_machine
from matinee.model.recommender import Prior
from matinee.stack import running
from serve_data import ITEMS, POSITIONS, USERS, prepare
from serve_peers import PEERS, behind
from serve_programs import BENCHMARKS, cpu_s, matinee_serve, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matinee.version import Version

__all__ = ["main"]

EMPTY, OURS = "empty server", "matinee serve"
_WORKERS = {"1 worker": 1, "2 workers": 2}  # of ours
_RESULTS = BENCHMARKS / "results" / "serve.json"
_QUESTIONS, _COMPARED = 2_000, 25
_WARM_UP_S = 1.0
_SAME = 0.95  # of the compared lists; two that score alike to the last bits may change places
_LIBRARIES = (
    "matinee", "onnxruntime", "uvicorn", "starlette", "uvloop", "httptools", "msgspec", "numba", "mlflow", "litserve",
)  # fmt: skip

Record = dict[str, Any]


class Bench:
    """Servers by name, each asked the same questions in its own words."""

    def __init__(self, version: Version, model: Path, folder: Path, chosen: argparse.Namespace) -> None:
        self._version, self._model, self._folder, self._chosen = version, model, folder, chosen
        chance = np.random.default_rng(1)
        self._users = chance.integers(1, USERS + 1, _QUESTIONS)
        self._histories = chance.integers(1, ITEMS + 1, (_QUESTIONS, POSITIONS))
        self._lists: list[list[int]] = []
        self._starts = 0

    def ask(self, name: str, seconds: float) -> Record:
        """One measurement of one server, started for it."""
        with self._server(name) as (url, pid, path, bodies, items_of):
            payloads = serve_client.requests(url, path, bodies)
            record: Record = {"busy_before": busy_share()}
            if items_of:
                record["same_lists"] = self._same(serve_client.ask_each(url, payloads[:_COMPARED]), items_of)
            serve_client.crowd(url, payloads, self._chosen.connections, _WARM_UP_S)
            used_s = cpu_s(pid)
            record |= serve_client.crowd(url, payloads, self._chosen.connections, seconds)
            record["server_cpu_us"] = round(1e6 * (cpu_s(pid) - used_s) / record["answered"], 1)
        print(
            f"{name:<42} {record['per_s']:9,.1f} answers/s, p50 {record['latency_ms']['p50']:.1f} ms, "
            f"p99 {record['latency_ms']['p99']:.1f} ms; us CPU an answer: server {record['server_cpu_us']:.0f}, client "
            f"{record['client_cpu_us']:.0f}",
            flush=True,
        )
        return record

    @contextmanager
    def _server(self, name: str) -> Iterator[tuple[str, int, str, list[bytes], Callable[[bytes], list[int]] | None]]:
        """Its address and pid, the path that is asked, questions in its words, and what reads the list in an answer."""
        self._starts += 1
        folder = self._folder / str(self._starts)
        log = self._folder / f"{self._starts}.log"
        kind, _, setting = name.partition(": ")
        if name == EMPTY:
            url = "http://127.0.0.1:9631"
            command = [sys.executable, str(BENCHMARKS / "serve_empty.py"), "9631", str(self._version.folder)]
            with started(command, f"{url}/readyz", log) as pid:
                yield url, pid, "/v1/recommend", self._ours(), None
        elif kind == OURS:
            data = self._folder / "data"
            with matinee_serve(self._model, self._version.folder, data, _WORKERS[setting], log) as (url, pid):
                yield url, pid, "/v1/recommend", self._ours(), self._items
        else:
            peer = PEERS[kind][setting]
            with behind(peer, self._model, folder) as (url, pid):
                asked = zip(self._users.tolist(), self._histories.tolist(), strict=True)
                yield url, pid, peer.path, [peer.question(user, history) for user, history in asked], peer.items

    def _ours(self) -> list[bytes]:
        """In raw ids; nothing is left out, as the peers leave nothing out."""
        users = self._version.raw_users[self._users - 1].tolist()
        histories = self._version.raw_items[self._histories - 1].tolist()
        return [
            json.dumps({"user": user, "history": history, "exclude_seen": False}).encode()
            for user, history in zip(users, histories, strict=True)
        ]

    def _items(self, body: bytes) -> list[int]:
        """The dense ids of an answer of ours."""
        dense = {raw: place for place, raw in enumerate(self._version.raw_items.tolist(), 1)}
        return [dense[raw] for raw in json.loads(body)["items"]]

    def _same(self, bodies: Sequence[bytes], items_of: Callable[[bytes], list[int]]) -> float:
        """The share of lists that are as the first server's were."""
        lists = [items_of(body) for body in bodies]
        self._lists = self._lists or lists
        same = sum(one == other for one, other in zip(lists, self._lists, strict=True)) / len(lists)
        if same < _SAME:
            raise RuntimeError(f"only {same:.0%} of the lists are the same: another model, or another question")
        return same


def measure(bench: Bench, chosen: argparse.Namespace) -> Record:
    """Every setting once, then all rounds."""
    print(f"settings, {chosen.trial_s:g} s each", flush=True)
    settings = {OURS: [*_WORKERS]} | {peer: [*PEERS[peer]] for peer in chosen.peers}
    trials = {
        server: {setting: bench.ask(f"{server}: {setting}", chosen.trial_s) for setting in tried}
        for server, tried in settings.items()
    }
    best = {server: max(tried, key=lambda name: float(tried[name]["per_s"])) for server, tried in trials.items()}
    names = [EMPTY, *(f"{server}: {setting}" for server, setting in best.items())]
    rounds: dict[str, list[Record]] = {name: [] for name in names}
    for number in range(1, chosen.rounds + 1):
        print(f"round {number}, {chosen.seconds:g} s each", flush=True)
        for name in names:
            rounds[name].append(bench.ask(name, chosen.seconds))
    return {"trials": trials, "best": best, "rounds": rounds}


def main() -> int:
    """Measure, write the results, and say which bars hold; 1 where one does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", default=[*PEERS], choices=[*PEERS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--trial-s", type=float, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    chosen = parser.parse_args()
    load, busy = os.getloadavg()[0], busy_share(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        version, model = prepare(folder, Prior())
        with running(folder / "data", ["postgres"]):
            found = measure(Bench(version, model, folder, chosen), chosen)
    settings = {key: getattr(chosen, key) for key in ("seconds", "trial_s", "connections")}
    result = {"machine": describe_machine(_LIBRARIES), "load_before": load, "busy_before": busy} | settings | found
    result["bars"] = serve_report.bars_of_peers(result)
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    return serve_report.conclude(result, chosen.results, _RESULTS)


if __name__ == "__main__":
    sys.exit(main())
