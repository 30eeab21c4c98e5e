"""The three stages as people call them: options as texts, a lineage record of each, the same on every way in.

`matinee.extract`, `matinee.transform` and `matinee.load` are these functions, and the commands of the same names call
them. What they call (`etl.extract`, `etl.transform`, `store.publish`) is imported when a stage runs.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from matinee.errors import UsageError
from matinee.etl.catalogue import CATALOGUE
from matinee.etl.options import settings_from_options
from matinee.lineage import Artifact, Recorder
from matinee.schema.progress import Progress, Silent
from matinee.sizes import parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from matinee.etl.extract import Archive
    from matinee.etl.transform import LocalVersion
    from matinee.lineage import Run
    from matinee.schema.transform_settings import IdKind, SplitKind, Ties, TimeUnit, TransformSettings
    from matinee.store import Published

__all__ = ["Engine", "extract", "is_local", "load", "settings_for", "transform"]

Engine = Literal["local", "spark"]


def extract(
    source: str | Path,
    *,
    out: str | Path | None = None,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Archive:
    """Fetch a source's archive and hash it; one that is here already, whole, is not fetched again.

    Args:
        source: a catalogue name, a path, a URL, or remote:path of rclone.
        out: the folder for the archive; None is `matinee-data/archives`, and leaves a local file where it is.
        lineage: told of the stage; None records nothing.
        progress: told of the bytes.

    Raises:
        SourceError: there is no such source, it does not answer, or its bytes are not the published ones.
    """
    from matinee.etl.extract import extract as fetch  # noqa: PLC0415 - it brings the HTTP client

    try:
        archive = fetch(source, Path(out) if out else None, progress=progress)
    except BaseException:
        with _recorded(lineage, "extract"):
            raise
    if not _is_told(lineage, archive):
        with _recorded(lineage, "extract") as run:
            run.add_input(Artifact("source", archive.name, archive.origin, archive.sha256, archive.size))
            run.add_output(_archive_artifact(archive))
    return archive


def transform(
    source: str | Path | Archive,
    *,
    out: str | Path,
    name: str | None = None,
    split: SplitKind = "time",
    fractions: str | Sequence[float | str] = "0.5,0.25,0.25",
    ties: Ties = "input",
    seed: int = 0,
    memory_limit: str | int | None = None,
    temp_dir: str | Path | None = None,
    columns: str | Mapping[str, str | int] = "",
    sep: str = "",
    member: str = "",
    cut: Sequence[str | int] = (),
    rolling: int = 0,
    ids: IdKind = "auto",
    time_unit: TimeUnit = "auto",
    max_reject_share: float = 0.001,
    min_rating: float | None = None,
    since: str | int | None = None,
    until: str | int | None = None,
    min_user_events: int = 0,
    min_item_events: int = 0,
    raw: bool = True,
    force: bool = False,
    workers: int | None = None,
    engine: Engine = "local",
    master: str = "",
    archives: str | Path | None = None,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> LocalVersion:
    """Turn a source into a version in the folder `out`; one that is there already, complete, is not made again.

    Args:
        source: what `extract` takes, or the archive it gave.
        out: the version's folder.
        name: the data set's name; None is the source's stem.
        split: 'time', 'leave-one-out', 'ratio' (both per user) or 'random'.
        fractions: shares of train, eval and test, exact decimals that sum to 1.
        ties: 'input' keeps the order of events that share a second, 'shuffle' mixes them by `seed`.
        seed: of shuffled ties and of the random split.
        memory_limit: '1GB', '512MiB' or bytes; None is a quarter of what the process may use. It changes no byte.
        temp_dir: where what does not fit is spilled; None is beside `out`.
        columns: 'user=userId,item=movieId,rating=rating,time=timestamp', names or 0-based positions; '' detects them.
        sep: the column separator; '' detects it.
        member: the archive member to read; '' lets the archive decide.
        cut: two instants, the first of eval and of test, instead of `fractions`: dates or Unix seconds.
        rolling: number of rolling folds to record.
        ids: 'integer' or 'string'; 'auto' looks at the first rows.
        time_unit: 's', 'ms', 'us' or 'ns'; 'auto' recognises it.
        max_reject_share: unreadable rows allowed, as a share of all rows.
        min_rating: drop events rated below it, or not rated.
        since: drop events before it, a date or Unix seconds.
        until: drop events at or after it.
        min_user_events: drop users with fewer, until it holds together with `min_item_events`.
        min_item_events: drop items with fewer.
        raw: keep the archive inside the version.
        force: make the version again although it is there.
        workers: processor cores to use; None is all.
        engine: 'local' is this machine, 'spark' a Spark cluster; the bytes are the same.
        master: of the cluster, as in spark://host:7077; its workers reach the source and `out` under the same paths.
        archives: where a fetched source goes; see `extract`.
        lineage: told of the stages; None records nothing.
        progress: told of the phases.

    Raises:
        UsageError: an option says nothing, or options exclude each other.
        SourceError: the log or its archive cannot be read.
        VersionConflictError: `out` holds something else.
        DiskFullError: no space left for the spill or the result.
        SparkError: the cluster does not answer, or a job on it failed.
    """
    _check_engine(engine, master)
    limit_bytes = parse_size_bytes(str(memory_limit), "--memory-limit") if memory_limit is not None else None
    # Before anything is fetched: a mistake in an option should not cost a download.
    settings = settings_from_options(
        name=name or "unnamed",
        split=split,
        fractions=fractions,
        ties=ties,
        seed=seed,
        columns=columns,
        sep=sep,
        member=member,
        cut=cut,
        rolling=rolling,
        ids=ids,
        time_unit=time_unit,
        max_reject_share=max_reject_share,
        min_rating=min_rating,
        since=since,
        until=until,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        raw=raw,
    )
    if isinstance(source, str | Path):
        # A local file is read where it lies; extract would copy it to the folder it is given.
        source = extract(source, out=None if is_local(source) else archives, lineage=lineage, progress=progress)
    settings = settings_for(source, replace(settings, name=name or source.name))
    from matinee.etl.transform import transform as make  # noqa: PLC0415 - it brings Numba and pyarrow

    with _recorded(lineage, "transform") as run:
        version = make(
            source,
            Path(out),
            settings,
            memory_limit_bytes=limit_bytes,
            temp_dir=Path(temp_dir) if temp_dir else None,
            workers=workers,
            force=force,
            spark=master,
            progress=progress or Silent(),
        )
        run.add_input(_archive_artifact(source))
        run.add_output(Artifact.of_folder(version.folder.absolute()))
    return version


def _check_engine(engine: str, master: str) -> None:
    """Before anything is fetched or hashed: engine and master belong together, and PySpark is there.

    Raises:
        UsageError: they do not, or it is not.
    """
    if engine not in get_args(Engine):
        raise UsageError(f"--engine {engine!r}: expected one of {', '.join(get_args(Engine))}")
    if engine == "local" and master:
        raise UsageError(f"--master {master}: only --engine spark has one; add it, or leave --master out")
    if engine == "spark" and not master:
        raise UsageError("--engine spark: expected --master too, as in --master spark://host:7077")
    if engine == "spark" and find_spec("pyspark") is None:
        raise UsageError("--engine spark: PySpark is not installed; pip install 'matinee[spark]'")


def is_local(source: str | Path) -> bool:
    """Whether a source is a file of this machine, rather than something that is fetched."""
    if isinstance(source, Path):
        return True
    return source not in CATALOGUE and "://" not in source and Path(source).exists()


def settings_for(archive: Archive, settings: TransformSettings | None = None) -> TransformSettings:
    """The settings (default: those of `transform` without options) with what they leave open filled from the archive.

    With them the version's id is known before any work is done.
    """
    settings = settings or settings_from_options(name=archive.name)
    return replace(
        settings,
        columns=settings.columns or tuple(archive.columns),
        separator=settings.separator or archive.separator,
        member=settings.member or archive.member,
    )


def load(
    folder: str | Path,
    *,
    to: str,
    endpoint: str | None = None,
    recheck: bool = False,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Published:
    """Publish the version in `folder` to a store, verify it there, and make it the latest.

    Args:
        folder: a version's folder, as `transform` made it.
        to: a folder, an rclone remote:path, or s3://bucket.
        endpoint: of s3://; keys come from the environment.
        recheck: read back a version that is there already, too, and send again what is not right.
        lineage: told of the stage; None records nothing.
        progress: told of the bytes.

    Raises:
        VersionError: there is no complete version in `folder`, or the store has other bytes under its id.
        StoreError: the store does not answer, or says no.
    """
    from matinee.etl.load import load as publish  # noqa: PLC0415 - it brings the HTTP client that speaks to rclone

    return publish(Path(folder), to, endpoint=endpoint, recheck=recheck, lineage=lineage, progress=progress)


def _recorded(lineage: Recorder | None, job: str) -> AbstractContextManager[Run]:
    """The stage's record; one that goes nowhere without a recorder."""
    return (lineage or Recorder(None)).stage(job)


def _is_told(lineage: Recorder | None, archive: Archive) -> bool:
    """Whether an event tells of this archive in this place already.

    An archive that is found where it was changes nothing, and to tell of it costs the OpenLineage client's import: more
    than all else in a run that has nothing to do.
    """
    if lineage is None or lineage.path is None or not lineage.path.is_file():
        return False
    place = json.dumps(archive.path.absolute().as_posix())[1:-1]
    with lineage.path.open(encoding="utf-8") as events:
        return any(archive.sha256 in line and place in line and '"COMPLETE"' in line for line in events)


def _archive_artifact(archive: Archive) -> Artifact:
    return Artifact("archive", archive.name, str(archive.path.absolute()), archive.sha256, archive.size)
