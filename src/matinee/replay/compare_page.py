"""Replays side by side as one self-contained HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matinee.pages.frame import figure, page, plural, table, text, warnings
from matinee.replay import plots, show
from matinee.replay.report_page import arm_heads, style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["compared_rows", "render_comparison"]

Facts = dict[str, Any]


def render_comparison(facts: Facts, reports: dict[str, Facts]) -> str:
    """The page of a comparison.

    Args:
        facts: of the comparison.
        reports: content of each report.json, by the replay's letter.
    """
    name = f"{text(facts['dataset'])}, split {text(facts['split'])}"
    return page(
        title=f"{name}: {plural(len(reports), 'replay')} compared",
        eyebrow="Replays compared",
        heading=name,
        below=f"version <code>{text(facts['version'])}</code>",
        main="\n".join(_body(facts, reports)),
        footer="Every number here is in the replays' <code>report.json</code>, or is what <code>matinee replay compare "
        "--json</code> prints; <code>docs/report.md</code> of Matinee says what each means.",
        style=style(),
    )


def compared_rows(facts: Facts) -> list[tuple[str, list[str]]]:
    """What stands side by side: a label, and a cell for each arm."""
    k = facts["k"]
    rows: list[tuple[str, Callable[[Facts], Any], Callable[[Any], str]]] = [
        *((f"{name}@{k}", _metric(f"{name}@{k}"), show.quality) for name in ("ndcg", "hr", "mrr")),
        *((f"answer {name}, ms", _latency("ask", name), show.ms) for name in ("p50", "p95", "p99", "max")),
        ("after sending p99, ms", _latency("after_sending", "p99"), show.ms),
        ("told p99, ms", _latency("tell", "p99"), show.ms),
        ("events a second", lambda arm: arm["per_s"], show.rate),
        ("answered", lambda arm: arm["answered"], show.count),
        ("without an answer", lambda arm: sum(arm["unanswered"].values()), show.count),
        ("sent late by the client", lambda arm: arm["late"], show.count),
        ("bytes out", lambda arm: arm["bytes_out"], show.count),
        ("bytes in", lambda arm: arm["bytes_in"], show.count),
    ]
    return [(what, [form(value(arm)) for arm in facts["arms"].values()]) for what, value, form in rows]


def _metric(name: str) -> Callable[[Facts], Any]:
    return lambda arm: arm["metrics"][name]


def _latency(kind: str, name: str) -> Callable[[Facts], Any]:
    return lambda arm: arm["latency_ms"][kind][name]


def _body(facts: Facts, reports: dict[str, Facts]) -> Iterable[str]:
    yield warnings(facts["careful"])
    yield "<h2>Which replays</h2>"
    yield _replays(facts)
    yield "<h2>Side by side</h2>"
    heads = ["&nbsp;", *arm_heads(facts["arms"])]
    rows = "".join(
        f'<tr><th scope="row">{what}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for what, cells in compared_rows(facts)
    )
    yield table("Side by side", heads, rows)
    yield "<h2>Differences in quality</h2>"
    yield _differences(facts)
    yield "<h2>Over time</h2>"
    yield from _plots(facts, reports)
    yield "<h2>What differs</h2>"
    yield _differs(facts)


def _replays(facts: Facts) -> str:
    rows = "".join(
        f'<tr><th scope="row">{letter}</th><td class="text">{text(one["id"])}</td><td>{text(one["began"])}</td>'
        f"<td>{text(one['state'])}</td><td>{show.count(one['events'])}</td><td>{show.count(one['users'])}</td></tr>"
        for letter, one in facts["replays"].items()
    )
    return table("Replays", ("", "replay", "began", "state", "events", "people"), rows)


def _differences(facts: Facts) -> str:
    rows, notes = "", ""
    for label, one in facts["differences"].items():
        pair = f"{text(label)} &minus; {text(one['against'])}"
        if "cannot" in one:
            notes += f"<p>{pair}: not comparable, {text(one['cannot'])}.</p>"
            continue
        for metric, test in one["metrics"].items():
            rows += (
                f'<tr><th scope="row">{pair}, {metric}</th><td>{show.signed(test["difference"])}</td>'
                f"<td>{show.signed(test['low'])}</td><td>{show.signed(test['high'])}</td>"
                f"<td>{show.quality(test['p'])}</td><td>{show.count(test['events'])}</td>"
                f"<td>{show.count(test['users'])}</td></tr>"
            )
    heads = ("arms", "difference", "from", "to", "p", "events", "people")
    words = (
        '<p class="soft">On the events that both have answered. From, to: 95% confidence interval; people are drawn '
        "with all their events.</p>"
    )
    return (table("Differences", heads, rows) + words if rows else "") + notes


def _plots(facts: Facts, reports: dict[str, Facts]) -> Iterable[str]:
    """The plots of a report, over the arms of all replays."""
    arms = {label: reports[arm["replay"]]["arms"][arm["arm"]] for label, arm in facts["arms"].items()}
    windows = {label: reports[arm["replay"]]["windows"][arm["arm"]] for label, arm in facts["arms"].items()}
    together = reports["A"] | {"arms": arms, "windows": windows}
    spans = {tuple(part["first_s"] for part in arm["over_event_time"]) for arm in arms.values()}
    lengths = {report["plan"]["k"] for report in reports.values()}
    if len(spans) == len(lengths) == 1:
        caption = f"{plots.ndcg(together)} in parts of equally many events."
        yield figure("Quality over event time", caption, plots.quality_plot(together))
    else:
        yield '<p class="soft">Quality over event time: of other events or other lists, so not drawn together.</p>'
    curve = figure("Latency by percentile", "The further right, the rarer.", plots.latency_curve(together))
    histogram = figure("How long answers took", "Twelve bins a decade.", plots.latency_histogram(together))
    yield f'<div class="halves">{curve}{histogram}</div>'
    yield figure("Latency over wall time", "p50 thin, p99 thick.", plots.latency_timeline(together))
    yield figure("Events a second", "Told and acknowledged.", plots.throughput_plot(together))


def _differs(facts: Facts) -> str:
    if not facts["differs"]:
        return '<p class="soft">Nothing: the same plan, models and machine.</p>'
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        + "".join(f'<td class="text">{text("" if value is None else str(value))}</td>' for value in values.values())
        + "</tr>"
        for name, values in facts["differs"].items()
    )
    return table("What differs", ("", *facts["replays"]), rows)
