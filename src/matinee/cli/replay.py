"""`matinee replay`: a split played as live traffic through served models."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place

if TYPE_CHECKING:
    from matinee.replay_and_report import Preview, Replayed

__all__ = ["replay"]

_ARRIVALS = Group("Arrivals", sort_key=20)
_CHOICE = Group("Which events", sort_key=30)
_SERVERS = Group("Servers", sort_key=40)


def replay(
    version: str | None = None,
    /,
    *,
    split: Literal["eval", "test"] = "eval",
    against: str | None = None,
    arms: Annotated[tuple[str, ...], Parameter(name="--arm", negative="", show_default=False)] = (),
    speed: Annotated[float | None, Parameter(group=_ARRIVALS)] = None,
    max_gap_s: Annotated[float | None, Parameter(name="--max-gap", group=_ARRIVALS)] = None,
    rate: Annotated[float | None, Parameter(group=_ARRIVALS)] = None,
    as_fast_as_possible: Annotated[Flag, Parameter(group=_ARRIVALS)] = False,
    order: Annotated[Literal["user", "log"], Parameter(group=_ARRIVALS)] = "user",
    users: Annotated[int | None, Parameter(group=_CHOICE)] = None,
    limit: Annotated[int | None, Parameter(group=_CHOICE)] = None,
    since: Annotated[str | None, Parameter(name="--from", group=_CHOICE)] = None,
    until: Annotated[str | None, Parameter(group=_CHOICE)] = None,
    k: Annotated[int, Parameter(name="--k")] = 10,
    include_seen: Flag = False,
    connections: Annotated[int | None, Parameter(group=_SERVERS)] = None,
    workers: Annotated[int, Parameter(group=_SERVERS)] = 1,
    time_limit_s: Annotated[float, Parameter(group=_SERVERS)] = 10.0,
    patience_s: Annotated[float, Parameter(group=_SERVERS)] = 60.0,
    seed: int = 0,
    token_file: Annotated[Path | None, Parameter(group=_SERVERS)] = None,
    out: Path | None = None,
    again: Flag = False,
    dry_run: Flag = False,
    track: bool | None = None,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Play the people of a split as live traffic through served models, and measure quality and behaviour together.

    Args:
        version: A folder, a data set's name, an id or its beginning, or name@id; by default the newest one here.
        split: Whose events are played; what lies before it has happened already.
        against: The address of a server (http://...), or a model, for which a server is started.
        arms: NAME=URL or NAME=MODEL; several of them are compared on the same events.
        speed: Events are due as the log says, so many times faster.
        max_gap_s: The longest pause between two events in seconds, with --speed.
        rate: Events are due at so many per second.
        as_fast_as_possible: Events are due as soon as a connection is free; the default.
        order: user asks about an event when the person's event before it was told, log when all before it were.
        users: So many people, drawn by --seed; the others' events do not happen. By default all.
        limit: The first so many events.
        since: A date or Unix seconds; events before it are told and not asked about.
        until: A date or Unix seconds; events from it on are left out.
        k: Length of a list of recommendations.
        include_seen: Leave the items of a history in the lists.
        connections: To each server; by default 32, and 128 with --speed and --rate.
        workers: Processes of each server that is started.
        time_limit_s: Of a question; after that it is unanswered.
        patience_s: How long an event is told again before the replay gives up.
        seed: Of draws.
        token_file: With the token of servers that run already.
        out: The replay's folder; by default one below replays in the data folder.
        again: Begin anew although the same replay is there.
        dry_run: Only say what would be played.
        track: Log the report in MLflow and publish it beside the version, starting the stack for that; by default
            those services are told that run.
        place: Where a version is pulled from that is not here, and where its report is published.
        output: How to tell.
    """
    from matinee.replay_and_report import Preview  # noqa: PLC0415 - a command's rooms are loaded when it is called
    from matinee.replay_and_report import replay as play  # noqa: PLC0415 - as above

    where = place.settled()
    progress, show = _listener(output, where["data_dir"])
    done = play(
        version,
        split=split,
        against=against,
        arms=arms,
        speed=speed,
        max_gap_s=max_gap_s,
        rate=rate,
        as_fast_as_possible=as_fast_as_possible,
        order=order,
        users=users,
        limit=limit,
        since=since,
        until=until,
        k=k,
        include_seen=include_seen,
        connections=connections,
        workers=workers,
        time_limit_s=time_limit_s,
        patience_s=patience_s,
        seed=seed,
        token_file=token_file,
        out=out,
        again=again,
        dry_run=dry_run,
        track=track,
        lineage=recorder(where["data_dir"], output),
        show=show,
        progress=progress,
        **where,
    )
    if isinstance(done, Preview):
        _print_preview(done, output)
        output.result(done)
        return
    _print(done, output)
    output.result(
        {
            "id": done.id,
            "folder": done.folder,
            "fresh": done.fresh,
            "page": done.publication.page,
            "published": done.publication.location,
            "report": done.report.facts,
        }
    )


def _listener(output: Output, data_dir: Path) -> tuple[Any, Any]:
    """Who is told of the phases, and who draws the replay while it runs: on a terminal both are one."""
    if output.speaks and sys.stderr.isatty():
        from matinee.cli.replay_screen import ReplayScreen  # noqa: PLC0415 - only a terminal has a screen
        from matinee.cli.work_note import Noting  # noqa: PLC0415 - as above

        screen = ReplayScreen(sys.stderr)
        return Noting(screen, data_dir), screen.show
    return output.progress(data_dir), None


def _print_preview(preview: "Preview", output: Output) -> None:
    plan = preview.plan
    output.line(
        f"{preview.events:,} events of {preview.people:,} people, {plan.dataset} {plan.version}, {plan.split}; nothing "
        "was sent."
    )
    facts: dict[str, object] = {
        "from": _moment(preview.first_s),
        "to": _moment(preview.last_s),
        "arrivals": "as fast as possible" if preview.lasts_s is None else f"{preview.lasts_s:,.1f} s",
    }
    if preview.told_before:
        facts["told before"] = f"{preview.told_before:,} events"
    output.facts(facts | {f"arm {name}": where for name, where in preview.arms.items()})


def _print(done: "Replayed", output: Output) -> None:
    if not done.fresh:
        output.line(f"Replay {done.id} was finished already; nothing was sent. --again plays it once more.")
    arms = done.report.facts["arms"]
    columns = [_figures(arm) for arm in arms.values()]
    output.table(["", *arms], [[label, *(column[label] for column in columns)] for label in columns[0]], right=[*arms])
    for warning in done.report.facts["warnings"]:
        output.line(warning)
    output.line(f"Report: {done.folder / 'report.html'}")
    if done.publication.page:
        output.line(f"MLflow: {done.publication.page}")
    if done.publication.location:
        output.line(f"Published: {done.publication.location}")


def _figures(arm: dict[str, Any]) -> dict[str, str]:
    """What a person wants to know first of an arm, by label."""
    asked = arm["latency_ms"]["ask"]
    return {
        "model": arm["model"],
        "answered": f"{arm['answered']:,} of {arm['asked']:,}",
        **{name: _number(value, 4) for name, value in arm["metrics"].items()},
        **{f"{part} ms": _number(asked[part], 1) for part in ("p50", "p99", "max")},
        "events/s": _number(arm["per_s"], 0),
    }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _moment(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(seconds)
