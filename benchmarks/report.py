"""Turns measured results into bars that hold or not, Markdown tables, and the results in docs/benchmarks.md."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BARS_FROM_ROWS", "END", "START", "bars", "size_bytes", "table", "update_page"]

START = "<!-- results of benchmarks/etl.py: begin; made by it, do not edit -->"
END = "<!-- results of benchmarks/etl.py: end -->"

BARS_FROM_ROWS = 20_000_000  # below it, starting Python weighs more than the work

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MEMORY_ON_TOP_BYTES = 300 * 10**6
_FASTER_THAN = {"polars": 2.5, "duckdb": 3.0, "duckdb-2gb": 3.0}
_FULL_OVER_TEXT = 2.0
_QUIET_SHARE = 0.05  # of the machine's cores, used by others during a run
_TITLES = {
    "matinee-text": "Matinee, the text job",
    "matinee-full": "Matinee, the full transform",
    "matinee-lean": "Matinee, full without the raw copy",
    "polars": "Polars, streaming",
    "polars-any-id": "Polars, streaming, any id",
    "duckdb": "DuckDB",
    "duckdb-2gb": "DuckDB, 2 GB limit",
    "pandas": "pandas, vectorised",
}

Result = dict[str, Any]


def bars(result: Result) -> list[dict[str, Any]]:
    """Each bar with what was measured: the median over the rounds of a ratio, the largest of a peak."""
    first = result["memory_limits"][0]
    checked = []
    for name, factor in _FASTER_THAN.items():
        if name in result["ratios"]:
            value = median(result["ratios"][name])
            checked.append(_bar(f"text job at least {factor}x as fast as {_TITLES[name]}", value, "x", value >= factor))
    for kind in ("full", "lean"):
        if f"matinee-{kind}-{first}" in result["ratios"]:
            value = median(result["ratios"][f"matinee-{kind}-{first}"])
            what = f"{_title(f'matinee-{kind}-{first}')} at most {_FULL_OVER_TEXT}x the text job"
            checked.append(_bar(what, value, "x", value <= _FULL_OVER_TEXT))
    for name, way in result["ways"].items():
        if name.startswith("matinee-"):
            limit = size_bytes(name.rpartition("-")[2])
            value = way["peak_rss_bytes"] / 1e6
            allowed = (limit + _MEMORY_ON_TOP_BYTES) / 1e6
            checked.append(_bar(f"{_title(name)}: peak at most {allowed:,.0f} MB", value, " MB", value <= allowed))
    return checked


def table(result: Result) -> str:
    """The Markdown of one result: what was run, on what, the figures, the bars."""
    log, machine = result["log"], result["machine"]
    hour = ", half of it in one hour" if log["half_in_one_hour"] else ""
    conditions = (
        f"{log['size_bytes'] / 1e6:,.0f} MB, ordered by {log['order']}{hour}, seed {log['seed']}; "
        f"{result['rounds']} rounds; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1e9:.0f} GB; {machine['kernel']}; Python {machine['python']}; "
        f"{', '.join(f'{name} {number}' for name, number in machine['libraries'].items())}; {machine['day']}."
    )
    heads = ("way", "wall s, median (range)", "times Matinee's text job (range)", "M rows/s", "CPU s", "peak RSS MB")
    lines = [f"### {log['rows']:,} rows", "", conditions, ""]
    lines += [f"| {' | '.join(heads)} | of it anonymous |", "|---|---|---|---|---|---|---|"]
    for name, way in result["ways"].items():
        times = result["ratios"].get(name)
        against = f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})" if times else "1"
        lines.append(
            f"| {_title(name)} | {way['wall_s']:.2f} ({way['wall_min_s']:.2f} to {way['wall_max_s']:.2f}) | {against} "
            f"| {log['rows'] / way['wall_s'] / 1e6:.1f} | {way['cpu_s']:.2f} | {way['peak_rss_bytes'] / 1e6:,.0f} "
            f"| {way['peak_anonymous_bytes'] / 1e6:,.0f} |"
        )
    lines += ["", f"| bar, set at {BARS_FROM_ROWS:,} rows | measured | holds |", "|---|---|---|"]
    lines += [
        f"| {bar['what']} | {bar['value']:,.{2 if bar['unit'] == 'x' else 0}f}{bar['unit']} "
        f"| {'yes' if bar['holds'] else '**no**'} |"
        for bar in result["bars"]
    ]
    prints = ", ".join(f"{split} `{sha256[:16]}…`" for split, sha256 in result["text_sha256"].items())
    lines += ["", f"All ways wrote the same bytes (SHA-256): {prints}.", _noise(result)]
    return "\n".join(lines) + "\n"


def update_page(page: Path, results: Path) -> None:
    """Put all results of the folder, by size, between the page's two marks.

    Raises:
        ValueError: the page has lost its marks.
    """
    text = page.read_text()
    before, begin, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines {START!r} and {END!r}; put them back where the results belong")
    found = sorted((json.loads(path.read_text()) for path in results.glob("etl-*.json")), key=_rows)
    tables = "\n".join(table(result) for result in found)
    page.write_text(f"{before}{START}\n\n{tables}\n{END}{after}")


def size_bytes(text: str) -> int:
    """Bytes of '1GB' or '512MiB'; read here too, so that results can be shown where Matinee is not installed."""
    digits = text.rstrip("BGIKMbgikm")
    return int(float(digits) * _UNITS.get(text[len(digits) :].lower(), 1))


def _rows(result: Result) -> int:
    return int(result["log"]["rows"])


def _bar(what: str, value: float, unit: str, holds: bool) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "holds": holds}


def _title(name: str) -> str:
    if name in _TITLES:
        return _TITLES[name]
    kind, _, limit = name.rpartition("-")
    return f"{_TITLES[kind]}, {limit} limit"


def _noise(result: Result) -> str:
    """How quiet the machine was: what others used during the worst run, as a share of all cores."""
    cores = result["machine"]["cores"]
    shares = [
        (usage["foreign_cpu_s"] + usage["steal_s"]) / (usage["wall_s"] * cores)
        for usages in result["runs"].values()
        for usage in usages
    ]
    verdict = "a quiet machine" if max(shares) <= _QUIET_SHARE else "**not a quiet machine**: trust ratios, not seconds"
    return (
        f"Others used {median(shares):.1%} of the cores in the median run, {max(shares):.1%} in the worst: {verdict}."
    )
