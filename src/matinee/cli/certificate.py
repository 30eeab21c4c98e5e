"""The certificate as a few lines and a table: what a person should know before trusting the splits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from matinee.cli.output import Output
    from matinee.schema.certificate import Certificate, SplitFacts

__all__ = ["print_certificate"]


def print_certificate(certificate: Certificate, output: Output) -> None:
    """The table of splits, then cuts, leaks, what was left out, and warnings."""
    splits = [(name, getattr(certificate, name)) for name in SPLITS]
    output.table(
        ("split", "rows", "users", "items", "by cold users", "on cold items", "from", "to"),
        [_split_row(name, facts) for name, facts in splits],
        right=("rows", "users", "items", "by cold users", "on cold items"),
    )
    output.line()
    reading = certificate.reading
    cuts = ", ".join(f"{_instant(cut)} ({cut})" for cut in certificate.cuts)
    leaks = certificate.leaks
    filtered = reading.below_rating + reading.outside_range + reading.below_core
    output.facts(
        {
            "split by": certificate.split + (f", cuts at {cuts}" if cuts else ""),
            "leaks": "0 targets lie before a training event"
            if not leaks
            else f"{leaks:,} TARGETS BEFORE A TRAINING EVENT",
            "ties": f"{_share(certificate.tied_events, reading.events)} of the events share their second with another; "
            f"order: {certificate.ties}",
            "left out": f"{reading.rejects:,} unreadable rows, {reading.repeats:,} exact repeats, "
            f"{filtered:,} by filters, of {reading.rows:,} rows",
        }
    )
    for warning in certificate.warnings:
        output.line(f"warning: {warning}")


def _split_row(name: str, facts: SplitFacts) -> tuple[object, ...]:
    cold = name != "train"
    return (
        name,
        facts.rows,
        facts.users,
        facts.items,
        _share(facts.by_cold_users, facts.rows) if cold else "",
        _share(facts.on_cold_items, facts.rows) if cold else "",
        _instant(facts.first),
        _instant(facts.last),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _instant(moment: int | None) -> str:
    """'1998-03-08 12:00:00', or the number where no calendar reaches."""
    if moment is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(moment)
