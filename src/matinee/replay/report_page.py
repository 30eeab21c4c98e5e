"""The report as one self-contained HTML page; each number in it says which one of `report.json` it is."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from matinee.pages.axes import instant
from matinee.pages.frame import figure, page, pairs, plural, share, table, text, tiles, warnings
from matinee.replay import plots, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["arm_heads", "render_page", "style"]

_COLOURS: Final = 6
_LATENCIES: Final = ("p50", "p95", "p99", "max")
_SETTINGS: Final = {
    "order": "order", "users": "people", "since_s": "from", "until_s": "until", "limit": "at most", "k": "list",
    "exclude_seen": "without what was seen", "connections": "connections an arm", "time_limit_s": "time limit, s",
    "patience_s": "patience, s", "seed": "seed",
}  # fmt: skip

Facts = dict[str, Any]
Row = tuple[str, tuple[str, ...], "Callable[[Any], str]"]  # what, the path below an arm, how it is written


def render_page(facts: Facts) -> str:
    """The page of a report, from its `facts` alone."""
    name = f"{text(facts['dataset'])}, split {text(facts['split'])}"
    return page(
        title=f"{name}: replay {text(facts['id'])}",
        eyebrow="Replay",
        heading=name,
        below=f"version <code>{text(facts['version'])}</code> &middot; replay <code>{text(facts['id'])}</code> "
        f"&middot; {text(show.arrivals(facts['plan']))}",
        main="\n".join(_body(facts)),
        footer="Every number here is in <code>report.json</code>, beside this page; <code>docs/report.md</code> of "
        "Matinee says what each means and how far it can be trusted.",
        style=style(),
    )


def style() -> str:
    """The rules that pages of replays have beside those of all pages."""
    return files("matinee.replay").joinpath("report.css").read_text(encoding="utf-8")


def arm_heads(names: Iterable[str]) -> list[str]:
    """A column's head for each arm, with its colour in the plots."""
    return [
        f'<span class="dot arm-{at % _COLOURS + 1}"></span>{text(name)}' for at, name in enumerate(names)
    ]  # a name may be of any characters in a report that somebody has made by hand


def _body(facts: Facts) -> Iterable[str]:
    several = len(facts["arms"]) > 1
    yield _verdict(facts)
    yield warnings(facts["warnings"])
    yield tiles(_numbers(facts))
    yield "<h2>Side by side</h2>" if several else "<h2>In numbers</h2>"
    yield _side_by_side(facts)
    yield "<h2>Quality</h2>"
    yield _segments(facts)
    yield _differences(facts)
    yield figure("Over event time", _quality_caption(facts), plots.quality_plot(facts))
    if several:
        halves = (("By warm users", "warm_users"), ("By cold users", "cold_users"))
        pictures = "".join(figure(title, "Parts as above.", plots.parts_plot(facts, part)) for title, part in halves)
        yield f'<div class="halves">{pictures}</div>'
    yield "<h2>Latency</h2>"
    yield _latency(facts)
    yield "<h2>Throughput and traffic</h2>"
    yield _traffic(facts)
    yield "<h2>Who asked</h2>"
    yield _client(facts)
    yield "<h2>What was replayed</h2>"
    yield _plan(facts)


def _verdict(facts: Facts) -> str:
    asked = sum(arm["asked"] for arm in facts["arms"].values())
    unanswered = asked - sum(arm["answered"] for arm in facts["arms"].values())
    words = f"{facts['events']:,} events of {plural(facts['users'], 'person').replace('persons', 'people')}"
    if facts["state"] != "finished":
        kind, headline = "care", f"Not finished: {text(facts['state'])}"
        words += f" were to be asked about; {asked:,} questions were asked."
    elif facts["client"]["complaints"]:
        kind, headline = "care", "The client could not keep up"
        words = "The latencies below are not the server's alone."
    elif unanswered:
        kind, headline = "care", f"{share(unanswered, asked)} of the questions had no answer"
        words += " were asked about and told; quality and latency are those of the answered questions."
    else:
        kind, headline = "good", "Every question was answered"
        words += " were asked about before they were told, in order, and each was told and acknowledged once."
    return f'<section class="verdict {kind}"><h2>{headline}</h2><p>{words}</p></section>'


def _numbers(facts: Facts) -> list[tuple[str, str]]:
    (name, first), *_ = facts["arms"].items()
    metric = plots.ndcg(facts)
    of = f" of {text(name)}" if len(facts["arms"]) > 1 else ""
    return [
        ("events asked about", _span(facts, ("events",), show.count)),
        (f"{metric}{of}", _span(facts, ("arms", name, "metrics", metric), show.quality)),
        (f"ms, p50{of}", _span(facts, ("arms", name, "latency_ms", "ask", "p50"), show.ms)),
        (f"ms, p99{of}", _span(facts, ("arms", name, "latency_ms", "ask", "p99"), show.ms)),
        (f"events a second{of}", _span(facts, ("arms", name, "per_s"), show.rate)),
        (f"of the questions answered{of}", share(first["answered"], first["asked"])),
    ]


