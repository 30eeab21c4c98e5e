"""The certificate's plots as inline SVG: matplotlib draws, the page's style sheet gives colours and fonts.

Only matplotlib's object interface is used (no pyplot, no global figure), under its default settings, so that whatever
a user's matplotlibrc says, the same certificate gives the same bytes.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import tempfile
from bisect import bisect_right
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes

    from matinee.schema.certificate import Certificate

__all__ = ["cold_plot", "instant", "length_plot", "popularity_plot", "timeline_plot"]

# Colours that stand for a variable of the style sheet; each occurs nowhere else in what matplotlib writes.
_VARIABLES = {
    "#010101": "var(--ink-soft)",
    "#020202": "var(--grid)",
    "#030303": "var(--train)",
    "#040404": "var(--eval)",
    "#050505": "var(--test)",
    "#060606": "var(--cold-users)",
    "#070707": "var(--cold-items)",
    "#080808": "var(--ink)",
}
_SOFT, _GRID, _TRAIN, _EVAL, _TEST, _USERS, _ITEMS, _INK = _VARIABLES
_FIRST_DATE, _LAST_DATE = -62_135_596_800, 253_402_300_799  # years 1 and 9999, all that a datetime can hold
_BUCKETS = 60  # cold shares of fewer events than a sixtieth of the time are more noise than news
_WIDE, _NARROW, _HALF = (8.4, 2.9), (4.0, 2.9), (4.4, 2.9)  # inches; a phone gets its own, so that text stays readable


def instant(seconds: int, unit: str = "s", *, date_only: bool = False) -> str:
    """A moment for people: a date and time in UTC, or the plain number where it is a row or beyond the calendar."""
    if unit == "row":
        return f"row {seconds:,}"
    if not _FIRST_DATE <= seconds <= _LAST_DATE:
        return f"{seconds:,} s"
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.isoformat()[:10] if date_only else moment.isoformat(sep=" ")[:19]


def timeline_plot(certificate: Certificate) -> str:
    """Events over time with the cuts."""
    line = certificate.timeline
    peak = max(range(len(line.events)), key=lambda i: line.events[i])
    unit = certificate.reading.time_unit
    words = (
        f"{sum(line.events):,} events from {instant(line.edges[0], unit)} to {instant(line.edges[-1] - 1, unit)} in "
        f"{len(line.events):,} equal bins; the fullest has {line.events[peak]:,} and starts at "
        f"{instant(line.edges[peak], unit)}."
    )
    if certificate.cuts:
        starts = zip(("eval", "test"), certificate.cuts, strict=True)
        words += f" Cuts: {', '.join(f'{split} starts at {instant(cut, unit)}' for split, cut in starts)}."

    def draw(axes: Axes, width: float) -> None:
        place = _Scale(line.edges[0], line.edges[-1])
        edges = [place(edge) for edge in line.edges]
        starts = [0.0, *(min(max(place(cut), 0.0), 1.0) for cut in certificate.cuts), 1.0]
        names = [("train", _TRAIN), ("eval", _EVAL), ("test", _TEST)] if certificate.cuts else [("", _TRAIN)]
        for (name, colour), start, end in zip(names, starts[:-1], starts[1:], strict=True):
            shown = _clip(edges, line.events, start, end)
            if shown is not None:
                axes.stairs(shown[1], shown[0], fill=True, color=colour)
            if name and end - start > 0.45 / width:
                _label(axes, (start + end) / 2, name, colour, "center")
        for cut in starts[1:-1]:
            axes.axvline(cut, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, max(line.events) * 1.05 or 1)
        axes.set_ylabel("events in a bin")
        axes.locator_params(axis="y", integer=True, nbins=5)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        _time_axis(axes, place, unit, width)

    return _variants("timeline", "Events over time", words, draw)


def cold_plot(certificate: Certificate) -> str:
    """Share of events by cold users and on cold items, a bucket of time each; empty where there is none."""
    line = certificate.timeline
    if not certificate.cuts or not line.by_cold_users:
        return ""
    # The bin that holds the cut belongs here: its later events are eval's.
    first = min(max(bisect_right(line.edges, certificate.cuts[0]) - 1, 0), len(line.events))
    step = -(-(len(line.events) - first) // _BUCKETS) or 1
    starts = range(first, len(line.events), step)
    totals = [sum(line.events[i : i + step]) for i in starts]
    if not any(totals):
        return ""
    edges = [*(line.edges[i] for i in starts), line.edges[-1]]
    shares = {
        "users": _percent(line.by_cold_users, starts, totals),
        "items": _percent(line.on_cold_items, starts, totals),
    }
    unit = certificate.reading.time_unit
    words = (
        f"{len(totals):,} buckets from {instant(edges[0], unit)} to {instant(edges[-1] - 1, unit)}. "
        f"Events by cold users: {_range(shares['users'], totals)} On cold items: {_range(shares['items'], totals)}"
    )

    def draw(axes: Axes, width: float) -> None:
        place = _Scale(edges[0], edges[-1])
        places = [place(edge) for edge in edges]
        for name, colour in (("users", _USERS), ("items", _ITEMS)):
            axes.stairs(shares[name], places, baseline=None, color=colour, linewidth=1.8)
        if len(certificate.cuts) > 1 and edges[0] < certificate.cuts[1] < edges[-1]:
            axes.axvline(place(certificate.cuts[1]), color=_INK, linewidth=1, linestyle=(0, (4, 3)))
            _label(axes, place(certificate.cuts[1]), "test \u2192", _TEST, "left")
        axes.set_xlim(0, 1)
        axes.set_ylim(-2, 102)
        axes.set_yticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_ylabel("share of events")
        _time_axis(axes, place, unit, width)

    return _variants("cold", "Cold share over time", words, draw)


def popularity_plot(certificate: Certificate) -> str:
    """The items' long tail: events of the item at each rank, both axes logarithmic."""
    points = certificate.popularity
    ranks, counts = [rank for rank, _ in points], [count for _, count in points]
    middle = points[bisect_right(ranks, (ranks[-1] + 1) // 2) - 1]
    words = (
        f"The most popular of {ranks[-1]:,} items has {counts[0]:,} events; the item at rank {middle[0]:,} has "
        f"{middle[1]:,}; the last has {counts[-1]:,}."
    )

    def draw(axes: Axes, _: float) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.fill_between(ranks, counts, 0.8, color=_TRAIN, alpha=0.15, linewidth=0)
        axes.plot(ranks, counts, color=_TRAIN, linewidth=2, marker="o" if len(points) < 3 else None)
        axes.set_xlim(0.9, max(ranks[-1], 2) * 1.1)
        axes.set_ylim(0.8, max(counts[0], 2) * 1.5)
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("events")
        _plain_log(axes)

    return _drawn("popularity", "The items' long tail", words, draw, _HALF)


def length_plot(certificate: Certificate) -> str:
    """How long users' histories are: the share of users with at least so many events."""
    points = certificate.lengths
    users = sum(count for _, count in points)
    lengths = [length for length, _ in points]
    shares: list[float] = []
    left = users
    for _, count in points:
        shares.append(100 * left / users)
        left -= count
    half = max(length for length, share in zip(lengths, shares, strict=True) if share >= 50)
    words = (
        f"{users:,} users; the shortest history has {lengths[0]:,} events, half of the users have about {half:,} "
        f"or more, the longest falls in the bin that starts at {lengths[-1]:,}."
    )

    def draw(axes: Axes, _: float) -> None:
        axes.set_xscale("log")
        axes.fill_between(lengths, shares, 0, color=_TEST, alpha=0.15, linewidth=0)
        axes.plot(lengths, shares, color=_TEST, linewidth=2, marker="o" if len(points) < 3 else None)
        axes.set_xlim(lengths[0] * 0.9, max(lengths[-1], lengths[0] + 1) * 1.1)
        axes.set_ylim(0, 104)
        axes.set_yticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_xlabel("events, at least")
        axes.set_ylabel("share of users")
        _plain_log(axes)

    return _drawn("lengths", "Users by length of history", words, draw, _HALF)


class _Scale:
    """Places instants between 0 and 1 in exact arithmetic: a float cannot tell two seconds apart beyond 2**53."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __call__(self, moment: int) -> float:
        return (moment - self.first) / (self.last - self.first)


def _clip(
    edges: Sequence[float], values: Sequence[int], start: float, end: float
) -> tuple[list[float], list[int]] | None:
    inside = [i for i in range(len(values)) if edges[i + 1] > start and edges[i] < end]
    if not inside or start >= end:
        return None
    clipped = [max(edges[inside[0]], start), *(edges[i] for i in inside[1:]), min(edges[inside[-1] + 1], end)]
    return clipped, [values[i] for i in inside]


def _percent(cold: Sequence[int], starts: range, totals: Sequence[int]) -> list[float]:
    sums = (sum(cold[i : i + starts.step]) for i in starts)
    return [100 * part / total if total else float("nan") for part, total in zip(sums, totals, strict=True)]


def _range(shares: Sequence[float], totals: Sequence[int]) -> str:
    known = [share for share, total in zip(shares, totals, strict=True) if total]
    return f"{min(known):.1f}% to {max(known):.1f}%, last bucket {known[-1]:.1f}%."


def _label(axes: Axes, x: float, text: str, colour: str, align: str) -> None:
    # x as in the data, y as a share of the axes' height: just above the plot.
    axes.text(x, 1.03, text, color=colour, ha=align, transform=axes.get_xaxis_transform(), weight="bold")


def _time_axis(axes: Axes, place: _Scale, unit: str, width: float) -> None:
    ticks = _ticks(place.first, place.last, unit, most=max(2, int(width / 1.15)))
    axes.set_xticks([place(moment) for moment, _ in ticks], [label for _, label in ticks])
    if unit != "row" and place.last - place.first < 86_400:  # labels of a single day have no date
        axes.set_xlabel(instant(place.first, date_only=True))


def _ticks(first: int, last: int, unit: str, most: int) -> list[tuple[int, str]]:
    if unit != "row" and first >= _FIRST_DATE and last <= _LAST_DATE:
        for seconds in (1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800):
            if (last - first) // seconds < most:
                shown = slice(0, 10) if seconds >= 86_400 else slice(11, 19) if seconds < 60 else slice(5, 16)
                start = -(-first // seconds) * seconds
                return [(moment, instant(moment)[shown]) for moment in range(start, last + 1, seconds)]
        for months in (1, 2, 3, 6, *(12 * factor * 10**power for power in range(4) for factor in (1, 2, 5))):
            if (last - first) // (months * 2_629_746) <= most and (found := _months(first, last, months, most)):
                return found
    step = 1
    while (last - first) // step >= most:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return [(moment, _short(moment)) for moment in range(-(-first // step) * step, last + 1, step)]


def _months(first: int, last: int, step: int, most: int) -> list[tuple[int, str]]:
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=first)
    found: list[tuple[int, str]] = []
    month = -(-(start.year * 12 + start.month - 1) // step) * step
    while month < 10_000 * 12:
        day = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        moment = (day - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
        if moment > last:
            break
        if moment >= first:
            found.append((moment, f"{day.year:04d}" if step % 12 == 0 else f"{day.year:04d}-{day.month:02d}"))
        if len(found) > most:
            return []
        month += step
    return found


def _short(number: int) -> str:
    for factor, letter in ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:g}{letter}"
    return str(number)


def _plain_log(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: PLC0415 - loaded by now

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log":
            few = high / low < 300  # so few decades that they alone would leave the axis without labels
            axis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,), numticks=9))
            axis.set_major_formatter(FuncFormatter(_log_label))
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())


def _log_label(value: float, _: int | None) -> str:
    return _short(round(value)) if value >= 1 else ""


def _variants(name: str, title: str, words: str, draw: Callable[[Axes, float], None]) -> str:
    wide = _drawn(f"{name}-wide", title, words, draw, _WIDE)
    narrow = _drawn(f"{name}-narrow", title, words, draw, _NARROW)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _drawn(name: str, title: str, words: str, draw: Callable[[Axes, float], None], size: tuple[float, float]) -> str:
    with _matplotlib() as settings:
        from matplotlib import rc_context  # noqa: PLC0415 - half a second, and only a transform needs it
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - see above
        from matplotlib.figure import Figure  # noqa: PLC0415 - see above

        with rc_context(settings):
            figure = Figure(figsize=size, layout="constrained")
            FigureCanvasSVG(figure)
            axes = figure.add_subplot()
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", which="major")
            axes.set_axisbelow(True)
            draw(axes, size[0])
            target = io.StringIO()
            figure.savefig(target, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _inline(target.getvalue(), name, title, words)


@contextmanager
def _matplotlib() -> Iterator[dict[Any, Any]]:
    """Matplotlib's default settings with ours; its first import neither warns nor needs a home that can be written."""
    if "matplotlib.backends.backend_svg" not in sys.modules:
        _import_quietly()
    from matplotlib import rcParamsDefault  # noqa: PLC0415 - half a second, and only a transform needs it

    settings: dict[Any, Any] = {
        key: value for key, value in rcParamsDefault.items() if not key.startswith(("backend", "date.epoch"))
    }
    settings |= {
        "svg.fonttype": "none",
        "svg.hashsalt": "matinee",
        "font.size": 11,
        "axes.edgecolor": _GRID,
        "axes.labelcolor": _SOFT,
        "text.color": _SOFT,
        "xtick.color": _GRID,
        "ytick.color": _GRID,
        "xtick.labelcolor": _SOFT,
        "ytick.labelcolor": _SOFT,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "ytick.major.size": 0,
        "grid.color": _GRID,
        "grid.linewidth": 0.8,
        "savefig.transparent": True,
    }
    yield settings


def _import_quietly() -> None:
    logger = logging.getLogger("matplotlib")
    level, home = logger.level, os.environ.get("MPLCONFIGDIR")
    logger.setLevel(logging.ERROR)  # 'building the font cache; this may take a moment' says nothing to a user of ours
    try:
        with tempfile.TemporaryDirectory(prefix="matinee-fonts-") as scratch:
            if home is None and not _home_is_writable():
                os.environ["MPLCONFIGDIR"] = scratch
            for module in ("figure", "backends.backend_svg"):
                import_module(f"matplotlib.{module}")
    finally:
        logger.setLevel(level)
        if home is None:
            os.environ.pop("MPLCONFIGDIR", None)


def _home_is_writable() -> bool:
    try:
        home = Path.home()
    except RuntimeError:
        return False
    return home.is_dir() and os.access(home, os.W_OK)


def _inline(svg: str, name: str, title: str, words: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style[^>]*>.*?</style>|<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)  # ids are unique in a page, not in a picture
    svg = re.sub(r"font-family:[^;\"]*;?", "", svg)  # the page's own font, whatever the system calls it
    for sentinel, variable in _VARIABLES.items():
        svg = svg.replace(sentinel, variable)
    box = re.search(r'viewBox="([^"]+)"', svg)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without viewBox")
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-words">{escape(words)}</desc>'
    )
    body = svg[svg.index(">") + 1 :]
    return head + re.sub(r">\s+<", "><", body).strip()
