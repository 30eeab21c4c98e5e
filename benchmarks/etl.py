"""Matinee's transform against Polars, DuckDB and pandas on one generated log, outputs compared by hash, bars checked.

    python benchmarks/etl.py                          # 20 M rows, three rounds, everything
    python benchmarks/etl.py --rows 1e6 --rounds 1 --peers polars duckdb --no-full

Every command runs as a process of its own, in turn (A B C A B C ...) after one warm-up each; see measure.py. The
figures go to benchmarks/results/etl-<rows>.json and from there, all sizes together, into docs/benchmarks.md. Exit code
1 when a run fails, bytes differ, or a bar does not hold (bars are set at 20 M rows; below, they are only shown).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
from machine import describe_machine
from measure import CommandError, Usage, medians, ratios, run_in_turn
from peers import PEERS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Way", "compare", "ensure_log", "text_hashes"]

_HERE = Path(__file__).parent
_NAME = "bench"
_TRANSFORM = """
import sys
from pathlib import Path
from matinee.etl.numba_start import start_numba_lightly
start_numba_lightly()  # as the command does
from matinee.etl.transform import transform
from matinee.schema.transform_settings import TransformSettings
source, out, limit, kind = sys.argv[1:]
transform(
    Path(source), Path(out), TransformSettings(name="bench", raw=kind == "full"),
    memory_limit_bytes=int(limit), text_only=kind == "text",
)
"""


class DifferentOutputError(RuntimeError):
    """Two ways of the same job gave different bytes, or one way did from run to run."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the job: its name in the results, its command, and where the three texts will lie."""

    name: str
    command: list[str]
    out: Path
    texts: tuple[Path, ...]


def matinee(kind: str, limit: str, log: Path, folder: Path) -> Way:
    """Matinee: `kind` is 'text' (the same job as the peers), 'lean' (all but the raw copy) or 'full'."""
    name = f"matinee-{kind}-{limit}"
    out = folder / name
    parts = (("training", "train"), ("evaluation", "eval"), ("testing", "test"))
    texts = tuple(out / place / f"{_NAME}_{split}.txt" for place, split in parts)
    return Way(
        name, [sys.executable, "-c", _TRANSFORM, str(log), str(out), str(report.size_bytes(limit)), kind], out, texts
    )


def peer(name: str, log: Path, folder: Path) -> Way:
    """One of the peers of peers.py."""
    out = folder / name
    command = [sys.executable, str(_HERE / "peers.py"), name, str(log), str(out)]
    return Way(name, command, out, tuple(out / text for text in TEXTS))


def ensure_log(folder: Path, rows: int, order: str, seed: int, half_in_one_hour: bool) -> Path:
    """The generated log, made now unless this generator has made it before."""
    sources = [(_HERE / name).read_bytes() for name in ("generate.py", "event_stream.py")]
    generator = hashlib.sha256(b"".join(sources)).hexdigest()[:8]
    hour = "-hour" if half_in_one_hour else ""
    log = folder / f"ratings-{rows}-{order}{hour}-{seed}-{generator}.csv"
    if not log.exists():
        command = [sys.executable, str(_HERE / "generate.py"), str(log), "--rows", str(rows), "--order", order]
        command += ["--seed", str(seed)] + ["--half-in-one-hour"] * half_in_one_hour
        subprocess.run(command, check=True)
    return log


def text_hashes(way: Way) -> dict[str, str]:
    """Split -> SHA-256 of the text that the last run of this way has left."""
    hashes = {}
    for split, path in zip(("train", "eval", "test"), way.texts, strict=True):
        with path.open("rb") as file:
            hashes[split] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def compare(
    ways: list[Way], log: Path, rounds: int, said: Callable[[str, int, Usage], None]
) -> tuple[dict[str, list[Usage]], dict[str, str]]:
    """Run all ways in turn; the usages of each, and the hashes that all of them agree on.

    Raises:
        DifferentOutputError: some run gave other bytes than the first one.
        CommandError: some run failed.
    """
    agreed: dict[str, str] = {}
    by_name = {way.name: way for way in ways}

    def before(name: str) -> None:
        shutil.rmtree(by_name[name].out, ignore_errors=True)
        with log.open("rb", buffering=0) as file:  # all read from the page cache, whoever ran before
            block = bytearray(1 << 22)
            while file.readinto(block):
                pass

    def after(name: str) -> None:
        hashes = text_hashes(by_name[name])
        if not agreed:
            agreed.update(hashes)
        if hashes != agreed:
            raise DifferentOutputError(f"{name} gave {hashes}, expected {agreed} as {ways[0].name} did")
        shutil.rmtree(by_name[name].out)

    commands = {way.name: way.command for way in ways}
    return run_in_turn(commands, rounds, before=before, after=after, said=said), agreed