def _side_by_side(facts: Facts) -> str:
    k = facts["plan"]["k"]
    metrics: list[Row] = [
        (f"{name.upper()}@{k}", ("metrics", f"{name}@{k}"), show.quality) for name in ("ndcg", "hr", "mrr")
    ]
    parts: list[Row] = [
        (f"NDCG@{k}, {part.replace('_', ' ')}", (part, "metrics", f"ndcg@{k}"), show.quality)
        for part in ("warm_users", "cold_users", "warm_items", "cold_items")
    ]
    asking: list[Row] = [(f"answer {name}, ms", ("latency_ms", "ask", name), show.ms) for name in _LATENCIES]
    asking += [(f"after sending {name}, ms", ("latency_ms", "after_sending", name), show.ms) for name in ("p50", "p99")]
    telling: list[Row] = [(f"told {name}, ms", ("latency_ms", "tell", name), show.ms) for name in ("p50", "p99")]
    counts: list[Row] = [
        ("events a second", ("per_s",), show.rate),
        ("asked", ("asked",), show.count),
        ("answered", ("answered",), show.count),
        ("told", ("told",), show.count),
        ("told again", ("told_again",), show.count),
        ("sent late by the client", ("late",), show.count),
        ("bytes out", ("bytes_out",), show.count),
        ("bytes in", ("bytes_in",), show.count),
    ]
    rows = ""
    for group in (metrics, parts, asking, telling, counts):
        for at, (what, path, form) in enumerate(group):
            cells = "".join(_cell(facts, ("arms", name, *path), form) for name in facts["arms"])
            rows += f'<tr{"" if at else " class=part"}><th scope="row">{what}</th>{cells}</tr>'
    models = "; ".join(
        f"{head} is {text(arm['model'] or arm['served']['model'])}"
        for head, arm in zip(arm_heads(facts["arms"]), facts["arms"].values(), strict=True)
    )
    return _wide_table("Numbers", ["", *arm_heads(facts["arms"])], rows) + f'<p class="soft">{models}</p>'


def _segments(facts: Facts) -> str:
    """Each part of the events with its confidence interval."""
    metric = plots.ndcg(facts)
    rows = ""
    (first, *_) = facts["arms"].values()
    for part in first["segments"]:
        cells = ""
        for name, arm in facts["arms"].items():
            low, high = arm["segments"][part]["intervals"][metric]
            interval = "" if low is None else f"{show.quality(low)} to {show.quality(high)}"
            cells += _cell(facts, ("arms", name, "segments", part, "events"), show.count)
            cells += _cell(facts, ("arms", name, "segments", part, "metrics", metric), show.quality, interval)
        rows += f'<tr><th scope="row">{part}</th>{cells}</tr>'
    heads = ["asked about"]
    for head in arm_heads(facts["arms"]):
        heads += [f"{head}: events", f"{head}: {metric}"]
    note = (
        '<p class="soft">Warm: seen in train. Cold: not. Small: 95% confidence interval, people drawn with all '
        "their events. Answered questions only.</p>"
    )
    return _wide_table("Parts of the events", heads, rows) + note


def _differences(facts: Facts) -> str:
    rows = ""
    for name, metrics in facts["differences"].items():
        for metric, one in metrics.items():
            path = ("differences", name, metric)
            rows += (
                f'<tr><th scope="row">{text(name)} &minus; {text(one["against"])}, {metric}</th>'
                f"{_cell(facts, (*path, 'difference'), show.signed)}{_cell(facts, (*path, 'low'), show.signed)}"
                f"{_cell(facts, (*path, 'high'), show.signed)}{_cell(facts, (*path, 'p'), show.quality)}"
                f"{_cell(facts, (*path, 'events'), show.count)}{_cell(facts, (*path, 'users'), show.count)}</tr>"
            )
    if not rows:
        return ""
    heads = ("arms", "difference", "from", "to", "p", "events", "people")
    note = (
        '<p class="soft">On the events that both have answered. From, to: 95% confidence interval. p: how likely so '
        "large a difference would be if the models were equally good, people being independent, not their events.</p>"
    )
    return f"<h3>Differences</h3>{_wide_table('Differences', heads, rows)}{note}"


def _quality_caption(facts: Facts) -> str:
    parts = len(next(iter(facts["arms"].values()))["over_event_time"])
    return f"{plots.ndcg(facts)} in {plural(parts, 'part')} of equally many events, by the time of the log (UTC)."


