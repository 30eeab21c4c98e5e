"""The loop closes: events that were told to a server become the next version, behind what had happened before."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import SourceNotFoundError, TooManyRejectsError, UsageError
from matinee.etl.options import settings_from_options
from matinee.etl.staging import scratch
from matinee.place import DATA_DIR, find_version_folder
from matinee.schema.layout import RAW, SPLITS, VERSIONS
from matinee.schema.manifest import version_id
from matinee.schema.progress import Progress, Silent
from matinee.schema.transform_settings import parse_instant
from matinee.sizes import parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matinee.etl.foresee import Foreseen
    from matinee.etl.told_archive import ToldArchive
    from matinee.etl.transform import LocalVersion
    from matinee.lineage import Recorder, Run
    from matinee.schema.certificate import Certificate
    from matinee.schema.layout import Split
    from matinee.schema.transform_settings import SplitKind, Ties, TransformSettings
    from matinee.version import Version

__all__ = ["NextVersion", "from_events", "from_events_in"]


@dataclass(frozen=True, slots=True)
class NextVersion:
    """What came of events told; after a dry run, what would come.

    Attributes:
        version, dataset: the new version's id, and its data set's name.
        folder: where it is; None after a dry run.
        base, past: the id of the version that it goes on from, and the last split of that which is in it.
        log, place: the log of told events, and the place in it up to which events are in.
        told: events of the log that were read.
        rejected: of these, those with ids that the version cannot hold.
        repeats: exact repeats of an earlier event, of the base or told.
        events: of the new version in all.
        users, items: its id maps.
        new_users, new_items: of these, those that the base has not.
        certificate: of the new version; None after a dry run.
        fresh: False where it was there already.
    """

    version: str
    dataset: str
    folder: Path | None
    base: str
    past: str
    log: str
    place: int
    told: int
    rejected: int
    repeats: int
    events: int
    users: int
    items: int
    new_users: int
    new_items: int
    certificate: Certificate | None
    fresh: bool


def from_events(
    version: str | Path | None = None,
    *,
    rehearsal: str | None = None,
    past: Split | None = None,
    until: str | int | None = None,
    until_place: int | None = None,
    out: str | Path | None = None,
    split: SplitKind = "time",
    fractions: str | Sequence[float | str] = "0.5,0.25,0.25",
    cut: Sequence[str | int] = (),
    rolling: int = 0,
    ties: Ties = "input",
    seed: int = 0,
    max_reject_share: float = 0.001,
    raw: bool = True,
    dry_run: bool = False,
    memory_limit: str | int | None = None,
    temp_dir: str | Path | None = None,
    workers: int | None = None,
    force: bool = False,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> NextVersion:
    """Turn the events told to a server into the next version: those of the base that had happened, then those told.

    The base's ids stay what they are; new users and items come behind them. The same log and settings give the same
    version, and one that is there is not made again. docs/format.md, section 10, has the rules.

    Args:
        version: the base: a folder, a data set's name, an id or its beginning, or name@id; None is the newest one.
        rehearsal: whose events; None is the data set's own log.
        past: the last split of the base that had happened when the server started, as with `serve`; None is 'train',
            and 'test' where the base has events of the same log.
        until: take the log up to its first event of this moment or later: a date or Unix seconds.
        until_place: take the log up to this place.
        out: the version's folder; None is `versions/<data set>/<id>` in `data_dir`.
        split: see `transform`, and so are the next seven.
        fractions: see there.
        cut: see there.
        rolling: see there.
        ties: see there.
        seed: see there.
        max_reject_share: events allowed whose ids the version cannot hold, as a share of those told.
        raw: keep the events told inside the version.
        dry_run: read everything and count, and write no version.
        memory_limit: see `transform`, and so are the next three.
        temp_dir: where the events told wait meanwhile; None is `data_dir`.
        workers: see there.
        force: see there.
        store: where a base is pulled from that is not here; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store.
        data_dir: whose Postgres and versions are meant.
        lineage: told of the stage; None records nothing.
        progress: told of the phases.

    Raises:
        UsageError: an option says nothing, or options exclude each other.
        VersionError: there is no such base, it is damaged, or `out` holds something else.
        SourceError: nothing was told, or events that such a version cannot hold.
        ServiceError, DatabaseError, StoreError, DiskFullError: a service does not start or answer, no space.
    """
    settings = settings_from_options(
        name="unnamed",
        split=split,
        fractions=fractions,
        cut=cut,
        rolling=rolling,
        ties=ties,
        seed=seed,
        max_reject_share=max_reject_share,
        raw=raw,
        time_unit="s",
    )
    if past is not None and past not in SPLITS:
        raise UsageError(f"--past {past}: expected one of {', '.join(SPLITS)}")
    moment = None if until is None else parse_instant(str(until))
    limit_bytes = None if memory_limit is None else parse_size_bytes(str(memory_limit), "--memory-limit")
    from matinee.stack import running  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.stack.folders import Folders  # noqa: PLC0415 - as above

    data_dir = Path(data_dir)
    folder = find_version_folder(version, data_dir, store=store, endpoint=endpoint, progress=progress)
    if not Folders.of(data_dir).postgres.is_dir():
        raise SourceNotFoundError(
            f"{data_dir}: has no Postgres, so nothing was ever told there; run 'matinee serve', or name the --data-dir "
            "of a server"
        )
    with running(data_dir, ["postgres"], progress=progress) as stack:
        return from_events_in(
            stack.postgres_url,
            folder,
            settings,
            rehearsal=rehearsal,
            past=past,
            until=moment,
            until_place=until_place,
            out=Path(out) if out else None,
            dry_run=dry_run,
            memory_limit_bytes=limit_bytes,
            temp_dir=Path(temp_dir) if temp_dir else None,
            workers=workers,
            force=force,
            data_dir=data_dir,
            lineage=lineage,
            progress=progress,
        )


def from_events_in(
    database_url: str,
    folder: Path,
    settings: TransformSettings,
    *,
    rehearsal: str | None = None,
    past: Split | None = None,
    until: int | None = None,
    until_place: int | None = None,
    out: Path | None = None,
    dry_run: bool = False,
    memory_limit_bytes: int | None = None,
    temp_dir: Path | None = None,
    workers: int | None = None,
    force: bool = False,
    data_dir: Path = DATA_DIR,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> NextVersion:
    """`from_events` with a Postgres that runs and the base in `folder`; the name in `settings` is the base's."""
    from matinee.etl.base import Base, is_rated  # noqa: PLC0415 - it brings Numba and pyarrow
    from matinee.etl.foresee import Foreseen, foresee  # noqa: PLC0415 - as above
    from matinee.etl.told_archive import fetch_told  # noqa: PLC0415 - it brings the driver of Postgres
    from matinee.etl.transform import transform  # noqa: PLC0415 - as Base
    from matinee.lineage import Recorder  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.version import open_version  # noqa: PLC0415 - as above

    version, progress = open_version(folder), progress or Silent()
    log = version.name if rehearsal is None else f"{version.name}/{rehearsal}"
    recorder = Recorder(None) if lineage is None or dry_run else lineage
    with recorder.stage("from-events") as run, scratch(temp_dir or data_dir, "told") as waiting:
        fetched = fetch_told(
            database_url,
            version,
            waiting,
            log=log,
            past=past,
            until=until,
            until_place=until_place,
            rated=is_rated(version),
            progress=progress,
        )
        settings = replace(settings, name=version.name, columns=fetched.archive.columns, separator=",")
        base = Base(version, fetched.base)
        identity = version_id(fetched.archive.sha256, settings, fetched.base)
        with _told_of(log, version):
            if dry_run:
                seen = foresee(fetched.archive.path, settings, base, waiting, memory_limit_bytes, progress)
                return _result(identity, fetched, seen)
            made = transform(
                fetched.archive,
                out or data_dir / VERSIONS / version.name / identity,
                settings,
                base=base,
                memory_limit_bytes=memory_limit_bytes,
                temp_dir=temp_dir,
                workers=workers,
                force=force,
                progress=progress,
            )
        _record(run, version, fetched, made)
    return _result(identity, fetched, Foreseen.of(made.manifest, made.certificate), made)


