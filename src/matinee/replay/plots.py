"""The plots of a replay's report as inline SVG, from the report alone; each arm has its colour and its line."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.pages.axes import instant, plain_log
from matinee.pages.drawing import ARMS, COLD_USERS, HALF, SOFT, TRAIN, drawn, variants
from matinee.replay.latency import FULL, decoded
from matinee.replay.windows import MOST_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

__all__ = [
    "bytes_plot",
    "latency_curve",
    "latency_histogram",
    "latency_timeline",
    "parts_plot",
    "quality_plot",
    "throughput_plot",
    "unanswered_plot",
]

_LINES: Final = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
_TAIL: Final = (50, 90, 99, 99.9, 99.99, 99.999)
_BINS_A_DECADE: Final = 12
_SHORTEST_S: Final = 0.1

Facts = dict[str, Any]
Series = list[tuple[str, list[float | None], str, Any]]  # label, values, colour, line


def quality_plot(facts: Facts) -> str:
    """NDCG over event time: one arm with its warm and cold users, several arms side by side."""
    metric = ndcg(facts)
    (first, *_) = facts["arms"].values()
    if len(facts["arms"]) > 1:
        lines = _by_arm(facts, lambda arm: [part["metrics"][metric] for part in arm["over_event_time"]])
    else:
        parts = first["over_event_time"]
        lines = [
            ("all", [part["metrics"][metric] for part in parts], ARMS[0], "-"),
            ("warm users", [part["warm_users"][metric] for part in parts], TRAIN, "--"),
            ("cold users", [part["cold_users"][metric] for part in parts], COLD_USERS, ":"),
        ]
    return _over_events(facts, "quality", f"{metric} over event time", metric, lines)


def parts_plot(facts: Facts, part: str) -> str:
    """NDCG over event time of each arm for `part`, 'warm_users' or 'cold_users'."""
    metric = ndcg(facts)
    lines = _by_arm(facts, lambda arm: [bucket[part][metric] for bucket in arm["over_event_time"]])
    return _over_events(facts, part, f"{metric}, {part.replace('_', ' ')}", metric, lines, half=True)


def latency_curve(facts: Facts) -> str:
    """What share of the questions had an answer within which time: the tail, stretched."""
    curves = []
    for name, colour, line in _arms(facts):
        counts = decoded(facts["arms"][name]["histograms"]["ask"])
        filled = np.flatnonzero(counts)
        if filled.size:
            below = np.cumsum(counts)[filled] / counts.sum()
            # 1 / (1 - share) is what spreads the tail; the last has none, and stands where half an event would.
            tail = 1 / np.maximum(1 - below, 0.5 / counts.sum())
            curves.append((name, tail, [FULL.upper_us(int(place)) / 1000 for place in filled], colour, line))

    def draw(axes: Axes, _: float) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, tail, times_ms, colour, line in curves:
            axes.step(tail, times_ms, where="pre", color=colour, linestyle=line, linewidth=1.8, label=name)
        ticks = [percent for percent in _TAIL if 1 / (1 - percent / 100) <= max(map(_last, curves), default=2)]
        axes.set_xlim(left=1)
        plain_log(axes)
        axes.set_xticks([1 / (1 - percent / 100) for percent in ticks], [f"{percent:g}%" for percent in ticks])
        axes.set_xlabel("of the questions")
        axes.set_ylabel("answered within, ms")
        _legend(axes, facts)

    return drawn("latency-curve", "Latency by percentile", _latency_words(facts), draw, HALF)


def latency_histogram(facts: Facts) -> str:
    """How many questions took how long."""
    counts = {name: decoded(facts["arms"][name]["histograms"]["ask"]) for name in facts["arms"]}
    filled = np.flatnonzero(np.sum([*counts.values()], axis=0))
    times_ms = np.array([max(FULL.upper_us(place), 1) / 1000 for place in range(FULL.size)])
    low, high = times_ms[filled[[0, -1]]] if filled.size else (0.1, 1.0)
    first, last = (np.floor(np.log10(low * 0.999) * _BINS_A_DECADE), np.ceil(np.log10(high) * _BINS_A_DECADE))
    edges = 10 ** (np.arange(first, max(last, first + 1) + 1) / _BINS_A_DECADE)

    def draw(axes: Axes, _: float) -> None:
        axes.set_xscale("log")
        for name, colour, line in _arms(facts):
            heights = np.histogram(times_ms, edges, weights=counts[name])[0]
            share = 100 * heights / max(counts[name].sum(), 1)
            axes.stairs(share, edges, color=colour, linestyle=line, linewidth=1.8, label=name)
            if len(counts) == 1:
                axes.stairs(share, edges, fill=True, color=colour, alpha=0.15)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("answered after, ms")
        axes.set_ylabel("% of the questions")
        plain_log(axes)
        _legend(axes, facts)

    return drawn("latency-histogram", "How long answers took", _latency_words(facts), draw, HALF)


def latency_timeline(facts: Facts) -> str:
    """p50 and p99 of each window of wall time."""

    def draw(axes: Axes, _: float) -> None:
        axes.set_yscale("log")
        for name, colour, line in _arms(facts):
            windows = facts["windows"][name]
            times = [window["at_s"] for window in windows]
            for which, width in (("p50_ms", 0.9), ("p99_ms", 1.8)):
                label = f"{name} p{which[1:3]}" if len(facts["arms"]) > 1 else f"p{which[1:3]}"
                values = [_or_nan(window[which]) for window in windows]
                axes.plot(times, values, color=colour, linestyle=line, linewidth=width, label=label, **_dots(windows))
        axes.set_ylabel("ms")
        plain_log(axes)
        _wall_axis(axes, facts)
        axes.legend(frameon=False, fontsize=9, labelcolor=SOFT, ncols=max(1, min(4, len(facts["arms"]))))

    return variants("latency-timeline", "Latency over wall time", _latency_words(facts), draw)


def throughput_plot(facts: Facts) -> str:
    """Events told a second in each window of wall time."""
    words = _side_by_side(facts, lambda arm: f"{arm['told']:,} events, {arm['per_s']:,.0f} a second")
    return _over_wall(facts, "throughput", "Events a second", words, lambda window: window["per_s"])


def unanswered_plot(facts: Facts) -> str:
    """Questions given up in each window; empty where none was."""
    if not any(arm["unanswered"] for arm in facts["arms"].values()):
        return ""
    words = _side_by_side(facts, lambda arm: f"{sum(arm['unanswered'].values()):,} of {arm['asked']:,} questions")
    return _over_wall(facts, "unanswered", "Questions without an answer", words, lambda window: window["unanswered"])


def bytes_plot(facts: Facts, direction: str) -> str:
    """KiB a second on the connections, 'in' or 'out' as the client sees it."""
    words = _side_by_side(facts, lambda arm: f"{arm[f'bytes_{direction}']:,} bytes")
    title = f"KiB a second {direction}"

    def kib_a_second(window: Facts) -> float:
        return float(window[f"bytes_{direction}"] / window["for_s"] / 1024)  # no window shorter than _SHORTEST_S

    return _over_wall(facts, f"bytes-{direction}", title, words, kib_a_second, half=True)


def ndcg(facts: Facts) -> str:
    """The metric that plots show."""
    return f"ndcg@{facts['plan']['k']}"


def _over_events(facts: Facts, name: str, title: str, label: str, lines: Series, *, half: bool = False) -> str:
    (first, *_) = facts["arms"].values()
    parts = first["over_event_time"]
    starts = [instant(part["first_s"], facts["time_unit"], date_only=True) for part in parts]
    ends = "; ".join(f"{line}: {_ends(values)}" for line, values, _, _ in lines)
    words = f"{len(parts)} parts of equally many events, from {starts[0]} to {starts[-1]}. {ends}."

    def draw(axes: Axes, width: float) -> None:
        for line, values, colour, style in lines:
            known = [_or_nan(value) for value in values]
            places = np.arange(len(known)) + 0.5
            axes.plot(places, known, color=colour, linestyle=style, linewidth=1.8, marker=".", label=line)
        axes.set_xlim(0, len(parts))
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        step = max(1, -(-len(parts) // max(2, int(width / 1.15))))
        axes.set_xticks(range(0, len(parts), step), starts[::step])
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor=SOFT, ncols=3)

    return drawn(name, title, words, draw, HALF) if half else variants(name, title, words, draw)


def _over_wall(
    facts: Facts, name: str, title: str, words: str, value: Callable[[Facts], float], *, half: bool = False
) -> str:
    def draw(axes: Axes, _: float) -> None:
        for arm, colour, line in _arms(facts):
            # A last moment of a few milliseconds says nothing about a second.
            windows = [window for window in facts["windows"][arm] if window["for_s"] >= _SHORTEST_S]
            times, values = [window["at_s"] for window in windows], [value(window) for window in windows]
            if times:
                edges = [*times, times[-1] + windows[-1]["for_s"]]
                axes.stairs(values, edges, baseline=None, color=colour, linestyle=line, linewidth=1.5, label=arm)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="y", nbins=5, integer=name == "unanswered")
        axes.set_ylabel(title)
        _wall_axis(axes, facts)
        _legend(axes, facts)

    return drawn(name, title, words, draw, HALF) if half else variants(name, title, words, draw)


def _wall_axis(axes: Axes, facts: Facts) -> None:
    """Seconds of work, with a line where the replay was taken up again."""
    lasts = [windows[-1] for windows in facts["windows"].values() if windows]
    axes.set_xlim(0, max((last["at_s"] + last["for_s"] for last in lasts), default=1.0))
    axes.set_xlabel("seconds of the replay")
    (windows, *_) = facts["windows"].values()
    for before, after in pairwise(windows):
        if before["session"] != after["session"]:
            axes.axvline(after["at_s"], color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)))


def _arms(facts: Facts) -> list[tuple[str, str, Any]]:
    """Name, colour and line of each; where there are more than colours they come again."""
    return [(name, ARMS[at % len(ARMS)], _LINES[at % len(_LINES)]) for at, name in enumerate(facts["arms"])]


def _by_arm(facts: Facts, values: Callable[[Facts], list[float | None]]) -> Series:
    return [(name, values(facts["arms"][name]), colour, line) for name, colour, line in _arms(facts)]


def _legend(axes: Axes, facts: Facts) -> None:
    if len(facts["arms"]) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=SOFT)


def _dots(windows: Sequence[Facts]) -> dict[str, Any]:
    """A single window would be invisible as a line."""
    return {"marker": "."} if len(windows) < MOST_WINDOWS // 8 else {}


def _latency_words(facts: Facts) -> str:
    def told(arm: Facts) -> str:
        ask: Mapping[str, float | None] = arm["latency_ms"]["ask"]
        return ", ".join(f"{name} {value:,.3f} ms" for name, value in ask.items() if value is not None) or "no answers"

    return _side_by_side(facts, told)


def _side_by_side(facts: Facts, words: Callable[[Facts], str]) -> str:
    return "; ".join(f"{name}: {words(arm)}" for name, arm in facts["arms"].items()) + "."


def _ends(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.4f} to {max(known):.4f}, last {known[-1]:.4f}" if known else "nothing known"


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _last(curve: tuple[Any, ...]) -> float:
    return float(curve[1][-1])
