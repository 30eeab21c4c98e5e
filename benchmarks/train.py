"""How fast, how small and how good Matinee's training is, against RecBole, RecTools and a plain padded loop.

    python benchmarks/train.py --part speed --seeds 0,1,2
    python benchmarks/train.py --part games-full --seeds 0 --minutes 4 --ways matinee recbole
    python benchmarks/train.py --report                        # the tables of docs/benchmarks.md, from the results

A run is one process with one seed; its figures are added to results/train-PART.json as soon as it ends, and a run that
is there already, with the same settings, is not done again. Ways take turns, seed after seed. Exit code 1 where a bar
is missed by what has been run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import train_report
from machine import describe_machine
from measure import CommandError
from train_bars import bars
from train_parts import PARTS, Place, Run, execute

__all__ = ["main", "remember"]

_HERE = Path(__file__).parent
_LIBRARIES = ("matinee", "numba", "numpy", "torch")


def main() -> int:
    """The command line."""
    asked = _arguments()
    place = Place(asked.dir, asked.peers_python, asked.games)
    try:
        for part in asked.part:
            _measure(part, place, asked)
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    if asked.docs:
        train_report.update_page(asked.docs, asked.results)
    results = train_report.read_results(asked.results)
    print("\n".join(train_report.tables(results, asked.part or list(PARTS))))
    return 0 if all(bar.holds for bar in bars(results) if bar.part in (asked.part or PARTS)) else 1


def remember(path: Path, entry: dict[str, Any]) -> None:
    """Add a run to the results in `path`, in place of one of the same data, way and seed."""
    runs = [run for run in (_runs(path) if path.exists() else []) if _key(run) != _key(entry)]
    result = {"machine": describe_machine(_LIBRARIES), "runs": sorted([*runs, entry], key=_key)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=2) + "\n")
    partial.replace(path)


def _measure(part: str, place: Place, asked: argparse.Namespace) -> None:
    """All runs of a part that are not there yet."""
    if part.startswith("games") and not asked.games.exists():
        print(f"{asked.games}: not there, so {part} is skipped; name the log of Games with --games", file=sys.stderr)
        return
    path = asked.results / f"train-{part}.json"
    for seed in asked.seeds:
        for run in PARTS[part](place, seed, asked.minutes):
            if asked.ways and not any(run.way.startswith(way) for way in asked.ways):
                continue
            if not asked.again and _is_known(path, run):
                print(f"{part}: {run.data}, {run.way}, seed {seed} is there already", flush=True)
                continue
            entry = execute(run, place)
            remember(path, entry)
            print(f"{part}: {run.data}, {run.way}, seed {seed}: {_words(entry)}", flush=True)


def _is_known(path: Path, run: Run) -> bool:
    """Whether a run with the same settings is in the results."""
    if not path.exists():
        return False
    wanted = json.loads(json.dumps(run.identity))  # as it is after being written
    return any(wanted.items() == {key: known.get(key) for key in wanted}.items() for known in _runs(path))


def _runs(path: Path) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"]
    return runs


def _key(run: dict[str, Any]) -> tuple[str, str, int]:
    return run["data"], run["way"], run["seed"]


def _words(entry: dict[str, Any]) -> str:
    """The figure that matters most while one waits."""
    if "judged" in entry:
        first, found = next(iter(entry["judged"].items()))
        found = found if "metrics" in found else next(iter(found.values()))
        return f"{first}: " + ", ".join(f"{name} {value:.4f}" for name, value in found["metrics"].items())
    if "sequences_per_s" in entry:
        return f"{entry['sequences_per_s']:,.0f} sequences/s"
    return f"peak {entry['usage']['peak_rss_bytes'] / 1e6:,.0f} MB"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure training.", epilog="See docs/benchmarks.md.")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=[])
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, help="of training a run; the part's own by default")
    parser.add_argument("--ways", nargs="+", help="only those whose names begin so")
    parser.add_argument("--again", action="store_true", help="replace what is there")
    parser.add_argument("--report", action="store_true", help="show what is there, run nothing without --part")
    parser.add_argument("--games", type=Path, default=_HERE.parents[1] / "shared" / "data" / "games.txt")
    parser.add_argument("--peers-python", type=Path, default=_HERE.parent / ".venv-peers" / "bin" / "python")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "matinee-bench-train")
    parser.add_argument("--results", type=Path, default=_HERE / "results")
    parser.add_argument("--docs", type=Path, default=None, help="page to update; docs/benchmarks.md with the defaults")
    asked = parser.parse_args()
    if not asked.part and not asked.report:
        parser.error("nothing to do; name a --part, or --report")
    if asked.docs is None and asked.results == _HERE / "results":
        asked.docs = _HERE.parent / "docs" / "benchmarks.md"
    return asked


if __name__ == "__main__":
    sys.exit(main())
