"""How fast an expansion is written, and how like its source it is.

    python benchmarks/synth.py                          # ml-100k to 1 M and 10 M rows; rates at 20 M
    python benchmarks/synth.py --part rate              # the rates again, when nobody else uses the machine
    python benchmarks/synth.py --part likeness --like log.csv --rows 1e6 --results /tmp/synth.json

The rates are those of the whole command, a process a run, CSV and ZIP in turn; writing to a file that is deleted again.
For likeness, source and expansions become versions by `matinee transform`, as they are split 50/25/25, and two models
that are counted are trained on train and asked about test. The figures go to benchmarks/results/synth.json, and with
the usual results their pictures to docs/images and their table to docs/synth.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matinee
from machine import describe_machine
from matinee.etl.synth import parse_rows
from matinee.etl.synth_kernel import original_of
from matinee.etl.synth_pattern import read_pattern
from matinee.etl.synth_plan import make_plan
from matinee.schema.progress import Silent
from matinee.version import open_version
from measure import medians, run_in_turn
from synth_figures import likeness, look_at, predictability
from synth_plots import draw, tables

__all__ = ["END", "START", "main"]

START = "<!-- results of benchmarks/synth.py: begin; made by it, do not edit -->"
END = "<!-- results of benchmarks/synth.py: end -->"
BAR_ROWS_PER_S = 3_000_000
_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "benchmarks" / "results" / "synth.json"
_LIBRARIES = ("matinee", "numba", "numpy", "isal", "implicit")


def main() -> int:
    """Everything; exit code 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["rate", "likeness", "all"], default="all")
    parser.add_argument("--like", default="ml-100k", help="the source")
    parser.add_argument("--rows", type=parse_rows, nargs="+", default=[10**6, 10**7], help="sizes that are looked at")
    parser.add_argument("--rate-rows", type=parse_rows, default=2 * 10**7, help="rows of a run that is timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=2000, help="of test that are asked about, at most")
    parser.add_argument("--archives", type=Path, default=Path("matinee-data/archives"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    chosen = parser.parse_args()
    result: dict[str, Any] = json.loads(chosen.results.read_text()) if chosen.results.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        if chosen.part != "likeness":  # first: a child's memory begins at its parent's
            result["rate"] = rate(chosen.like, chosen.rate_rows, chosen.rounds, Path(folder), chosen.archives)
        if chosen.part != "rate":
            result |= compare(chosen.like, chosen.rows, Path(folder), chosen.archives, chosen.users)
    chosen.results.write_text(json.dumps(result, indent=1) + "\n")
    pictures = _ROOT / "docs" / "images" if chosen.results == _RESULTS else chosen.results.parent
    if "logs" in result:
        draw(result["logs"], result["next"], pictures)
        print(tables(result))
    if "rate" in result:
        print(_rates(result["rate"]))
    if chosen.results == _RESULTS:
        update_page(_ROOT / "docs" / "synth.md", result)
    return 0 if "rate" not in result or result["rate"]["csv"]["rows_per_s"] >= BAR_ROWS_PER_S else 1


def rate(like: str, rows: int, rounds: int, folder: Path, archives: Path) -> dict[str, Any]:
    """Median rates of `matinee data synth`, a whole process each; the first round does not count."""
    source = str(matinee.extract(like, out=archives).path) if not Path(like).exists() else like
    outs = {suffix: folder / f"rate.{suffix}" for suffix in ("csv", "zip")}
    commands = {
        suffix: [
            sys.executable,
            "-m",
            "matinee",
            "data",
            "synth",
            "--like",
            source,
            "--rows",
            str(rows),
            "--out",
            str(out),
        ]
        for suffix, out in outs.items()
    }
    runs = run_in_turn(commands, rounds, before=lambda suffix: outs[suffix].unlink(missing_ok=True))
    found: dict[str, Any] = {"like": like, "rows": rows, "rounds": rounds, "machine": describe_machine(_LIBRARIES)}
    for suffix, usages in runs.items():
        middle = medians(usages)
        found[suffix] = middle | {
            "rows_per_s": rows / middle["wall_s"],
            "size_bytes": outs[suffix].stat().st_size,
            "runs": [asdict(usage) for usage in usages],
        }
    return found


def compare(like: str, sizes: list[int], folder: Path, archives: Path, users: int) -> dict[str, Any]:
    """What the source and its expansions look like, the source first."""
    archive = matinee.extract(like, out=None if Path(like).exists() else archives)
    pattern = read_pattern(archive, folder, workers=None, progress=Silent())
    logs: dict[str, Any] = {}
    judged: dict[str, Any] = {}
    alike: dict[str, Any] = {}
    for rows in [0, *sizes]:
        name = f"to {_short(rows)} rows" if rows else archive.name
        source: Any = archive
        if rows:
            source = folder / f"{rows}.csv"
            matinee.data.synth(like=like, rows=rows, out=source, archives=archives)
            plan = make_plan(pattern, rows, 0)
            originals = [original_of(plan.crowd, user) for user in range(plan.users)]
            alike[name] = likeness(source, originals, pattern.items)
        version = open_version(matinee.transform(source, out=folder / f"v{rows}", raw=False).folder)
        logs[name] = look_at(version)
        judged[name] = predictability(version, folder / f"m{rows}", users)
        print(f"{name}: looked at", flush=True)
    return {"like": archive.name, "sha256": archive.sha256, "logs": logs, "next": judged, "copies_share": alike}


def update_page(page: Path, result: dict[str, Any]) -> None:
    """Put the table and the rates between their marks."""
    head, _, rest = page.read_text().partition(START)
    _, _, tail = rest.partition(END)
    told = [tables(result), _shared(result), _rates(result["rate"])]
    page.write_text("\n\n".join([f"{head}{START}", *told, f"{END}{tail}"]))


def _shared(result: dict[str, Any]) -> str:
    shares = "; ".join(f"{name}: {share['0.5']:.2f}" for name, share in result["copies_share"].items())
    return f"What two copies of one user share, in any block (Jaccard's index of their items, median): {shares}."


def _rates(found: dict[str, Any]) -> str:
    machine = found["machine"]
    told = []
    for suffix in ("csv", "zip"):
        way = found[suffix]
        told.append(
            f"{way['rows_per_s'] / 1e6:.1f} M rows/s to {suffix.upper()} ({way['wall_s']:.1f} s, "
            f"{way['cpu_s']:.1f} s of CPU, which is {found['rows'] / way['cpu_s'] / 1e6:.1f} M rows a second of it, "
            f"{way['size_bytes'] / 1e6:,.0f} MB, {way['peak_rss_bytes'] / 1e6:,.0f} MB of memory, libraries included)"
        )
    return (
        f"Written at {' and '.join(told)}: `matinee data synth --like {found['like']} --rows {found['rows']:,}` as a "
        f"whole process, median of {found['rounds']} rounds, others using {_others(found)} of the cores; "
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; {machine['day']}."
    )


def _others(found: dict[str, Any]) -> str:
    """Which share of the cores everybody else had, in the median."""
    runs = [run for suffix in ("csv", "zip") for run in found[suffix]["runs"]]
    shares = sorted(run["foreign_cpu_s"] / run["wall_s"] / len(os.sched_getaffinity(0)) for run in runs)
    return f"{shares[len(shares) // 2]:.0%}"


def _short(rows: int) -> str:
    return f"{rows / 1e6:g} M" if rows >= 10**6 else f"{rows / 1e3:g} k"


if __name__ == "__main__":
    sys.exit(main())
