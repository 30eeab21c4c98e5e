"""The stages of the journey and how each of them is, for one version: waiting, running, done, failed or stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.dashboard.words import amount, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matinee.dashboard.snapshot import Snapshot
    from matinee.dashboard.versions import VersionFacts
    from matinee.lineage.journal import RecordedRun
    from matinee.schema.work import Work

__all__ = ["STAGES", "Stage", "journey"]

# In the order of the journey. The last four are known by what they leave behind; lineage tells of the others.
STAGES: Final = ("extract", "transform", "load", "register", "train", "evaluate", "serve", "replay", "report")
_JOBS: Final = {"track": "train", "export": "train"}  # jobs and phases that are a part of a stage
_FROM_EVENTS: Final = "from-events"  # a job that is both extract and transform, of events told
_COMMANDS: Final = {f"data {_FROM_EVENTS}": "transform"}  # commands that are at a stage of another name
_WALKS_ALL: Final = "rehearse"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: one of STAGES.
        state: 'waiting', 'running', 'done', 'failed', or 'stopped': begun, not ended, and nobody is at it.
        detail: one short line.
        share: how much of its phase is done, 0 to 1, where it runs and that is known.
        run: id of its newest run in lineage; empty where none is recorded.
    """

    name: str
    state: str
    detail: str
    share: float | None = None
    run: str = ""


def journey(seen: Snapshot, version: VersionFacts | None) -> tuple[Stage, ...]:
    """All stages; with no version yet, of the one that is being made."""
    told = {name: _recorded(name, seen, version) for name in STAGES[:5]}
    told |= {
        "evaluate": _evaluated(seen, version),
        "serve": _served(seen, version),
        "replay": _replayed(seen, version),
        "report": _reported(seen, version),
    }
    for work in seen.works:
        name = _stage_of(work, seen.runs)
        # A server is at work while it only waits, and a replay tells of itself: their own words say more.
        if name in told and name not in {"serve", "replay"}:
            told[name] = Stage(name, "running", _at(work), work.share, told[name].run)
    return tuple(told[name] for name in STAGES)


def _stage_of(work: Work, runs: Iterable[RecordedRun]) -> str:
    """Which stage a command is at; empty for one that is none of the journey."""
    if work.command != _WALKS_ALL:
        return _COMMANDS.get(work.command, work.command)
    if work.phase in STAGES:
        return work.phase
    newest = max(runs, key=lambda run: run.started, default=None)
    job = newest.job if newest is not None and newest.state == "START" else ""
    return _JOBS.get(job, job)


def _at(work: Work) -> str:
    if not work.phase:
        return "between two phases"
    total = "" if work.total is None else f" of {amount(work.total, work.unit)}"
    return f"{work.phase}: {amount(work.done, work.unit)}{total}"


def _recorded(name: str, seen: Snapshot, version: VersionFacts | None) -> Stage:
    """What lineage tells of a stage."""
    newest = max(_runs_of(name, seen.runs, version), key=lambda run: run.started, default=None)
    if newest is None:
        return Stage(name, "waiting", "not yet")
    if newest.state == "COMPLETE":
        return Stage(name, "done", moment(newest.ended), run=newest.id)
    if newest.error.startswith(KeyboardInterrupt.__name__):
        return Stage(name, "stopped", f"interrupted {moment(newest.ended)}", run=newest.id)
    if newest.state == "FAIL":
        return Stage(name, "failed", newest.error or "it failed", run=newest.id)
    return Stage(name, "stopped", f"began {moment(newest.started)}, did not end", run=newest.id)


def _runs_of(name: str, runs: Iterable[RecordedRun], version: VersionFacts | None) -> Iterator[RecordedRun]:
    for run in runs:
        if run.job == _FROM_EVENTS and name in {"extract", "transform"}:
            if version is not None and any(artifact.version == version.id for artifact in run.outputs):
                yield run  # what it read is another version's
            continue
        if run.job != name:
            continue
        # A model that a training started from is of another version.
        artifacts = (*(each for each in run.inputs if each.kind != "checkpoint"), *run.outputs)
        ours = version is None or any(
            artifact.version == version.id or (name == "extract" and artifact.sha256 == version.source_sha256)
            for artifact in artifacts
        )
        if ours or (run.state != "COMPLETE" and not any(artifact.version for artifact in artifacts)):
            yield run


def _evaluated(seen: Snapshot, version: VersionFacts | None) -> Stage:
    ours = [each for each in seen.trainings if version is not None and each.version == version.id]
    count = sum(bool(each.evaluations) for each in ours)
    if not count:
        return Stage("evaluate", "waiting", "not yet")
    models = f"{len(ours)} model{'s' if len(ours) > 1 else ''}"
    return Stage("evaluate", "done", f"{count} of {models}" if count < len(ours) else models)


def _served(seen: Snapshot, version: VersionFacts | None) -> Stage:
    ours = [each for each in seen.servers if version is None or each.version == version.id]
    if not ours:
        return Stage("serve", "waiting", "no server runs")
    first = ours[0].model.partition("@")[0]
    return Stage("serve", "running", f"{first}, {len(ours) - 1} more" if len(ours) > 1 else ours[0].model)


def _replayed(seen: Snapshot, version: VersionFacts | None) -> Stage:
    ours = [each for each in seen.replays if version is None or each.version == version.id]
    newest = next((each for each in ours if each.state == "running"), ours[0] if ours else None)
    if newest is None:
        return Stage("replay", "waiting", "not yet")
    states = {"finished": "done", "running": "running", "failed": "failed"}
    return Stage(
        "replay",
        states.get(newest.state, "stopped"),
        f"{newest.told:,} of {newest.events:,} events" if newest.state != "finished" else f"{newest.events:,} events",
        newest.share if newest.state == "running" else None,
    )


def _reported(seen: Snapshot, version: VersionFacts | None) -> Stage:
    ours = [each for each in seen.replays if version is None or each.version == version.id]
    count = sum(each.page is not None for each in ours)
    return (
        Stage("report", "done", f"{count} report{'s' if count > 1 else ''}")
        if count
        else Stage("report", "waiting", "not yet")
    )
