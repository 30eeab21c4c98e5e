"""How many questions and events a second the server takes, client and server on the same cores, against its peers.

    python benchmarks/serve.py                           # 24,000 items, 50 positions, three rounds; some minutes
    python benchmarks/serve.py --peers mlflow litserve   # behind them the same ONNX file, asked by the same client

Per round, in turn: an empty server (what the client costs), questions alone, ask-then-tell with every event durable,
the same at 80% of that rate with latency counted from the intended moment, and the peers. The network is untrained: its
speed does not depend on what it has learnt. The figures go to benchmarks/results/serve.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import uvloop

import serve_peers
from machine import describe_machine
from matinee.etl.stages import transform
from matinee.model import checkpoint
from matinee.model.checkpoint import CheckpointFacts
from matinee.model.export_onnx import export_onnx
from matinee.model.recommender import Known, Prior
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from matinee.stack import running
from matinee.version import open_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

USERS, ITEMS, POSITIONS = 31_000, 24_000, 50
BAR_EVENTS_PER_S, BAR_P99_S, BAR_CLIENT_PER_S = 1_000, 0.050, 5_000
BARS_PEERS = {"mlflow": 5, "litserve": 2}
_CONNECTIONS = 32
_RESULTS = Path(__file__).parent / "results" / "serve.json"
_START = """
import sys
from pathlib import Path
from matinee.serve.stage import serve_in
url, model, version, data, workers = sys.argv[1:]
serve_in(url, Path(model), version=version, port=0, workers=int(workers), data_dir=Path(data),
         ready=lambda address: print(address, flush=True))
