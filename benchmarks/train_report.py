"""Turns the results of benchmarks/train.py into Markdown tables, bars that hold or not, and a section of a page."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any

from train_bars import FULL, IN_TIME, NEGATIVES, bars, groups, median_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["END", "START", "read_results", "tables", "update_page"]

START = "<!-- results of benchmarks/train.py: begin; made by it, do not edit -->"
END = "<!-- results of benchmarks/train.py: end -->"

_QUIET_SHARE = 0.05  # of the machine's cores, used by others during a run
_PARTS = ("speed", "games", "games-best", "games-full", "ml-100k", "strangers", "memory")

Result = dict[str, Any]


def read_results(folder: Path) -> dict[str, Result]:
    """Part -> what its runs gave, for the parts that have been run."""
    paths = {part: folder / f"train-{part}.json" for part in _PARTS}
    return {part: json.loads(path.read_text()) for part, path in paths.items() if path.exists()}


def tables(results: dict[str, Result], parts: Iterable[str]) -> list[str]:
    """The Markdown of these parts, each with its conditions, figures and bars."""
    writers: dict[str, Callable[[Result], list[str]]] = {
        "speed": _speed,
        "games": _leave_one_out,
        "games-best": _leave_one_out,
        "games-full": _leave_one_out,
        "ml-100k": _in_time,
        "strangers": _strangers,
        "memory": _memory,
    }
    lines = []
    for part in _PARTS:
        if part in results and part in parts:
            lines += [f"### {_TITLES[part]}", "", _conditions(results[part]), "", *writers[part](results[part]), ""]
            held = [bar for bar in bars(results) if bar.part == part]
            if held:
                lines += ["| bar | measured | holds |", "|---|---|---|"]
                lines += [f"| {bar.what} | {bar.measured} | {'yes' if bar.holds else '**no**'} |" for bar in held]
                lines.append("")
    return lines


def update_page(page: Path, results: Path) -> None:
    """Put all results of the folder between the page's two marks.

    Raises:
        ValueError: the page has lost its marks.
    """
    text = page.read_text()
    before, begin, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines {START!r} and {END!r}; put them back where the results belong")
    found = "\n".join(tables(read_results(results), _PARTS))
    page.write_text(f"{before}{START}\n\n{found}\n{END}{after}")


_TITLES = {
    "speed": "Sequences a second",
    "games": "Games, 100 negatives, ten minutes",
    "games-best": "Games, 100 negatives, as long as it takes",
    "games-full": "Games, whole catalogue, against the peers for the same time",
    "ml-100k": "ml-100k, cut in time, every test event",
    "strangers": "Strangers",
    "memory": "Memory",
}


def _speed(result: Result) -> list[str]:
    heads = (
        "data",
        "way",
        "sequences/s, median (range)",
        "a CPU second",
        "the trainer's own rows/s",
        "seconds counted",
        "CPU by others",
    )
    lines = _head(heads)
    cores = result["machine"]["cores"]
    for (data, way), runs in groups(result["runs"], "data", "way").items():
        rates = [run["sequences_per_s"] for run in runs]
        rows, per_cpu_s = (median(run[name] for run in runs) for name in ("rows_per_s", "sequences_per_cpu_s"))
        lines.append(
            f"| {data} | {way} | {median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | {per_cpu_s:,.0f} "
            f"| {rows:,.0f} | {median(run['counted_s'] for run in runs):.0f} | {_foreign(runs, cores):.1%} |"
        )
    return lines


def _leave_one_out(result: Result) -> list[str]:
    heads = ("way", "seeds", "training s, of it to the best", "NDCG@10 full", "HR@10 full", "NDCG@10 100 neg.",
             "HR@10 100 neg.")  # fmt: skip
    lines = _head(heads)
    for (way,), runs in groups(result["runs"], "way").items():
        figures = " | ".join(
            _spread(runs, protocol, metric) for protocol in (FULL, NEGATIVES) for metric in ("ndcg@10", "hr@10")
        )
        lines.append(f"| {way} | {_seeds(runs)} | {_time_to_best(runs)} | {figures} |")
    return lines


def _in_time(result: Result) -> list[str]:
    heads = ("way", "seeds", "HR@10 (95% interval)", "NDCG@10", "MRR@10", "HR@10 warm users", "HR@10 cold users",
             "HR@10 warm items", "HR@10 cold items", "coverage")  # fmt: skip
    lines = _head(heads)
    for (way,), runs in groups(result["runs"], "way").items():
        segments = [run["judged"][IN_TIME]["segments"] for run in runs]
        low, high = (median(each["all"]["intervals"]["hr@10"][end] for each in segments) for end in (0, 1))
        parts = " | ".join(
            _number(_median_of(each[name]["metrics"]["hr@10"] for each in segments))
            for name in ("warm users", "cold users", "warm items", "cold items")
        )
        coverage = median(run["judged"][IN_TIME]["coverage"] for run in runs)
        hits, gain, reciprocal = (median_of(runs, IN_TIME, metric) for metric in ("hr@10", "ndcg@10", "mrr@10"))
        lines.append(
            f"| {way} | {_seeds(runs)} | {hits:.4f} ({low:.4f} to {high:.4f}) | {gain:.4f} | {reciprocal:.4f} "
            f"| {parts} | {coverage:.2f} |"
        )
    counts = result["runs"][0]["judged"][IN_TIME]["segments"]
    told = ", ".join(f"{counts[name]['events']:,} {name}" for name in ("all", "warm users", "cold users", "warm items",
                     "cold items"))  # fmt: skip
    return [*lines, "", f"Events: {told}."]


def _strangers(result: Result) -> list[str]:
    lines = _head(("user SSE", "stand-in", "prior", "HR@10", "NDCG@10", "HR@10 warm users", "HR@10 cold users"))
    for (way,), runs in groups(result["runs"], "way").items():
        for name in runs[0]["judged"]:
            said = [run["judged"][name][IN_TIME] for run in runs]
            stranger, prior = name.split(", ")
            figures = [
                median(each["metrics"]["hr@10"] for each in said),
                median(each["metrics"]["ndcg@10"] for each in said),
                *(median(each["segments"][who]["metrics"]["hr@10"] for each in said)
                  for who in ("warm users", "cold users")),
            ]  # fmt: skip
            told = " | ".join(f"{figure:.4f}" for figure in figures)
            lines.append(f"| {way.rpartition(' ')[2]} | {stranger} | {'on' if prior == 'prior' else 'off'} | {told} |")
    return lines


def _memory(result: Result) -> list[str]:
    lines = _head(("way", "events", "steps", "peak RSS MB", "of it anonymous"))
    for run in result["runs"]:
        usage = run["usage"]
        lines.append(
            f"| {run['way']} | {run['events']:,} | {run['steps']:,} | {usage['peak_rss_bytes'] / 1e6:,.0f} "
            f"| {usage['peak_anonymous_bytes'] / 1e6:,.0f} |"
        )
    return lines


def _conditions(result: Result) -> str:
    """The machine, and how quiet it was."""
    machine, runs = result["machine"], result["runs"]
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    worst = max(_foreign([run], machine["cores"]) for run in runs)
    verdict = "a quiet machine" if worst <= _QUIET_SHARE else "**not a quiet machine**"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB; "
        f"{machine['kernel']}; Python {machine['python']}; {libraries}; {machine['day']}. "
        f"Others used {worst:.1%} of the cores in the worst run: {verdict}."
    )


def _foreign(runs: list[Result], cores: int) -> float:
    """What others used of the machine's CPU time, in the median run."""
    usages = [run["usage"] for run in runs]
    return median((usage["foreign_cpu_s"] + usage["steal_s"]) / (usage["wall_s"] * cores) for usage in usages)


def _spread(runs: list[Result], protocol: str, metric: str) -> str:
    values = [run["judged"][protocol]["metrics"][metric] for run in runs]
    return f"{median(values):.4f}" + (f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else "")


def _median_of(values: Iterable[float | None]) -> float | None:
    """None where there is nothing to take it of, as with segments without events."""
    there = [value for value in values if value is not None]
    return median(there) if there else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _time_to_best(runs: list[Result]) -> str:
    whole = f"{median(run['trained_s'] for run in runs):,.0f}"
    return whole + (f", {median(run['best_s'] for run in runs):,.0f}" if all("best_s" in run for run in runs) else "")


def _seeds(runs: list[Result]) -> str:
    return ", ".join(str(run["seed"]) for run in runs)


def _head(names: tuple[str, ...]) -> list[str]:
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
