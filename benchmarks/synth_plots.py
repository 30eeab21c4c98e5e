"""Draws what benchmarks/synth.py found, a picture a question, for docs/synth.md; and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

__all__ = ["draw", "tables"]

_COLOURS = ("#1b1b1b", "#0072b2", "#d55e00", "#009e73")  # the source first; told apart by those who see no red, too
_SVG = {"svg.hashsalt": "matinee", "svg.fonttype": "path", "font.size": 9}

Looks = dict[str, dict[str, Any]]


def draw(looks: Looks, judged: Looks, folder: Path) -> list[Path]:
    """The pictures of the logs by name, the source first; `judged` has what models found. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "popularity": lambda axes: _popularity(axes, looks),
        "lengths": lambda axes: _lengths(axes, looks),
        "gaps": lambda axes: _gaps(axes, looks),
        "shares": lambda axes: _bars(axes, _shares(looks), "share of events"),
        "next": lambda axes: _bars(axes, _next(judged), "HR@10 on test"),
    }
    files = []
    for name, into in pictures.items():
        with rc_context(_SVG):
            figure = Figure(figsize=(6.4, 3.2), layout="constrained")
            axes = figure.add_subplot()
            into(axes)
            axes.grid(visible=True, color="#dddddd", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
            files.append(folder / f"synth-{name}.svg")
            figure.savefig(files[-1], facecolor="white", metadata={"Date": None, "Creator": None})
    return files


def tables(result: dict[str, Any]) -> str:
    """The Markdown of a result."""
    looks, judged = result["logs"], result["next"]
    rows: list[tuple[str, list[str]]] = [
        ("rows", [f"{look['rows']:,}" for look in looks.values()]),
        ("users", [f"{look['users']:,}" for look in looks.values()]),
        ("items", [f"{look['items']:,}" for look in looks.values()]),
        ("events of the most popular item", [_percent(look["popularity"]["first"]) for look in looks.values()]),
        (
            "events on the first hundredth of items",
            [_percent(one["popularity"]["first_hundredth"]) for one in looks.values()],
        ),
        (
            "events on the first tenth of items",
            [_percent(look["popularity"]["first_tenth"]) for look in looks.values()],
        ),
        ("items with fewer than 5 events", [_percent(look["popularity"]["items_below_5"]) for look in looks.values()]),
        ("events of a user: mean", [f"{look['lengths']['mean']:.1f}" for look in looks.values()]),
    ]
    for share, name in (("0.1", "first decile"), ("0.5", "median"), ("0.9", "last decile")):
        rows.append(
            (f"events of a user: {name}", [f"{one['lengths']['quantiles'][share]:g}" for one in looks.values()])
        )
    rows += [
        (
            "pauses of more than half an hour, of all",
            [_percent(look["gaps"]["new_session"]) for look in looks.values()],
        ),
        ("events tied with another of the same user", [_percent(one["tied"]["with_own"]) for one in looks.values()]),
        ("events tied with another of anybody", [_percent(look["tied"]["with_anybody"]) for look in looks.values()]),
    ]
    for split in ("eval", "test"):
        for key, name in (("by_users", "by cold users"), ("on_items", "on cold items")):
            rows.append((f"events of {split} {name}", [_percent(one["cold"][split][key]) for one in looks.values()]))
    for model in next(iter(judged.values())):
        cells = [_rate(judged[name][model]) if name in judged else "" for name in looks]
        rows.append((f"HR@10 of `{model}` on test (95% interval)", cells))
    lines = [f"| | {' | '.join(looks)} |", f"|---|{'---|' * len(looks)}"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]
    return "\n".join(lines)


def _popularity(axes: Axes, looks: Looks) -> None:
    for (name, look), colour in zip(looks.items(), _COLOURS, strict=False):
        axes.loglog(*zip(*look["popularity"]["ranks"], strict=True), label=name, color=colour)
    axes.set_xlabel("rank of the item")
    axes.set_ylabel("share of all events")


def _lengths(axes: Axes, looks: Looks) -> None:
    for (name, look), colour in zip(looks.items(), _COLOURS, strict=False):
        axes.semilogx(*zip(*look["lengths"]["at_least"], strict=True), label=name, color=colour)
    axes.set_xlabel("events of a user, at least")
    axes.set_ylabel("share of users")


def _gaps(axes: Axes, looks: Looks) -> None:
    for (name, look), colour in zip(looks.items(), _COLOURS, strict=False):
        edges, shares = zip(*look["gaps"]["at_most"], strict=True)
        axes.plot([max(edge, 0.5) for edge in edges], shares, label=name, color=colour, marker=".")
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 10, 60, 600, 3600, 86_400, 30 * 86_400])
    axes.set_xticklabels(["0", "1 s", "10 s", "1 min", "10 min", "1 h", "1 day", "30 days"])
    axes.minorticks_off()
    axes.set_xlim(0.4, 60 * 86_400)
    axes.set_xlabel("between two events of a user, at most")
    axes.set_ylabel("share of pauses")


def _shares(looks: Looks) -> dict[str, dict[str, tuple[float, float, float]]]:
    bars = {}
    for name, look in looks.items():
        cold = look["cold"]
        values = {
            "tied with\nan own": look["tied"]["with_own"],
            "tied with\nanybody's": look["tied"]["with_anybody"],
            "eval, by\ncold users": cold["eval"]["by_users"],
            "test, by\ncold users": cold["test"]["by_users"],
            "eval, on\ncold items": cold["eval"]["on_items"],
            "test, on\ncold items": cold["test"]["on_items"],
        }
        bars[name] = {what: (value, value, value) for what, value in values.items()}
    return bars


def _next(judged: Looks) -> dict[str, dict[str, tuple[float, float, float]]]:
    return {
        name: {model: (one["hr@10"], one["low"], one["high"]) for model, one in found.items()}
        for name, found in judged.items()
    }


def _bars(axes: Axes, bars: dict[str, dict[str, tuple[float, float, float]]], unit: str) -> None:
    """A group of bars for each thing, a bar for each log, with the ends of its interval."""
    things = list(next(iter(bars.values())))
    width = 0.8 / len(bars)
    for number, ((name, values), colour) in enumerate(zip(bars.items(), _COLOURS, strict=False)):
        places = [at - 0.4 + (number + 0.5) * width for at in range(len(things))]
        heights = [values[thing][0] for thing in things]
        ends = [[values[thing][0] - values[thing][1] for thing in things]]
        ends.append([values[thing][2] - values[thing][0] for thing in things])
        shown = ends if any(map(any, ends)) else None
        axes.bar(places, heights, 0.9 * width, label=name, color=colour, yerr=shown, error_kw={"elinewidth": 0.8})
    axes.set_xticks(range(len(things)), things)
    axes.set_ylabel(unit)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%" if share < 0.1 else f"{100 * share:.1f}%"


def _rate(found: dict[str, float]) -> str:
    return f"{found['hr@10']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