"""

Body = dict[str, Any]


class Connection:
    """One connection of a client that does as little as it can: a request as bytes, an answer's head and its body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, path: str, body: Body) -> bytes:
        """The answer's body; anything but 200 ends the benchmark."""
        content = json.dumps(body).encode()
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"{path}: {head.decode()}{answer.decode()}")
        return answer

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def drive(port: int, seconds: float, step: Callable[[Connection, int], Any], rate: float | None = None) -> Body:
    """Steps a second, and their latency: as fast as possible over all connections, or at a rate, open loop.

    At a rate, step n is meant to begin n / rate seconds after the start; latency counts from there, whenever a
    connection was free.
    """
    lines = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
    for line in lines:
        await step(line, 0)
    taken, numbers = [], iter(range(1, 10**9))
    began_s = time.perf_counter()

    async def work(line: Connection) -> None:
        while time.perf_counter() - began_s < seconds:
            number = next(numbers)
            meant_s = time.perf_counter() if rate is None else began_s + number / rate
            if meant_s - began_s >= seconds:
                return
            if (early_s := meant_s - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            await step(line, number)
            taken.append(time.perf_counter() - meant_s)

    used_s = time.process_time()
    await asyncio.gather(*map(work, lines))
    wall_s, used_s = time.perf_counter() - began_s, time.process_time() - used_s
    for line in lines:
        line.close()
    p50, p99 = np.percentile(taken, [50, 99])
    return {
        "per_s": round(len(taken) / wall_s, 1),
        "p50_ms": round(1000 * float(p50), 2),
        "p99_ms": round(1000 * float(p99), 2),
        "max_ms": round(1000 * max(taken), 2),
        "client_cpu_us": round(1e6 * used_s / len(taken), 1),
    }


def asking(rows: Sequence[Body]) -> Callable[[Connection, int], Any]:
    """Questions alone."""

    async def step(line: Connection, number: int) -> None:
        await line.post("/v1/recommend", rows[number % len(rows)])

    return step


def asking_and_telling(rows: Sequence[Body]) -> Callable[[Connection, int], Any]:
    """A question, then the event; both answered before the next one."""
    teller, count = str(uuid4()), iter(range(10**9))

    async def step(line: Connection, number: int) -> None:
        row = rows[number % len(rows)]
        await line.post("/v1/recommend", row)
        item = 1 + number * 7919 % ITEMS
        told = {"user": row["user"], "item": item, "teller": teller, "number": next(count)}
        await line.post("/v1/events", told)

    return step


@contextmanager
def started(command: Sequence[str], port: int | None = None) -> Iterator[int]:
    """A program that prints its address, or one whose port is known and must answer; stopped in the end."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow calls uvicorn by its name
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PATH": path}, start_new_session=True, text=True
    )
    try:
        if port is None:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise RuntimeError(f"{command[1:3]} did not start")
            port = int(address.rpartition(":")[2])
        else:
            serve_peers.wait_for(port, process)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def prepare(folder: Path) -> tuple[Path, Path]:
    """A version of so many users and items, and a network for it: (version, model)."""
    chance = np.random.default_rng(0)
    items = np.concatenate([np.arange(1, ITEMS + 1), 1 + (chance.pareto(1.0, 376_000) * 50).astype(np.int64) % ITEMS])
    users = np.concatenate([np.arange(1, ITEMS + 1), chance.integers(1, USERS + 1, 376_000)])
    log = folder / "log.csv"
    rows = "".join(f"{user},{item},{10**9 + at}\n" for at, (user, item) in enumerate(zip(users, items, strict=True)))
    log.write_text(f"user,item,time\n{rows}")
    made = transform(log, out=folder / "version", fractions=(0.98, 0.01, 0.01))
    version = open_version(made.folder)
    known = Known(version.known_users, version.known_items)
    model = SSEPT.initial(SSEPTSettings(maxlen=POSITIONS), known, 0)
    model.prior = Prior(0.5, None)
    facts = CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=version.manifest.users,
        items=version.manifest.items,
    )
    facts = checkpoint.save(folder / "model", model, facts)
    export_onnx(model, facts, folder / "model" / "model.onnx")
    return version.folder, folder / "model"


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, list[Body]]:
    """All rounds: what was measured -> one record a round."""
    version, model = prepare(folder)
    chance = np.random.default_rng(1)
    # Histories of 50 positions that the request brings along: every question costs the same, here and behind peers.
    full = [
        {"user": int(user), "history": chance.integers(1, ITEMS + 1, POSITIONS).tolist()}
        for user in chance.integers(1, USERS + 1, 2000)
    ]
    people = [{"user": row["user"]} for row in full]
    found: dict[str, list[Body]] = {}

    def add(name: str, record: Body) -> None:
        found.setdefault(name, []).append(record)
        print(f"{name:<32} {record}", flush=True)

    with running(folder / "data", ["postgres"]) as stack:
        ours = [sys.executable, "-c", _START, stack.postgres_url, str(model), str(version), str(folder / "data")]
        for number in range(arguments.rounds):
            print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}", flush=True)
            with started(
                [sys.executable, str(Path(__file__).parent / "serve_peers.py"), "empty", "9631"], 9631
            ) as port:
                add("client alone", _drive(port, arguments.seconds, asking(people)))
            with started([*ours, str(arguments.workers)]) as port:
                add("questions, 50 positions each", _drive(port, arguments.seconds, asking(full)))
                told = _drive(port, arguments.seconds, asking_and_telling(people))
                add("asked and told", told)
                rate = 0.8 * told["per_s"]
                add("asked and told at 80%", _drive(port, arguments.seconds, asking_and_telling(people), rate))
            for peer in arguments.peers:
                with serve_peers.behind(peer, model, started) as (port, path, body_of):
                    bodies = [body_of(row["user"], row["history"]) for row in full]

                    async def step(line: Connection, at: int, path: str = path, bodies: list[Body] = bodies) -> None:
                        await line.post(path, bodies[at % len(bodies)])

                    add(f"{peer}, 50 positions each", _drive(port, arguments.seconds, step))
    return found


def _drive(port: int, seconds: float, step: Callable[[Connection, int], Any], rate: float | None = None) -> Body:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(drive(port, seconds, step, rate))


def bars(found: dict[str, list[Body]]) -> dict[str, bool]:
    """What was asked of the server, by medians of the rounds."""
    middle = {name: {key: median(each[key] for each in rounds) for key in rounds[0]} for name, rounds in found.items()}
    questions = middle["questions, 50 positions each"]["per_s"]
    held = {
        f"asked and told, at least {BAR_EVENTS_PER_S:,}/s": middle["asked and told"]["per_s"] >= BAR_EVENTS_PER_S,
        f"p99 at 80% under {1000 * BAR_P99_S:.0f} ms": middle["asked and told at 80%"]["p99_ms"] < 1000 * BAR_P99_S,
        f"client alone at least {BAR_CLIENT_PER_S:,}/s": middle["client alone"]["per_s"] >= BAR_CLIENT_PER_S,
    }
    for peer, times in BARS_PEERS.items():
        if (name := f"{peer}, 50 positions each") in middle:
            held[f"at least {times} times {peer}"] = questions >= times * middle[name]["per_s"]
    return held


def main() -> int:
    """Measure, write the results, and say which bars hold; 1 where one does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=[], choices=sorted(BARS_PEERS))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments, Path(folder))
    held = bars(found)
    for bar, holds in held.items():
        print(f"{'holds' if holds else 'MISSED':<8} {bar}")
    libraries = ("matinee", "starlette", "uvicorn", "uvloop", "httptools", "msgspec", "onnxruntime", "psycopg", "numba")
    record = {
        "machine": describe_machine(libraries),
        "load_before": load,
        "workers": arguments.workers,
        "connections": _CONNECTIONS,
        "seconds": arguments.seconds,
        "rounds": found,
        "bars": held,
    }
    arguments.results.write_text(json.dumps(record, indent=2) + "\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
