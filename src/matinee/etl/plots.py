"""The certificate's plots as inline SVG; the same certificate gives the same bytes."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from matinee.pages.axes import TimeScale, instant, label, plain_log, time_axis
from matinee.pages.drawing import COLD_ITEMS, COLD_USERS, EVAL, HALF, INK, TEST, TRAIN, drawn, variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from matinee.schema.certificate import Certificate

__all__ = ["cold_plot", "length_plot", "popularity_plot", "timeline_plot"]

_BUCKETS = 60  # cold shares of fewer events than a sixtieth of the time are more noise than news


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
        place = TimeScale(line.edges[0], line.edges[-1])
        edges = [place(edge) for edge in line.edges]
        starts = [0.0, *(min(max(place(cut), 0.0), 1.0) for cut in certificate.cuts), 1.0]
        names = [("train", TRAIN), ("eval", EVAL), ("test", TEST)] if certificate.cuts else [("", TRAIN)]
        for (name, colour), start, end in zip(names, starts[:-1], starts[1:], strict=True):
            shown = _clip(edges, line.events, start, end)
            if shown is not None:
                axes.stairs(shown[1], shown[0], fill=True, color=colour)
            if name and end - start > 0.45 / width:
                label(axes, (start + end) / 2, name, colour, "center")
        for cut in starts[1:-1]:
            axes.axvline(cut, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, max(line.events) * 1.05 or 1)
        axes.set_ylabel("events in a bin")
        axes.locator_params(axis="y", integer=True, nbins=5)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        time_axis(axes, place, unit, width)

    return variants("timeline", "Events over time", words, draw)


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
        place = TimeScale(edges[0], edges[-1])
        places = [place(edge) for edge in edges]
        for name, colour in (("users", COLD_USERS), ("items", COLD_ITEMS)):
            axes.stairs(shares[name], places, baseline=None, color=colour, linewidth=1.8)
        if len(certificate.cuts) > 1 and edges[0] < certificate.cuts[1] < edges[-1]:
            axes.axvline(place(certificate.cuts[1]), color=INK, linewidth=1, linestyle=(0, (4, 3)))
            label(axes, place(certificate.cuts[1]), "test \u2192", TEST, "left")
        axes.set_xlim(0, 1)
        axes.set_ylim(-2, 102)
        axes.set_yticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_ylabel("share of events")
        time_axis(axes, place, unit, width)

    return variants("cold", "Cold share over time", words, draw)


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
        axes.fill_between(ranks, counts, 0.8, color=TRAIN, alpha=0.15, linewidth=0)
        axes.plot(ranks, counts, color=TRAIN, linewidth=2, marker="o" if len(points) < 3 else None)
        axes.set_xlim(0.9, max(ranks[-1], 2) * 1.1)
        axes.set_ylim(0.8, max(counts[0], 2) * 1.5)
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("events")
        plain_log(axes)

    return drawn("popularity", "The items' long tail", words, draw, HALF)


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
        axes.fill_between(lengths, shares, 0, color=TEST, alpha=0.15, linewidth=0)
        axes.plot(lengths, shares, color=TEST, linewidth=2, marker="o" if len(points) < 3 else None)
        axes.set_xlim(lengths[0] * 0.9, max(lengths[-1], lengths[0] + 1) * 1.1)
        axes.set_ylim(0, 104)
        axes.set_yticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
        axes.set_xlabel("events, at least")
        axes.set_ylabel("share of users")
        plain_log(axes)

    return drawn("lengths", "Users by length of history", words, draw, HALF)


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
