"""What was asked of the server, held against what was measured, and the tables of it in docs/benchmarks.md."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["END", "START", "bars_of_peers", "bars_of_replay", "conclude", "update_page"]

START = "<!-- results of benchmarks/serve.py and replay.py: begin; made by them, do not edit -->"
END = "<!-- results of benchmarks/serve.py and replay.py: end -->"

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_TIMES = {"mlflow": 5, "litserve": 2}
_EVENTS_PER_S, _REQUESTS_PER_S, _P99_MS = 1_000, 5_000, 50
_QUIET = 0.05

_PEERS_COLUMNS = (
    "answers/s, median (range)",
    "p50 ms",
    "p99 ms",
    "bytes an answer",
    "server us CPU an answer",
    "client us CPU an answer",
)
_COLUMNS = (
    "events/s, median (range)",
    "answer p50 / p99 ms",
    "acknowledgement p50 / p99 ms",
    "both p50 / p99 / max ms",
    "client us CPU a request",
    "client's share of a core",
)
_KINDS = {"ask": "of an answer", "tell": "of an acknowledgement", "event": "of both together"}

Result = dict[str, Any]


def bars_of_peers(result: Result) -> list[Result]:
    """Ours against each peer: the median over the rounds of the ratio."""
    bars = []
    for peer in [peer for peer in result["best"] if peer in _TIMES]:
        times, setting = _TIMES[peer], result["best"][peer]
        ratio = _ratio(result, peer)
        bars.append(_bar(f"at least {times}x the answers/s of {peer} ({setting})", f"{ratio:.2f}x", ratio >= times))
    return bars


def bars_of_replay(rounds: Result) -> list[Result]:
    """By medians over the rounds."""
    fast = _middle(rounds, "as fast as possible", "events_per_s")
    alone = _middle(rounds, "client alone", "requests_per_s")
    bars = [
        _bar(f"as fast as possible, at least {_EVENTS_PER_S:,} events/s", f"{fast:,.0f}", fast >= _EVENTS_PER_S),
        _bar(f"client alone, at least {_REQUESTS_PER_S:,} requests/s", f"{alone:,.0f}", alone >= _REQUESTS_PER_S),
    ]
    for kind, said in _KINDS.items():
        p99 = median(each["latency_ms"][kind]["p99"] for each in rounds["at 80% of that rate"])
        bars.append(_bar(f"at 80% of that rate, p99 {said} under {_P99_MS} ms", f"{p99:.1f} ms", p99 < _P99_MS))
    return bars


def conclude(result: Result, results: Path, usual: Path) -> int:
    """Print the bars, update the page where the results are the usual ones; the exit code."""
    for bar in result["bars"]:
        print(f"{'holds' if bar['holds'] else 'MISSED':<8} {bar['bar']}: {bar['measured']}")
    if results.resolve() == usual.resolve():
        update_page(_PAGE, usual.parent)
    return 0 if all(bar["holds"] for bar in result["bars"]) else 1


def update_page(page: Path, results: Path) -> None:
    """Put the tables of both benchmarks, as far as there are any, between the marks in `page`.

    Raises:
        ValueError: the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: no lines {START!r} and {END!r}")
    lines = []
    for name, table in (("serve", _peers), ("replay", _replay)):
        if (results / f"{name}.json").exists():
            lines += table(json.loads((results / f"{name}.json").read_text()))
    page.write_text(before + "\n".join([START, "", *lines, END]) + after, encoding="utf-8")


