r"""How fast a version's users and items come into Postgres, against psql's \\copy of the same rows from a file.

    python benchmarks/database.py                                # 2 M users, 500,000 items, 10 M events, three rounds
    python benchmarks/database.py --users 2e5 --items 9e4 --events 25e6

One Postgres of the stack, all ways in turn (A B C A B C ...), each into tables of its own. The figures go to
benchmarks/results/database.json; docs/database.md tells them. Exit code 1 where the fill does not reach its bar.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import psycopg
import pyarrow as pa
from pyarrow import csv

import matinee
from machine import describe_machine
from matinee.database import Told, fill, history, migrate, tell
from matinee.schema.manifest import Manifest
from matinee.schema.progress import Silent
from matinee.stack import postgres, running

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

BAR_ROWS_PER_S = 500_000
_RESULTS = Path(__file__).parent / "results" / "database.json"
_TABLE = (
    'CREATE TABLE plain (id integer NOT NULL, raw text COLLATE "C" NOT NULL, first_seen bigint NOT NULL, '
    "last_seen bigint NOT NULL, events bigint NOT NULL)"
)
_TOLD_BATCH = 1_000


class Phases(Silent):
    """Takes the time of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def start(self, phase: str, total: int | None, unit: str) -> None:
        """Begin one."""
        del total, unit
        self._phase, self._began_s = phase, time.perf_counter()

    def finish(self, note: str = "") -> None:
        """End it."""
        del note
        self.seconds[self._phase] = time.perf_counter() - self._began_s


def main() -> int:
    """Measure, print, write; 1 where the bar is missed."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        folder = Path(name)
        with running(folder / "data", ["postgres"]) as stack:
            version = _make_version(folder, options)
            rows = Manifest.read(version).users.count + Manifest.read(version).items.count
            runs = [_round(stack.postgres_url, version, folder) for _ in range(options.rounds)]
            told = _measure_told(stack.postgres_url, version)
    ways = {way: [run[way] for run in runs] for way in runs[0]}
    result = {
        "machine": describe_machine(),
        "users": options.users,
        "items": options.items,
        "events": options.events,
        "rows": rows,
        "seconds": ways,
        "rows_per_s": {way: round(rows / median(seconds)) for way, seconds in ways.items()},
        "told": told,
    }
    _print(result)
    options.results.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["rows_per_s"]["fill"] >= BAR_ROWS_PER_S else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("users", "2e6"), ("items", "5e5"), ("events", "1e7"), ("rounds", "3")):
        parser.add_argument(f"--{name}", type=lambda text: int(float(text)), default=usual)
    parser.add_argument("--dir", type=Path, help="where data lies meanwhile; default: the system's temporary folder")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    return parser.parse_args()


def _make_version(folder: Path, options: argparse.Namespace) -> Path:
    """A real version in which every user and item occurs."""
    chance = np.random.default_rng(7)
    columns = {}
    for name, count in (("user", options.users), ("item", options.items)):
        ids = np.concatenate([np.arange(count), chance.integers(0, count, options.events - count)])
        columns[name] = chance.permutation(ids) * 7 + 1
    columns["time"] = chance.integers(1_000_000_000, 1_700_000_000, options.events)
    csv.write_csv(pa.table(columns), folder / "log.csv")
    return matinee.transform(folder / "log.csv", out=folder / "version", raw=False).folder


def _round(url: str, version: Path, folder: Path) -> dict[str, float]:
    """Seconds of each way, once; the database is as before afterwards."""
    phases = Phases()
    migrate(url)  # once in a database's life
    with _timed() as whole:
        fill(url, version, progress=phases)
    seconds = {"fill": whole[0] - phases.seconds["scan"], "fill with scan of all events": whole[0]}
    files = {table: folder / f"{table}.csv" for table in ("users", "items")}
    with psycopg.connect(url, autocommit=True) as connection:
        for table, file in files.items():
            if not file.exists():
                _write(connection, table, file)
        connection.execute("DROP TABLE users, items, versions, datasets, told_events, alembic_version")
        for way, indexed in (("psql \\copy, bare table", False), ("psql \\copy, then like indexes", True)):
            with _timed() as taken:
                for table, file in files.items():
                    connection.execute(_TABLE.replace("plain", f"plain_{table}"))  # type: ignore[arg-type]
                    _psql(url, f"\\copy plain_{table} FROM '{file}' (FORMAT csv)")
                    if indexed:
                        connection.execute(f"ALTER TABLE plain_{table} ADD PRIMARY KEY (id), ADD UNIQUE (raw)")  # type: ignore[arg-type]
            seconds[way] = taken[0]
            connection.execute("DROP TABLE plain_users, plain_items")
    return seconds


def _write(connection: psycopg.Connection[Any], table: str, file: Path) -> None:
    query = f"COPY (SELECT id, raw, first_seen, last_seen, events FROM {table} ORDER BY id) TO STDOUT (FORMAT csv)"
    with file.open("wb") as out, connection.cursor().copy(query) as copy:  # type: ignore[arg-type]
        for part in copy:
            out.write(part)


def _psql(url: str, command: str) -> None:
    password = str(psycopg.conninfo.conninfo_to_dict(url)["password"])
    place = f"postgresql://{postgres.USER}@{url.rpartition('@')[2]}"
    psql = [postgres.programs() / "psql", "-q", "-X", place, "-c", command]
    subprocess.run(psql, env={**os.environ, "PGPASSWORD": password}, check=True)


def _measure_told(url: str, version: Path) -> dict[str, float]:
    """What a live system sees: events appended a thousand at a time, each batch on disk, and histories read again."""
    fill(url, version)
    chance, teller = np.random.default_rng(8), uuid4()
    dataset, batches = Manifest.read(version).name, 200
    with psycopg.connect(url) as connection:
        with _timed() as appended:
            for batch in range(batches):
                users = chance.integers(0, 20_000, _TOLD_BATCH).tolist()
                tell(
                    connection,
                    dataset,
                    teller,
                    [Told(batch * _TOLD_BATCH + at, str(user), str(at), at) for at, user in enumerate(users)],
                )
        connection.execute("ANALYZE told_events")
        asked = [str(user) for user in range(2_000)]
        with _timed() as read:
            history(connection, dataset, asked, last=50)
    return {
        "events_told_per_s": round(batches * _TOLD_BATCH / appended[0]),
        "histories_read_per_s": round(len(asked) / read[0]),
    }


@contextmanager
def _timed() -> Iterator[list[float]]:
    taken = [0.0]
    began_s = time.perf_counter()
    yield taken
    taken[0] = time.perf_counter() - began_s


def _print(result: dict[str, Any]) -> None:
    print(
        f"{result['rows']:,} rows ({result['users']:,} users, {result['items']:,} items), {result['events']:,} events"
    )
    for way, seconds in result["seconds"].items():
        runs = ", ".join(f"{value:.2f}" for value in seconds)
        print(f"{way:<36} {result['rows_per_s'][way]:>10,} rows/s   {runs} s")
    for name, value in result["told"].items():
        print(f"{name.replace('_', ' '):<36} {value:>10,}")


if __name__ == "__main__":
    sys.exit(main())
