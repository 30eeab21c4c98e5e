"""The certificate as one self-contained HTML page, for the people who decide whether a split can be trusted."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError
from matinee.etl import plots
from matinee.pages.axes import instant
from matinee.pages.frame import figure, page, pairs, plural, share, table, text, tiles, warnings
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.schema.certificate import Certificate, Reading, SplitFacts

__all__ = ["render_page", "write_page"]

_SPLIT_RULES = {
    "time": "by time, one cut for all users",
    "leave-one-out": "leave-one-out: each user's last event is test, the one before eval",
    "ratio": "by ratio: a share of each user's events",
    "random": "random rows",
}
_TIE_RULES = {
    "input": "events of the same time keep the order of the log",
    "shuffle": "events of the same time are shuffled by a seeded hash",
}


def write_page(certificate: Certificate, path: Path) -> None:
    """Write the page to `path`, complete or not at all; the same bytes for the same certificate.

    Raises:
        DiskFullError: no space left.
    """
    content = render_page(certificate).encode()
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp's 0600 is for secrets
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"{path}: no space for {len(content):,} bytes; make room and transform again") from None
        raise


def render_page(certificate: Certificate) -> str:
    """The page as text: no scripts, nothing loaded from anywhere, light and dark."""
    name, version = text(certificate.name), text(certificate.version)
    return page(
        title=f"{name}: certificate {version}",
        eyebrow="Certificate",
        heading=name,
        below=f"version <code>{version}</code> &middot; split {text(_split_rule(certificate))}",
        main=f"""{_verdict(certificate)}
{warnings(certificate.warnings)}
{tiles(_numbers(certificate))}
<h2>Splits</h2>
{_share_bar(certificate)}
{_split_table(certificate)}
<p class="soft">Cold: not seen in train. Share: of all events. Times are UTC.</p>
<h2>Cuts and ties</h2>
{_cuts_and_ties(certificate)}
<h2>Over time</h2>
{_over_time(certificate)}
<h2>Items and users</h2>
{_items_and_users(certificate)}
<h2>From rows to events</h2>
{_funnel(certificate.reading)}
{_reject_reasons(certificate.reading)}
<h2>How the log was read</h2>
{_dialect(certificate.reading)}""",
        footer=(
            "Every number here is in <code>certificate.json</code>, beside this page; <code>docs/certificate.md</code>"
            " of\nMatinee says what each means and what to do about a warning."
        ),
    )


def _verdict(certificate: Certificate) -> str:
    held_out = certificate.eval.rows + certificate.test.rows
    unit = certificate.reading.time_unit
    if not held_out:
        kind, headline = "care", "Nothing is held out"
        words = "eval and test are empty, so nothing can leak and nothing can be measured."
    elif certificate.leaks:
        kind = "bad"
        headline = f"Not leak-free: {share(certificate.leaks, held_out)} of the targets lie before training"
        words = (
            f"{certificate.leaks:,} of {held_out:,} events of eval and test are older than the newest event of train: "
            "a model that trained on this split has seen the future of these targets. Its results say nothing sure "
            "about live traffic."
        )
    else:
        kind, headline = "good", "Leak-free"
        order = "in the order of rows, which stand in for time" if unit == "row" else "in time"
        words = f"No target of eval and test ({held_out:,} in all) lies before an event of train {order}."
        if certificate.split != "time":
            words += " That is so on this log; a split that is not by time does not promise it."
    return f'<section class="verdict {kind}"><h2>{headline}</h2><p>{words}</p></section>'


def _numbers(certificate: Certificate) -> list[tuple[str, str]]:
    events = certificate.reading.events
    return [
        ("event" if events == 1 else "events", f"{events:,}"),
        ("user" if certificate.users == 1 else "users", f"{certificate.users:,}"),
        ("item" if certificate.items == 1 else "items", f"{certificate.items:,}"),
        ("of test events by cold users", share(certificate.test.by_cold_users, certificate.test.rows)),
        ("of test events on cold items", share(certificate.test.on_cold_items, certificate.test.rows)),
        ("of events share their time", share(certificate.tied_events, events)),
    ]


def _share_bar(certificate: Certificate) -> str:
    parts = "".join(
        f'<span class="{split}" style="flex:{facts.rows}"></span>'
        for split, facts in _splits(certificate)
        if facts.rows
    )
    return f'<div class="bar" aria-hidden="true">{parts}</div>' if parts else ""


def _split_table(certificate: Certificate) -> str:
    total = sum(facts.rows for _, facts in _splits(certificate))
    heads: tuple[str, ...] = ("split", "events", "users", "items", "first", "last")
    heads = (*heads, "by cold users", "on cold items", "both cold", "before train")
    rows = "".join(
        f'<tr><th scope="row"><span class="dot {split}"></span>{split}</th>'
        f"{_counted(facts.rows, total)}"
        f"{_counted(facts.users, None, facts.cold_users, split)}{_counted(facts.items, None, facts.cold_items, split)}"
        f"{_moment(facts.first, certificate)}{_moment(facts.last, certificate)}"
        + (
            '<td class="soft">&ndash;</td>' * 4
            if split == "train"
            else f"{_counted(facts.by_cold_users, facts.rows)}{_counted(facts.on_cold_items, facts.rows)}"
            f"{_counted(facts.cold_both, facts.rows)}{_counted(facts.before_train, facts.rows)}"
        )
        + "</tr>"
        for split, facts in _splits(certificate)
    )
    return table("Splits", heads, rows)


def _cuts_and_ties(certificate: Certificate) -> str:
    unit, events = certificate.reading.time_unit, certificate.reading.events
    names = ("eval begins", "test begins")
    facts = [(name, instant(cut, unit)) for name, cut in zip(names, certificate.cuts, strict=False)]
    if not facts:
        facts = [("cuts", "none: this split is not by time")]
    tied = f"{certificate.tied_events:,} ({share(certificate.tied_events, events)}) share their time with another event"
    facts += [("ties", _TIE_RULES.get(certificate.ties, certificate.ties)), ("tied events", tied)]
    return pairs(facts)


def _over_time(certificate: Certificate) -> str:
    if not any(certificate.timeline.events):
        return '<p class="soft">No events, so no plots.</p>'
    timeline = figure(
        "Events over time",
        "Dashed lines are the cuts." if certificate.cuts else "This split has no cuts in time.",
        plots.timeline_plot(certificate),
    )
    cold = plots.cold_plot(certificate)
    if not cold:
        return (
            timeline
            + '<p class="soft">The cold share over time is known for a split by time with events after train.</p>'
        )
    caption = (
        'From the first cut on: share of events <span class="key-users">by cold users</span> and '
        '<span class="key-items">on cold items</span>.'
    )
    return timeline + figure("Cold share over time", caption, cold)


def _items_and_users(certificate: Certificate) -> str:
    if not certificate.popularity or not certificate.lengths:
        return '<p class="soft">No events, so no plots.</p>'
    tail = figure("The items\u2019 long tail", "Events of the item at each rank.", plots.popularity_plot(certificate))
    caption = "Share of users with at least so many events."
    users = figure("Length of histories", caption, plots.length_plot(certificate))
    return f'<div class="halves">{tail}{users}</div>'


def _funnel(reading: Reading) -> str:
    steps = [
        ("rejects: rows that cannot be read", reading.rejects),
        ("below the rating threshold", reading.below_rating),
        ("outside the time range", reading.outside_range),
        ("exact repeats", reading.repeats),
        (f"below the k-core ({plural(reading.core_rounds, 'round')})", reading.below_core),
    ]
    left = reading.rows
    rows = f'<tr><th scope="row">rows in the log</th><td></td><td>{left:,}</td>{_meter(left, 0, reading.rows)}</tr>'
    for what, gone in steps:
        left -= gone
        number = f"&minus;{gone:,}<small>{share(gone, reading.rows)}</small>" if gone else "0"
        rows += (
            f'<tr><th scope="row">{what}</th><td>{number}</td><td>{left:,}</td>{_meter(left, gone, reading.rows)}</tr>'
        )
    rows += (
        f'<tr class="total"><th scope="row">events</th><td></td><td>{reading.events:,}</td>'
        f"{_meter(reading.events, 0, reading.rows)}</tr>"
    )
    return table("From rows to events", ("step", "left out", "left", ""), rows)


def _reject_reasons(reading: Reading) -> str:
    if not reading.reject_reasons:
        return ""
    ordered = sorted(reading.reject_reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    rows = "".join(f'<tr><td class="text">{text(reason)}</td><td>{count:,}</td></tr>' for reason, count in ordered)
    note = '<p class="soft">Each rejected row is in <code>rejects.csv</code> with its line number.</p>'
    return f"<h3>Why rows were rejected</h3>{table('Why rows were rejected', ('reason', 'rows'), rows)}{note}"


def _dialect(reading: Reading) -> str:
    separators = {"\t": "tab", " ": "space", ",": "comma ,", ";": "semicolon ;"}
    roles = ", ".join(f"{role} = {column}" for role, column in reading.columns.items())
    units = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    return pairs(
        [
            ("separator", separators.get(reading.separator, reading.separator)),
            ("header", "yes" if reading.header else "none"),
            ("columns", roles),
            ("rating", "read" if "rating" in reading.columns else "none in this log"),
            ("user ids", reading.user_kind),
            ("item ids", reading.item_kind),
            ("time", units.get(reading.time_unit, "none in this log: the row number stands in")),
        ]
    )


def _split_rule(certificate: Certificate) -> str:
    return _SPLIT_RULES.get(certificate.split, certificate.split)


def _splits(certificate: Certificate) -> Iterable[tuple[str, SplitFacts]]:
    return zip(SPLITS, (certificate.train, certificate.eval, certificate.test), strict=True)


def _counted(number: int | None, total: int | None, cold: int = 0, split: str = "train") -> str:
    if number is None:
        return '<td class="soft">not counted</td>'
    note = share(number, total) if total else f"{cold:,} cold" if split != "train" and total is None else ""
    return f"<td>{number:,}{f'<small>{note}</small>' if note else ''}</td>"


def _moment(seconds: int | None, certificate: Certificate) -> str:
    if seconds is None:
        return '<td class="soft">&ndash;</td>'
    day, _, clock = instant(seconds, certificate.reading.time_unit).partition(" ")
    clocked = ":" in clock
    return f"<td>{day}{f'<small>{clock}</small>' if clocked else f' {clock}'.rstrip()}</td>"


def _meter(left: int, gone: int, rows: int) -> str:
    kept = f'<i style="width:{100 * left / rows:.2f}%"></i>' if rows else ""
    # A step that drops one row in a million still shows.
    lost = f'<i class="gone" style="width:{max(100 * gone / rows, 0.6):.2f}%"></i>' if rows and gone else ""
    return f'<td class="meter" aria-hidden="true"><span style="display:flex">{kept}{lost}</span></td>'
