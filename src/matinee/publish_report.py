"""What becomes of a finished report: the lineage records it, MLflow gets a run, the store gets its files; each once.

The replay's folder is the truth. `published.json` there says who has got what; what is lacking is sent when the same
words are said again.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from matinee.errors import (
    DatabaseError,
    ServiceError,
    StoreError,
    TrackingError,
    UsageError,
    VersionConflictError,
    VersionNotFoundError,
)
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matinee.lineage import Artifact, Recorder
    from matinee.replay.report import Report
    from matinee.stack import Stack
    from matinee.version import Version

__all__ = ["PUBLISHED", "Publication", "checkpoints", "publish_report", "report_artifact"]

PUBLISHED: Final = "published.json"
_LACKING: Final = (
    DatabaseError,
    ServiceError,
    StoreError,
    TrackingError,
    UsageError,
    VersionConflictError,
    VersionNotFoundError,
)


@dataclass(frozen=True, slots=True)
class Publication:
    """Who has got a report.

    Attributes:
        report_sha256: of the report.json that is meant.
        recorded: whether the lineage tells of it.
        page: of its run in MLflow; empty where MLflow has not got all of it.
        location: of its folder in the store; empty as `page`.
    """

    report_sha256: str
    recorded: bool = False
    page: str = ""
    location: str = ""

    @classmethod
    def read(cls, folder: Path, report_sha256: str) -> Self:
        """What a replay's folder says of this very report."""
        with suppress(OSError, ValueError, TypeError):
            found = cls(**json.loads((folder / PUBLISHED).read_bytes()))
            if found.report_sha256 == report_sha256:
                return found
        return cls(report_sha256)

    def write(self, folder: Path) -> None:
        """Say so in the replay's folder."""
        from matinee.model.atomic import write_atomically  # noqa: PLC0415 - `import matinee` must stay light

        write_atomically(folder / PUBLISHED, (json.dumps(asdict(self), indent=2) + "\n").encode())


def publish_report(
    report: Report,
    version: Version,
    *,
    track: bool | None = None,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: Path,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Publication:
    """Tell MLflow and the store of the report of a finished replay, each unless it has got it already.

    Whoever cannot be told costs a line, and nothing else: the report is whole.

    Args:
        report: of the replay; one that is not finished yet is told to nobody.
        version: that was replayed.
        track: True starts MLflow and the store of `data_dir` where they do not run, None tells those that run, False
            tells nobody.
        store: to publish to, beside the version; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: whose stack is meant.
        lineage: told of what was done; None records nothing.
        progress: told of it.

    Raises:
        DiskFullError, LineageError: no space left, or no event can be written.
    """
    progress = progress or Silent()
    known = Publication.read(report.folder, report.sha256["report.json"])
    if track is False or report.facts["state"] != "finished":
        return known
    up = _up(data_dir) if track is None else frozenset({"mlflow", "postgres", "s3"})
    teller = _Teller(report, version, data_dir, lineage, progress)
    with ExitStack() as services:
        if not known.page and {"mlflow", "postgres"} <= up:
            page = teller.told("MLflow", lambda: teller.track(services))
            known = teller.remembered(replace(known, page=page), known)
        if not known.location and (store is not None or "s3" in up):
            location = teller.told("the store", lambda: teller.send(store, endpoint))
            known = teller.remembered(replace(known, location=location), known)
    return known


def report_artifact(report: Report, version: Version) -> Artifact:
    """The report as the lineage knows it."""
    from matinee.lineage import Artifact  # noqa: PLC0415 - see Publication.write

    return Artifact.of_report(
        report.folder,
        [*report.sha256],
        name=report.facts["id"],
        version=version.id,
        source_sha256=version.manifest.source.sha256,
    )


def checkpoints(served: Iterable[dict[str, str]], version: Version) -> list[Artifact]:
    """The models of a replay's arms as the lineage knows them; those behind an address are not known."""
    from matinee.lineage import Artifact  # noqa: PLC0415 - see Publication.write

    return [
        Artifact(
            kind="checkpoint",
            name=Path(arm["folder"]).name,
            location=arm["folder"],
            sha256=arm["checkpoint_sha256"],
            version=version.id,
            source_sha256=version.manifest.source.sha256,
        )
        for arm in served
        if arm["checkpoint_sha256"]
    ]


class _Teller:
    """Tells of one report."""

    def __init__(
        self, report: Report, version: Version, data_dir: Path, lineage: Recorder | None, progress: Progress
    ) -> None:
        from matinee.lineage import Recorder  # noqa: PLC0415 - see Publication.write

        self.report, self.version, self.data_dir = report, version, data_dir
        self.lineage, self.progress = lineage or Recorder(None), progress
        self.artifact = report_artifact(report, version)

    def told(self, who: str, tell: Callable[[], str]) -> str:
        """Where it is now that somebody was told; or nowhere, and why not."""
        try:
            return tell()
        except _LACKING as error:
            self.progress.say(f"the report is whole, and the same words send {who} what it lacks ({error})")
            return ""

    def remembered(self, now: Publication, before: Publication) -> Publication:
        """Written down where anything is new."""
        if now != before:
            now.write(self.report.folder)
        return now

    def track(self, services: ExitStack) -> str:
        """MLflow's run; the address of its page."""
        from matinee.database import alone  # noqa: PLC0415 - only where somebody is told
        from matinee.stack import running  # noqa: PLC0415 - as above
        from matinee.train.track_replay import log_report  # noqa: PLC0415 - MLflow takes seconds to import

        stack: Stack = services.enter_context(running(self.data_dir, ["postgres", "mlflow"], progress=self.progress))
        facts = self.report.facts
        self.progress.start("track", None, "files")
        try:
            with (
                self.lineage.stage("track", [self.artifact]) as run,
                # MLflow has no way to make a run only where there is none: one of us at a time looks, and makes it.
                alone(stack.postgres_url, f"track {facts['id']}"),
            ):
                page = log_report(facts, self.report.folder, self.report.sha256, self.version, stack.mlflow_url)
                run.add_output(self.artifact.tracked(page.replace("/#/", "/")))
        finally:
            self.progress.finish()
        return page

    def send(self, store: str | None, endpoint: str | None) -> str:
        """The files in the store, beside the version; where."""
        from matinee.place import open_place  # noqa: PLC0415 - only where somebody is told
        from matinee.store import publish_report as send_report  # noqa: PLC0415 - as above

        facts = self.report.facts
        with (
            open_place(store, endpoint, self.data_dir) as opened,
            self.lineage.stage("publish", [self.artifact, *checkpoints(self._served, self.version)]) as run,
        ):
            sent = send_report(
                self.report.folder,
                self.report.sha256,
                dataset=self.version.name,
                version=self.version.id,
                replay=facts["id"],
                store=opened,
                progress=self.progress,
            )
            run.add_output(replace(self.artifact, location=sent.location))
        return sent.location

    @property
    def _served(self) -> list[dict[str, str]]:
        return [arm["served"] for arm in self.report.facts["arms"].values()]


def _up(data_dir: Path) -> frozenset[str]:
    """Services of the stack that run and answer; none where there is no stack."""
    from matinee.stack.status import status  # noqa: PLC0415 - only where somebody may be told

    try:
        return frozenset(service.name for service in status(data_dir=data_dir).services if service.state == "healthy")
    except ServiceError:
        return frozenset()
