"""How the numbers of a report are written for people, the same on a page, in a table and in a line."""

from __future__ import annotations

from typing import Any

__all__ = ["arrivals", "count", "ms", "quality", "rate", "signed"]

_NOTHING = "\u2013"


def quality(value: float | None) -> str:
    """A metric or a p: four digits after the point."""
    return _NOTHING if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference of metrics, with its sign."""
    return _NOTHING if value is None else f"{value:+.4f}"


def count(value: int | None) -> str:
    """Thousands apart."""
    return _NOTHING if value is None else f"{value:,}"


def ms(value: float | None) -> str:
    """Milliseconds, to about three digits."""
    if value is None:
        return _NOTHING
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """So many a second."""
    return _NOTHING if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def arrivals(plan: dict[str, Any]) -> str:
    """When events were due, in words."""
    given = plan["arrivals"]
    if given["rate"] is not None:
        return f"{given['rate']:g} events a second"
    if given["speed"] is not None:
        gap = f", no pause longer than {given['max_gap_s']:g} s" if given["max_gap_s"] is not None else ""
        return f"as the log says, {given['speed']:g} times as fast{gap}"
    return f"as fast as possible over {plan['connections']} connections"
