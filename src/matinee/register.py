"""Register: a version becomes known to the stack's services, Postgres and MLflow, once it has been checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import VersionDamagedError
from matinee.schema.manifest import Manifest
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from matinee.lineage import Artifact, Recorder
    from matinee.stack import Stack

__all__ = ["Registered", "register", "register_in"]


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of registering a version.

    Attributes:
        id, dataset: the version's id, and its data set's name.
        users, items: rows of each in Postgres.
        database: Postgres and its database, without user and password.
        experiment, run: ids in MLflow.
        page: the run's page there.
        unchanged: both knew it already.
    """

    id: str
    dataset: str
    users: int
    items: int
    database: str
    experiment: str
    run: str
    page: str
    unchanged: bool


def register(
    folder: str | Path,
    *,
    location: str | None = None,
    data_dir: str | Path = "matinee-data",
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Registered:
    """Check the version in `folder`, put its users and items into Postgres, and log it in MLflow.

    Both services are those of `data_dir`; they are started where they do not run, and stopped afterwards. What is done
    already is not done again, and whatever was killed on the way can be run again.

    Args:
        folder: a version's folder, as `transform` made it.
        location: where it was published; None leaves what is known of it.
        data_dir: whose stack is meant.
        lineage: told of the stage; None records nothing.
        progress: told of the phases.

    Raises:
        VersionError: there is no complete version in `folder`, its bytes are not what its manifest says, or Postgres
            has another one under its id.
        ServiceError, DatabaseError, TrackingError: a service does not start, does not answer, or refuses.
        DiskFullError: no space left for it.
    """
    from matinee.stack import running  # noqa: PLC0415 - `import matinee` imports this module and must stay light

    folder = Path(folder).absolute()
    Manifest.read(folder)  # before anything is started: no version, no stack
    with running(data_dir, ["postgres", "mlflow"], progress=progress) as stack:
        return register_in(stack, folder, location=location, lineage=lineage, progress=progress)


def register_in(
    stack: Stack,
    folder: Path,
    *,
    location: str | None = None,
    checked: bool = False,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Registered:
    """`register` in a stack that runs; `checked` says that the bytes were compared with the manifest just now."""
    from matinee.database import alone, fill  # noqa: PLC0415 - see register
    from matinee.lineage import Artifact, Recorder  # noqa: PLC0415 - as above
    from matinee.lineage.redact import without_credentials  # noqa: PLC0415 - as above
    from matinee.train.track import log_version  # noqa: PLC0415 - as above

    progress = progress or Silent()
    version = Artifact.of_folder(folder)
    location = without_credentials(location) if location else None
    with (lineage or Recorder(None)).stage("register", inputs=[version]) as run:
        if not (checked or _is_known(stack.postgres_url, version)):
            _check(folder, progress)
        filled = fill(stack.postgres_url, folder, location=location, progress=progress)
        # MLflow has no way to make a run only where there is none: one of us at a time looks, and makes it.
        with alone(stack.postgres_url, f"track {version.version}"):
            tracked = log_version(folder, stack.mlflow_url, location=location)
        database = f"{stack.postgres_address}/matinee"
        told = replace(version, kind="registered", columns=(), files=None, size_bytes=None)
        run.add_output(replace(told, location=database, rows=filled.users + filled.items))
        run.add_output(
            replace(told, location=f"{stack.mlflow_url}/experiments/{tracked.experiment}/runs/{tracked.run}", rows=None)
        )
    return Registered(
        id=filled.version,
        dataset=filled.dataset,
        users=filled.users,
        items=filled.items,
        database=database,
        experiment=tracked.experiment,
        run=tracked.run,
        page=tracked.url,
        unchanged=filled.unchanged and tracked.unchanged,
    )


def _is_known(url: str, version: Artifact) -> bool:
    """Whether Postgres has these very bytes registered; they were checked then."""
    from matinee.database import versions  # noqa: PLC0415 - see register
    from matinee.database.migrate import migrate  # noqa: PLC0415 - as above

    migrate(url)
    return any(known.manifest_sha256 == version.sha256 for known in versions(url, version.name))


def _check(folder: Path, progress: Progress) -> None:
    """Compare every byte with the manifest."""
    from matinee.lineage import LocalFiles  # noqa: PLC0415 - see register
    from matinee.lineage.files import check_files  # noqa: PLC0415 - as above

    findings = check_files(LocalFiles(folder), Manifest.read(folder), progress)
    if findings:
        more = f"; and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise VersionDamagedError(f"{folder}: {findings[0]}{more}; pull or transform it again")
