"""Axes that people read: moments in exact arithmetic and with round labels, logarithms with plain numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TimeScale", "instant", "label", "plain_log", "short", "time_axis"]

_FIRST_DATE: Final = -62_135_596_800  # year 1
_LAST_DATE: Final = 253_402_300_799  # year 9999, all that a datetime can hold


def instant(seconds: int, unit: str = "s", *, date_only: bool = False) -> str:
    """A moment for people: a date and time in UTC, or the plain number where it is a row or beyond the calendar."""
    if unit == "row":
        return f"row {seconds:,}"
    if not _FIRST_DATE <= seconds <= _LAST_DATE:
        return f"{seconds:,} s"
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.isoformat()[:10] if date_only else moment.isoformat(sep=" ")[:19]


class TimeScale:
    """Places instants between 0 and 1 in exact arithmetic: a float cannot tell two seconds apart beyond 2**53."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __call__(self, moment: int) -> float:
        """Where it lies."""
        return (moment - self.first) / (self.last - self.first)


def short(number: int) -> str:
    """A number for an axis: 20k, 3M."""
    for factor, letter in ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:g}{letter}"
    return str(number)


def label(axes: Axes, x: float, text: str, colour: str, align: str) -> None:
    """A few words just above the plot, at `x` as in the data."""
    # y as a share of the axes' height.
    axes.text(x, 1.03, text, color=colour, ha=align, transform=axes.get_xaxis_transform(), weight="bold")


def time_axis(axes: Axes, place: TimeScale, unit: str, width: float) -> None:
    """Ticks at round moments, as many as `width` inches have room for; `unit` is 's', or 'row' without times."""
    ticks = _ticks(place.first, place.last, unit, most=max(2, int(width / 1.15)))
    axes.set_xticks([place(moment) for moment, _ in ticks], [label for _, label in ticks])
    if unit != "row" and place.last - place.first < 86_400:  # labels of a single day have no date
        axes.set_xlabel(instant(place.first, date_only=True))


def plain_log(axes: Axes) -> None:
    """Plain numbers at the logarithmic axes, of which there are some."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: PLC0415 - loaded by now

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log":
            few = high / low < 300  # so few decades that they alone would leave the axis without labels
            axis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if few else (1,), numticks=9))
            axis.set_major_formatter(FuncFormatter(_log_label))
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())


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
    return [(moment, short(moment)) for moment in range(-(-first // step) * step, last + 1, step)]


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


def _log_label(value: float, _: int | None) -> str:
    return short(round(value)) if value >= 1 else ""