def _latency(facts: Facts) -> str:
    open_loop = facts["plan"]["arrivals"]["rate"] is not None or facts["plan"]["arrivals"]["speed"] is not None
    since = (
        "From the moment a question was due, so that a server that stalls cannot hide its own delay. A question waits "
        "for the event before it in its line, and for a free connection; after sending is without that."
        if open_loop
        else "From the moment a connection was free for the question: a server that stalls is asked less, and looks "
        "better than it would to people who do not wait for it."
    )
    curve = figure("By percentile", "The further right, the rarer.", plots.latency_curve(facts))
    histogram = figure("How long answers took", "Twelve bins a decade.", plots.latency_histogram(facts))
    timeline = figure("Over wall time", "p50 thin, p99 thick.", plots.latency_timeline(facts))
    return f'<p class="soft">{since}</p><div class="halves">{curve}{histogram}</div>{timeline}'


def _traffic(facts: Facts) -> str:
    parts = figure("Events a second", "Told and acknowledged.", plots.throughput_plot(facts))
    if unanswered := plots.unanswered_plot(facts):
        parts += figure("Questions without an answer", "Given up in each window.", unanswered)
    halves = "".join(
        figure(f"Bytes {direction}", f"On the connections, {where} the client.", plots.bytes_plot(facts, direction))
        for direction, where in (("out", "from"), ("in", "to"))
    )
    parts += f'<div class="halves">{halves}</div>'
    if facts["network"]:
        rows = "".join(
            f'<tr><th scope="row">{text(name)}</th>'
            f"{_cell(facts, ('network', name, 'in_bytes'), show.count)}"
            f"{_cell(facts, ('network', name, 'out_bytes'), show.count)}</tr>"
            for name in facts["network"]
        )
        note = '<p class="soft">All traffic of this machine during the last session, whoever caused it.</p>'
        parts += _wide_table("Interfaces", ("interface", "bytes in", "bytes out"), rows) + note
    return parts


def _client(facts: Facts) -> str:
    client = facts["client"]
    kept_up = {True: "yes", False: "no", None: "it sends when it can: nothing was due before"}[client["kept_up"]]
    return (
        '<dl class="pairs card">'
        f"<dt>kept up</dt><dd>{kept_up}</dd>"
        f"<dt>processor time, s</dt><dd>{_span(facts, ('client', 'cpu_s'), show.rate)}</dd>"
        f"<dt>of wall time, s</dt><dd>{_span(facts, ('client', 'wall_s'), show.rate)}</dd>"
        f"<dt>microseconds an event</dt><dd>{_span(facts, ('client', 'cpu_us_per_event'), show.rate)}</dd></dl>"
    )


def _plan(facts: Facts) -> str:
    plan, unit = facts["plan"], facts["time_unit"]
    span = f"{instant(facts['first_s'], unit)} to {instant(facts['last_s'], unit)}"
    told = [("events", f"{facts['events']:,}, {span}"), ("due", show.arrivals(plan))]
    if facts["told_before"]:
        told += [("told before", f"{facts['told_before']:,} events, in advance and not asked about")]
    told += [(label, str(plan[name])) for name, label in _SETTINGS.items() if plan[name] is not None]
    told += [("manifest SHA-256", facts["version_sha256"])]
    for name, arm in facts["arms"].items():
        if arm["served"]["checkpoint_sha256"]:
            told.append((f"checkpoint SHA-256 of {name}", arm["served"]["checkpoint_sha256"]))
        told += [(f"answered for {name}", f"{one['title']}: {one['answered']:,}") for one in arm["models"]]
    told += [("machine", ", ".join(f"{name} {value}" for name, value in facts["machine"].items()))]
    rows = "".join(
        f'<tr><th scope="row">{at}</th><td>{text(session["began"])}</td>'
        f"<td>{text(session['ended'] or 'killed')}</td>"
        f'<td class="text">{text(session["why"] or "killed")} {text(session["detail"])}</td></tr>'
        for at, session in enumerate(facts["sessions"], 1)
    )
    sessions = _wide_table("Sessions", ("session", "began", "ended", "how"), rows)
    return pairs([(text(what), value) for what, value in told]) + f"<h3>Sessions</h3>{sessions}"


def _wide_table(label: str, heads: Iterable[str], rows: str) -> str:
    return table(label, [head or "&nbsp;" for head in heads], rows)


def _cell(facts: Facts, path: tuple[str, ...], form: Callable[[Any], str], note: str = "") -> str:
    small = f"<small>{note}</small>" if note else ""
    return f"<td>{_span(facts, path, form)}{small}</td>"


def _span(facts: Facts, path: tuple[str, ...], form: Callable[[Any], str]) -> str:
    """A number of the report, and which one it is."""
    value: Any = facts
    for name in path:
        value = value[name]
    return f'<span data-of="{text("/".join(path))}">{form(value)}</span>'
