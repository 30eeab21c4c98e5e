"""Replay and report: a split played through served models, measured, and told to those who keep what was measured."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from matinee.errors import MatineeError, ReplayError, UsageError
from matinee.replay.plan import Arrivals, Order, Plan
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matinee.lineage import Recorder, Run
    from matinee.publish_report import Publication
    from matinee.replay.against import Against
    from matinee.replay.report import Report
    from matinee.replay.stage import Begun
    from matinee.replay.stream import Stream
    from matinee.version import Version

__all__ = ["Preview", "Replayed", "replay"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay is going to do, or has done.

    Attributes:
        plan: what is played.
        arms: their names, and the address or the folder of each.
        events, people: that are asked about, in each arm.
        told_before: events that are told in advance, in each arm.
        first_s, last_s: Unix seconds of the first and the last event that is asked about.
        lasts_s: how long their arrivals take; None where they are as fast as possible.
    """

    plan: Plan
    arms: dict[str, str]
    events: int
    people: int
    told_before: int
    first_s: int
    last_s: int
    lasts_s: float | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay.

    Attributes:
        id: of the replay.
        folder: with its journals and its report.
        fresh: False where it had been finished before.
        report: what was measured.
        publication: who was told of it.
    """

    id: str
    folder: Path
    fresh: bool
    report: Report
    publication: Publication


def replay(
    version: str | Path | None = None,
    *,
    split: Literal["eval", "test"] = "eval",
    against: str | None = None,
    arms: Sequence[str] = (),
    speed: float | None = None,
    max_gap_s: float | None = None,
    rate: float | None = None,
    as_fast_as_possible: bool = False,
    order: Order = "user",
    users: int | None = None,
    limit: int | None = None,
    since: str | None = None,
    until: str | None = None,
    k: int = 10,
    include_seen: bool = False,
    connections: int | None = None,
    workers: int = 1,
    time_limit_s: float = 10.0,
    patience_s: float = 60.0,
    seed: int = 0,
    token_file: Path | None = None,
    out: Path | None = None,
    again: bool = False,
    dry_run: bool = False,
    track: bool | None = None,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = "matinee-data",
    lineage: Recorder | None = None,
    show: Callable[[dict[str, Any]], None] | None = None,
    progress: Progress | None = None,
) -> Replayed | Preview:
    """Play the people of a split as live traffic through one or more served models; docs/replay.md has the rules.

    The same words again go on with a replay that was stopped or killed, or find that it is done.

    Args:
        version: a folder, a data set's name, an id or its beginning, or name@id; what is not in `data_dir` is pulled
            from the store. None is the newest version in `data_dir`.
        split: whose events are played; what lies before it has happened already.
        against: the address of a server (http://...), or a model, for which a server is started.
        arms: several of them, each as 'name=URL' or 'name=MODEL'.
        speed: events are due as the log says, so many times faster.
        max_gap_s: the longest pause between two events, with `speed`.
        rate: events are due at so many per second.
        as_fast_as_possible: events are due as soon as a connection is free; so it is without `speed` and `rate`, too.
        order: 'user' asks about an event when the person's event before it was told, 'log' when all before it were.
        users: so many people, drawn by the seed; None is all.
        limit: the first so many events.
        since: a date or Unix seconds; events before it are told and not asked about.
        until: a date or Unix seconds; events from it on are left out.
        k: length of a list.
        include_seen: leave the items of a history in the lists.
        connections: to each server; None is 32, and 128 where events are due at moments of their own.
        workers: processes of each server that is started.
        time_limit_s: of a question; after that it is unanswered.
        patience_s: how long an event is told again before the replay gives up.
        seed: of draws.
        token_file: with the token of servers that run already.
        out: the replay's folder; None is one below `replays` in `data_dir`.
        again: begin anew although the same replay is there.
        dry_run: only say what would be played.
        track: log the report in MLflow and publish it beside the version: True starts the stack of `data_dir` for
            that, None tells the services that run, False nobody.
        store: where a version is pulled from and its report goes; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: whose versions, models and stack are meant, and where replays are kept.
        lineage: told of the stage; None records nothing.
        show: called about once a second with what is known so far, as in `live.json`.
        progress: told of every phase.

    Returns:
        What was measured; with `dry_run` what would be played.

    Raises:
        UsageError: values that exclude each other or cannot be.
        VersionError, ModelError: there is no such version or model, or they do not belong together.
        ReplayError: a server does not start, answer, or take events.
        ServiceError, StoreError, DiskFullError: a service does not start, a store does not answer, no space.
        KeyboardInterrupt: it was stopped; what had begun was done.
    """
    from matinee.schema.transform_settings import parse_instant  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.train.find import find_version_folder  # noqa: PLC0415 - as above
    from matinee.version import open_version  # noqa: PLC0415 - as above

    progress, data_dir = progress or Silent(), Path(data_dir)
    if as_fast_as_possible and (speed is not None or rate is not None):
        raise UsageError("as fast as possible excludes a speed and a rate")
    folder = find_version_folder(version, data_dir, store=store, endpoint=endpoint, progress=progress)
    opened = open_version(folder)
    arrivals = Arrivals(speed, max_gap_s, rate)
    plan = Plan(
        dataset=opened.name,
        version=opened.id,
        version_sha256=opened.sha256,
        split=split,
        arrivals=arrivals,
        order=order,
        users=users,
        since_s=None if since is None else parse_instant(since),
        until_s=None if until is None else parse_instant(until),
        limit=limit,
        k=k,
        exclude_seen=not include_seen,
        connections=arrivals.connections if connections is None else connections,
        time_limit_s=time_limit_s,
        patience_s=patience_s,
        seed=seed,
    )
    chosen = _chosen(against, arms, data_dir, progress)
    if dry_run:
        return _preview(opened, plan, chosen, workers)
    stage = _Stage(opened, plan, chosen, data_dir.expanduser().absolute(), lineage, show, progress)
    done = stage.run(out=out, again=again, workers=workers, token_file=token_file)
    return stage.publish(done, track=track, store=store, endpoint=endpoint)


class _Stage:
    """A replay on its way to its report."""

    def __init__(
        self,
        version: Version,
        plan: Plan,
        arms: Sequence[Against],
        data_dir: Path,
        lineage: Recorder | None,
        show: Callable[[dict[str, Any]], None] | None,
        progress: Progress,
    ) -> None:
        self.version, self.plan, self.arms, self.data_dir = version, plan, arms, data_dir
        self.lineage, self.show, self.progress = lineage, show, progress
        self.begun: Begun | None = None
        self.recorded = ExitStack()  # from the moment that a session begins until its report is made
        self.recorded_run: Run | None = None

    def run(self, *, out: Path | None, again: bool, workers: int, token_file: Path | None) -> Replayed:
        """Play what is not played, and report on all of it."""
        with self.recorded:
            done = self._run(out=out, again=again, workers=workers, token_file=token_file)
        if self.lineage is not None and not done.publication.recorded:
            done = replace(done, publication=replace(done.publication, recorded=True))
            done.publication.write(done.folder)
        return done

    def publish(self, done: Replayed, *, track: bool | None, store: str | None, endpoint: str | None) -> Replayed:
        """Tell those who keep reports, unless they have it."""
        from matinee.publish_report import publish_report  # noqa: PLC0415 - see replay

        publication = publish_report(
            done.report,
            self.version,
            track=track,
            store=store,
            endpoint=endpoint,
            data_dir=self.data_dir,
            lineage=self.lineage,
            progress=self.progress,
        )
        return replace(done, publication=publication)

    def _run(self, *, out: Path | None, again: bool, workers: int, token_file: Path | None) -> Replayed:
        from matinee.publish_report import Publication  # noqa: PLC0415 - see replay
        from matinee.replay.report import REPORT  # noqa: PLC0415 - as above
        from matinee.replay.stage import play  # noqa: PLC0415 - as above
        from matinee.serve.address import read_token  # noqa: PLC0415 - as above

        try:
            played = play(
                self.version,
                self.plan,
                self.arms,
                data_dir=self.data_dir,
                out=out,
                again=again,
                workers=workers,
                token=None if token_file is None else read_token(token_file),
                watch=self.watch,
                progress=self.progress,
            )
        except ReplayError:
            if self.begun:
                with suppress(MatineeError):  # the first error is the one to be told
                    self.report(self.begun.folder, self.begun.stream)
            raise
        report = self.report(played.folder, played.stream)
        known = Publication.read(played.folder, report.sha256[REPORT])
        return Replayed(played.record.id, played.folder, played.stream is not None, report, known)

    @contextmanager
    def watch(self, begun: Begun) -> Iterator[None]:
        """Whoever looks on sees the replay in its `live.json`."""
        from matinee.replay.live import Live  # noqa: PLC0415 - see replay

        self.begun = begun
        self._record([arm.as_json() for arm in begun.record.arms])
        with Live(begun, show=self.show, progress=self.progress):
            yield

    def report(self, folder: Path, stream: Stream | None) -> Report:
        """The report in the replay's folder, and the lineage's record of it; what is there already is left alone."""
        from matinee.publish_report import Publication, report_artifact  # noqa: PLC0415 - see replay
        from matinee.replay.report import REPORT, make_report  # noqa: PLC0415 - as above
        from matinee.replay.stream import read_stream  # noqa: PLC0415 - as above

        report = _finished_report(folder) if stream is None else None
        if report is not None and Publication.read(folder, report.sha256[REPORT]).recorded:
            return report
        if report is None:
            time_unit = "row" if self.version.certificate.reading.time_unit == "row" else "s"
            stream = stream or read_stream(self.version, self.plan)
            report = make_report(folder, stream, time_unit=time_unit, progress=self.progress)
        served = [arm["served"] for arm in report.facts["arms"].values()]
        self._record(served).add_output(report_artifact(report, self.version))
        return report

    def _record(self, served: Sequence[dict[str, str]]) -> Run:
        """The run of this replay in the lineage, begun when it is first asked for."""
        from matinee.lineage import Artifact, Recorder  # noqa: PLC0415 - see replay
        from matinee.publish_report import checkpoints  # noqa: PLC0415 - as above

        if self.recorded_run is None:
            inputs = [Artifact.of_folder(self.version.folder), *checkpoints(served, self.version)]
            stage = (self.lineage or Recorder(None)).stage("replay", inputs)
            self.recorded_run = self.recorded.enter_context(stage)
        return self.recorded_run


def _finished_report(folder: Path) -> Report | None:
    """The report that was made when the replay had ended; None where that was killed, or it was made too early."""
    from matinee.replay.folder import FINISHED  # noqa: PLC0415 - see replay
    from matinee.replay.report import FILES, read_report  # noqa: PLC0415 - as above

    if not all((folder / name).exists() for name in FILES):
        return None
    report = read_report(folder)
    return report if report.facts["state"] == FINISHED else None


def _chosen(against: str | None, arms: Sequence[str], data_dir: Path, progress: Progress) -> list[Against]:
    """Whom to play against."""
    words = [] if against is None else [("", against)]
    for word in arms:
        name, mark, what = word.partition("=")
        if not (name and mark and what):
            raise UsageError(f"arm {word!r}: expected NAME=URL or NAME=MODEL")
        words.append((name, what))
    return [_against(name, what, data_dir, progress) for name, what in words]


def _against(name: str, what: str, data_dir: Path, progress: Progress) -> Against:
    from matinee.replay.address import Address, is_url  # noqa: PLC0415 - see replay
    from matinee.replay.against import Against  # noqa: PLC0415 - as above
    from matinee.train.find import find_model_folder  # noqa: PLC0415 - as above

    if is_url(what):
        return Against(name or "server", url=Address.of(what).url)
    return Against.model(name, find_model_folder(what, data_dir, progress=progress))


def _preview(version: Version, plan: Plan, arms: Sequence[Against], workers: int) -> Preview:
    import numpy as np  # noqa: PLC0415 - see replay

    from matinee.replay.clock import due_us  # noqa: PLC0415 - as above
    from matinee.replay.stage import check  # noqa: PLC0415 - as above
    from matinee.replay.stream import read_stream  # noqa: PLC0415 - as above

    check(version, arms, workers)
    stream = read_stream(version, plan)
    times_s = stream.times_s[stream.asked_from :]
    return Preview(
        plan=plan,
        arms={arm.name: arm.url or str(arm.folder) for arm in arms},
        events=stream.asked,
        people=int(np.unique(stream.users[stream.asked_from :]).size),
        told_before=stream.asked_from,
        first_s=int(times_s[0]),
        last_s=int(times_s[-1]),
        lasts_s=float(due_us(times_s, plan.arrivals)[-1]) / 1e6 if plan.arrivals.is_open_loop else None,
    )
