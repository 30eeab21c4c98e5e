"""A running replay as a picture for a terminal: its arms side by side, each figure so far and of the last window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from matinee.cli.screen import graph
from matinee.replay.live_line import duration
from matinee.sizes import show_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

__all__ = ["picture"]

_LABELS_WIDTH: Final = 24
_GRAPH_WIDTHS: Final = (6, 40)
_TALL: Final = 34  # rows of a terminal that has room for what can be done without

_Windows: TypeAlias = "Sequence[Mapping[str, Any]]"


def picture(document: Mapping[str, Any], width: int, height: int) -> RenderableType:
    """The document of `live.json` on a terminal of so many columns and rows."""
    arms = document["arms"]
    least, most = _GRAPH_WIDTHS
    graph_width = max(least, min(most, (width - _LABELS_WIDTH) // max(1, len(arms)) - 2))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    columns = []
    for name, arm in arms.items():
        table.add_column(Text(name), justify="right", overflow="ellipsis", no_wrap=True)
        columns.append(_column(arm, document["windows"][name], document, graph_width, is_tall=height >= _TALL))
    for label in columns[0] if columns else ():
        table.add_row(label, *(Text(column[label]) for column in columns))
    done = min((arm["told"] for arm in arms.values()), default=0)
    bar = ProgressBar(total=document["events"], completed=done, width=width - 1)
    return Group(_head(document), bar, table, _network(document))


def _head(document: Mapping[str, Any]) -> Text:
    plan, left = document["plan"], document["left_s"]
    arrivals = plan["arrivals"]
    pace = "as fast as possible"
    if arrivals["rate"] is not None:
        pace = f"{arrivals['rate']:g} a second"
    elif arrivals["speed"] is not None:
        pace = f"{arrivals['speed']:g} times as fast as the log"
    state = document["state"] + ("" if left is None else f", {duration(left)} left")
    return _line(
        f"{plan['dataset']} {plan['version']}, {plan['split']}: {document['events']:,} events, {pace}; {state}"
    )


def _column(
    arm: Mapping[str, Any], windows: _Windows, document: Mapping[str, Any], graph_width: int, *, is_tall: bool
) -> dict[str, str]:
    """Label and text of each row of one arm."""
    k = document["plan"]["k"]
    ndcg, asking = f"ndcg@{k}", arm["latency_ms"]["ask"]
    rows = {
        "told": f"{arm['told']:,} of {document['events']:,}",
        ndcg: _metric(arm["metrics"][ndcg]),
        "  last window": _metric(_last(windows, ndcg)),
        "  by window": _graph(windows, ndcg, graph_width),
        "  warm users": _segment(arm["warm_users"], ndcg),
        "  cold users": _segment(arm["cold_users"], ndcg),
        f"hr@{k}": _metric(arm["metrics"][f"hr@{k}"]),
        "answered within p50": _ms(asking["p50"]),
        "  p95": _ms(asking["p95"]),
        "  p99": _ms(asking["p99"]),
        "  most": _ms(asking["max"]),
        "  p99 by window": _graph(windows, "p99_ms", graph_width),
        "events a second, now": f"{arm['per_s']:,.0f}, {_last(windows, 'per_s') or 0:,.0f}",
        "unanswered": _unanswered(arm),
        "late, our own fault": f"{arm['late']:,}",
        "bytes out, in": f"{show_size(arm['bytes_out'])}, {show_size(arm['bytes_in'])}",
    }
    if is_tall:
        telling = arm["latency_ms"]["tell"]
        rows |= {
            "told within p50": _ms(telling["p50"]),
            "told within p99": _ms(telling["p99"]),
            "told within most": _ms(telling["max"]),
            "told again": f"{arm['told_again']:,}",
            f"mrr@{k}": _metric(arm["metrics"][f"mrr@{k}"]),
            f"{ndcg}, warm items": _segment(arm["warm_items"], ndcg),
            f"{ndcg}, cold items": _segment(arm["cold_items"], ndcg),
            "model": arm["model"],
        }
    return rows


def _network(document: Mapping[str, Any]) -> Text:
    busiest = sorted(document["network"].items(), key=lambda named: -named[1]["in_bytes"] - named[1]["out_bytes"])
    flows = [
        f"{name} in {show_size(flow['in_per_s'])}/s, out {show_size(flow['out_per_s'])}/s" for name, flow in busiest
    ]
    return _line("network: " + ("; ".join(flows) or "install psutil to see it"))


def _line(text: str) -> Text:
    """One line, cut off at the end of the terminal's."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _segment(segment: Mapping[str, Any], metric: str) -> str:
    return f"{_metric(segment['metrics'][metric])} of {segment['events']:,}" if segment["events"] else "none"


def _unanswered(arm: Mapping[str, Any]) -> str:
    return ", ".join(f"{number:,} {outcome}" for outcome, number in arm["unanswered"].items()) or "0"


def _last(windows: _Windows, name: str) -> float | None:
    """Of the last whole window: the very last one has only begun."""
    value: float | None = windows[-2:][0][name] if windows else None
    return value


def _graph(windows: _Windows, name: str, width: int) -> str:
    return graph([window[name] or 0.0 for window in windows], width)


def _metric(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} ms"
