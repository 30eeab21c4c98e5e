"""How the page writes numbers and moments, so that the same number looks the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from matinee.sizes import show_size

__all__ = ["MISSING", "amount", "moment", "shown"]

MISSING: Final = "-"


def shown(value: float | None, unit: str = "") -> str:
    """A number for people; `unit` is 'ratio', 'ms', 'bytes', 'per_s' or nothing, which is a count.

    >>> shown(0.19395879175835168, "ratio"), shown(12.3456, "ms"), shown(25003), shown(None)
    ('0.1940', '12.3 ms', '25,003', '-')
    """
    if value is None:
        return MISSING
    if unit == "ratio":
        return f"{value:.4f}"
    if unit == "ms":
        return f"{value:,.1f} ms"
    if unit == "per_s":
        return f"{value:,.1f}/s"
    return show_size(int(value)) if unit == "bytes" else f"{value:,.0f}"


def amount(count: int, unit: str) -> str:
    """So many of what a phase counts.

    >>> amount(1200, "rows")
    '1,200 rows'
    """
    return show_size(count) if unit == "bytes" else f"{count:,} {unit}".rstrip()


def moment(text: str) -> str:
    """An ISO 8601 moment to the second, in UTC; as it is where it is none.

    >>> moment("2026-11-25T17:15:06.123+00:00")
    '2026-11-25 17:15:06'
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return text