@contextmanager
def _told_of(log: str, version: Version) -> Iterator[None]:
    """Too many events that cannot be read have a likely reason here."""
    try:
        yield
    except TooManyRejectsError as error:
        kinds = f"{version.manifest.users.kind} users and {version.manifest.items.kind} items"
        raise TooManyRejectsError(
            f"{log}: {str(error).partition(';')[0]}; version {version.id} has {kinds}: name the version that the log "
            "was told of, or raise --max-reject-share"
        ) from None


def _record(run: Run, version: Version, fetched: ToldArchive, made: LocalVersion) -> None:
    """What the stage read and made: the log in the database, the base, the archive, the version."""
    from matinee.lineage import Artifact  # noqa: PLC0415 - see from_events_in

    archive, source = fetched.archive, made.manifest.source
    kept = made.folder.absolute() / RAW / source.archive
    run.add_input(Artifact("source", source.name, fetched.place, archive.sha256, archive.size))
    run.add_input(Artifact.of_folder(version.folder))
    run.add_output(
        Artifact("archive", source.name, str(kept) if kept.is_file() else fetched.place, archive.sha256, archive.size)
    )
    run.add_output(Artifact.of_folder(made.folder.absolute()))


def _result(identity: str, fetched: ToldArchive, seen: Foreseen, made: LocalVersion | None = None) -> NextVersion:
    base, told = fetched.base, fetched.told
    return NextVersion(
        version=identity,
        dataset=fetched.archive.name,
        folder=made.folder if made else None,
        base=base.version,
        past=base.past,
        log=base.log,
        place=told.place,
        told=told.events,
        rejected=seen.rejected,
        repeats=seen.repeats,
        events=seen.events,
        users=seen.users,
        items=seen.items,
        new_users=seen.users - base.users,
        new_items=seen.items - base.items,
        certificate=made.certificate if made else None,
        fresh=made.fresh if made else True,
    )