def main() -> int:
    """The command line; the exit code is 0 when every bar holds."""
    asked = _arguments()
    asked.dir.mkdir(parents=True, exist_ok=True)
    log = ensure_log(asked.dir, asked.rows, asked.order, asked.seed, asked.half_in_one_hour)
    kinds = ("text", "full", "lean") if asked.full else ("text",)
    ways = [matinee(kind, limit, log, asked.dir) for limit in asked.memory_limit for kind in kinds]
    ways += [peer(name, log, asked.dir) for name in asked.peers]
    try:
        runs, hashes = compare(ways, log, asked.rounds, _say)
    except (CommandError, DifferentOutputError) as error:
        print(error, file=sys.stderr)
        return 1
    result = _result(asked, log, runs, hashes)
    asked.results.mkdir(parents=True, exist_ok=True)
    (asked.results / f"etl-{asked.rows}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(report.table(result))
    if asked.docs and asked.docs.exists():
        report.update_page(asked.docs, asked.results)
    judged = asked.rows >= report.BARS_FROM_ROWS
    return 1 if judged and not all(bar["holds"] for bar in result["bars"]) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Matinee's transform with its peers.")
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="counted runs of each, after one warm-up")
    parser.add_argument("--memory-limit", nargs="+", default=["1GB"], help="Matinee's; speed is judged at the first")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--full", action=argparse.BooleanOptionalAction, default=True, help="the full transform too")
    parser.add_argument("--order", choices=("user", "time", "random"), default="user", help="of the generated log")
    parser.add_argument("--half-in-one-hour", action="store_true", help="a log that is hard on time buckets")
    parser.add_argument("--seed", type=int, default=1, help="of the generated log")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "matinee-bench")
    parser.add_argument("--results", type=Path, default=_HERE / "results")
    parser.add_argument("--docs", type=Path, default=None, help="page to update; docs/benchmarks.md with the defaults")
    asked = parser.parse_args()
    if asked.docs is None and asked.results == _HERE / "results":
        asked.docs = _HERE.parent / "docs" / "benchmarks.md"
    return asked


def _say(name: str, number: int, usage: Usage) -> None:
    which = f"round {number}" if number > 0 else "warm-up"
    figures = f"{usage.wall_s:7.2f} s wall {usage.cpu_s:7.2f} s CPU {usage.peak_rss_bytes / 1e6:7.0f} MB peak"
    print(f"{which}  {name:20} {figures} {usage.foreign_cpu_s:6.2f} s CPU by others", flush=True)


def _result(
    asked: argparse.Namespace, log: Path, runs: dict[str, list[Usage]], hashes: dict[str, str]
) -> dict[str, Any]:
    base = f"matinee-text-{asked.memory_limit[0]}"
    result: dict[str, Any] = {
        "log": {
            "rows": asked.rows,
            "order": asked.order,
            "half_in_one_hour": asked.half_in_one_hour,
            "seed": asked.seed,
            "size_bytes": log.stat().st_size,
        },
        "machine": describe_machine(),
        "memory_limits": asked.memory_limit,
        "rounds": asked.rounds,
        "text_sha256": hashes,
        "ways": {name: medians(usages) for name, usages in runs.items()},
        "ratios": {name: ratios(usages, runs[base]) for name, usages in runs.items() if name != base},
        "runs": {name: [asdict(usage) for usage in usages] for name, usages in runs.items()},
    }
    result["bars"] = report.bars(result)
    return result


if __name__ == "__main__":
    sys.exit(main())