def _peers(result: Result) -> list[str]:
    lines = ["### Questions alone, against MLflow and LitServe", "", _conditions(result), ""]
    lines += ["| server | " + " | ".join(_PEERS_COLUMNS) + " |", "|---|" + "---|" * len(_PEERS_COLUMNS)]
    for name, rounds in result["rounds"].items():
        latency = [median(each["latency_ms"][key] for each in rounds) for key in ("p50", "p99")]
        lines.append(
            f"| {name} | {_spread([each['per_s'] for each in rounds])} | {latency[0]:.1f} | {latency[1]:.1f} | "
            f"{rounds[0]['bytes_an_answer']:,} | {median(each['server_cpu_us'] for each in rounds):.0f} | "
            f"{median(each['client_cpu_us'] for each in rounds):.0f} |"
        )
    lines += ["", f"All settings that were tried, {result['trial_s']:g} s each:", ""]
    lines += ["| setting | answers/s | server us CPU an answer |", "|---|---|---|"]
    for peer, tried in result["trials"].items():
        lines += [
            f"| {peer}: {setting} | {record['per_s']:,.0f} | {record['server_cpu_us']:,.0f} |"
            for setting, record in tried.items()
        ]
    unbarred = [peer for peer in result["best"] if peer not in _TIMES and peer != "matinee serve"]
    beside = [f"No bar was set, ours against {peer}: {_ratio(result, peer):.2f}x." for peer in unbarred]
    return [*lines, "", *_bars(result), "", *beside, ""]


def _replay(result: Result) -> list[str]:
    lines = ["### Asked and told, by `matinee replay`", "", _conditions(result), ""]
    lines += ["| | " + " | ".join(_COLUMNS) + " |", "|---|" + "---|" * len(_COLUMNS)]
    for name, rounds in result["rounds"].items():
        latency = {
            kind: {key: median(each["latency_ms"][kind][key] for each in rounds) for key in ("p50", "p99", "max")}
            for kind in _KINDS
        }
        ask, tell, both = latency["ask"], latency["tell"], latency["event"]
        lines.append(
            f"| {name} | {_spread([each['events_per_s'] for each in rounds])} | {ask['p50']:.1f} / {ask['p99']:.1f} | "
            f"{tell['p50']:.1f} / {tell['p99']:.1f} | {both['p50']:.1f} / {both['p99']:.1f} / {both['max']:.1f} | "
            f"{median(each['client_cpu_us'] for each in rounds):.0f} | "
            f"{median(each['client_share'] for each in rounds):.0%} |"
        )
    complaints = sorted({each["complaint"] for rounds in result["rounds"].values() for each in rounds} - {""})
    said = [line for text in complaints for line in (f"The client says: {text}.", "")]
    return [*lines, "", *said, *_bars(result), ""]


def _ratio(result: Result, peer: str) -> float:
    """How many times the peer's answers ours are: the median over the rounds."""
    ours, theirs = (
        [each["per_s"] for each in result["rounds"][f"{name}: {result['best'][name]}"]]
        for name in ("matinee serve", peer)
    )
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def _conditions(result: Result) -> str:
    machine = result["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    rounds = next(iter(result["rounds"].values()))
    before = [each["busy_before"] for rounds in result["rounds"].values() for each in rounds]
    busy = median(before)
    quiet = "a quiet machine" if max(before) <= _QUIET else "**not a quiet machine**"
    return (
        f"{machine['processor']}, {machine['cores']} cores; {machine['kernel']}; Python {machine['python']}; "
        f"{libraries}; {machine['day']}. {len(rounds)} rounds, {result['connections']} connections"
        f"{', ' + str(result['open_connections']) + ' in the open loop' if 'open_connections' in result else ''}. "
        f"Before the runs others used {busy:.0%} of the cores (median; at most {max(before):.0%}): {quiet}."
    )


def _bars(result: Result) -> list[str]:
    lines = ["| bar | measured | holds |", "|---|---|---|"]
    return lines + [
        f"| {bar['bar']} | {bar['measured']} | {'yes' if bar['holds'] else '**no**'} |" for bar in result["bars"]
    ]


def _spread(values: list[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _middle(rounds: Result, name: str, key: str) -> float:
    return float(median(each[key] for each in rounds[name]))


def _bar(what: str, measured: str, holds: bool) -> Result:
    return {"bar": what, "measured": measured, "holds": holds}
