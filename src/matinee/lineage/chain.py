"""The chain from a source to versions, models and reports of replays: by manifests and events, checked byte by byte."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matinee.errors import LineageError, VersionError
from matinee.lineage import journal
from matinee.lineage.artifact import Artifact, Kind, address, files_digest
from matinee.lineage.base import base_link
from matinee.lineage.files import Finding, LocalFiles, State, VersionFiles, check_files, is_consistent
from matinee.lineage.link import Link, told, worst
from matinee.lineage.redact import without_credentials
from matinee.lineage.reported import reported_links
from matinee.lineage.trained import trained_links
from matinee.schema.layout import MANIFEST, RAW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matinee.lineage.files import FolderFiles
    from matinee.lineage.journal import RecordedRun
    from matinee.schema.manifest import Manifest
    from matinee.schema.progress import Progress

__all__ = ["Chain", "Link", "trace"]


@dataclass(frozen=True, slots=True)
class Chain:
    """All links of one version: where its log came from, where it went, what was trained on it, what was measured."""

    version: str
    name: str
    links: tuple[Link, ...]

    @property
    def whole(self) -> bool:
        """Nothing is missing or changed; a link that no event tells of breaks nothing."""
        return all(link.state in {"ok", "unrecorded"} for link in self.links)

    def verify(self) -> None:
        """Pass in silence, or say everything that is wrong.

        Raises:
            LineageError: names each missing or changed file with expected and found SHA-256.
        """
        if self.whole:
            return
        wrong = [f"{link.where}: {finding}" for link in self.links for finding in link.findings]
        places = ", ".join(link.kind for link in self.links if link.state in {"missing", "changed"})
        raise LineageError(
            f"version {self.version} is not what was recorded ({places}):\n  "
            + "\n  ".join(wrong)
            + "\npull or transform a version again, train or replay a model again; what has changed is never repaired "
            "in place"
        )

    def as_json(self) -> dict[str, Any]:
        """A plain dictionary for `--json`."""
        plain = asdict(self)
        plain["whole"] = self.whole
        return plain

    def lines(self) -> tuple[str, ...]:
        """The chain as text, a block a link, without colours."""
        text = [f"{self.name}  {self.version}  {'whole' if self.whole else 'BROKEN'}"]
        for link in self.links:
            text.append(f"  {link.kind:<12}{link.state:<11}{link.what}")
            text.append(f"{'':<14}where    {link.where}")
            if link.sha256:
                text.append(f"{'':<14}sha256   {link.sha256}")
            if link.run:
                text.append(f"{'':<14}run      {link.run}  {link.when}")
            text.append(f"{'':<14}detail   {link.detail}")
            text.extend(f"{'':<14}! {finding}" for finding in link.findings)
        return tuple(text)


def trace(
    version: str | None = None,
    *,
    events: Path | None = None,
    local: VersionFiles | None = None,
    published: VersionFiles | None = None,
    elsewhere: Callable[[str], FolderFiles | None] = lambda _: None,
    progress: Progress | None = None,
) -> Chain:
    """Build the chain of one version and check it; reads every byte that is at hand.

    Args:
        version: its id; None takes that of `local`, of `published`, or the last one that the events tell of.
        events: the file of events; None or no such file leaves every link unrecorded.
        local: the version on this machine; None takes the folder that the events name, if it is still there.
        published: the version in a store; None takes the place that the events name, if it is a folder here.
        elsewhere: gives files of a folder in a store by its address; None for one that cannot be reached.
        progress: told of the bytes that are read.

    Raises:
        LineageError: nothing is known of such a version, or `local` or `published` is another one.
    """
    runs = journal.read(events) if events is not None else ()
    wanted = version or _given_id(local) or _given_id(published) or _last_version(runs, events)
    record = _Record(wanted, runs)
    places = [
        _Place("version", local or record.folder("version"), record, progress),
        _Place("published", published or record.folder("published"), record, progress),
    ]
    manifest = next((place.manifest for place in places if place.manifest is not None), None)
    if manifest is None and not record.artifacts and not any(place.files for place in places):
        raise LineageError(
            f"version {wanted}: no event tells of it in {events or 'any file'}, and no folder was given; "
            "name its folder or store, or 'matinee versions list' those there are"
        )
    links = [
        *_origin_links(manifest, record),
        *([base_link(manifest.base, record.made("version"))] if manifest is not None and manifest.base else []),
        *(link for place in places for link in place.links()),
        *_service_links(record),
        *trained_links(record.made),
        *reported_links(record.made, record.manifests(places), record.checkpoints, elsewhere),
    ]
    name = manifest.name if manifest is not None else record.name
    return Chain(version=wanted, name=name, links=tuple(links))


class _Record:
    """What the events tell of one version."""

    def __init__(self, version: str, runs: Sequence[RecordedRun]) -> None:
        self.version = version
        self.complete = [run for run in runs if run.state == "COMPLETE"]
        self.artifacts = [
            artifact for run in self.complete for artifact in (*run.outputs, *run.inputs) if artifact.version == version
        ]

    def made(self, kind: Kind, place: str | None = None) -> Iterator[tuple[RecordedRun, Artifact]]:
        """Runs that made this version (in that place), newest first."""
        for run in reversed(self.complete):
            for artifact in run.outputs:
                same_place = place is None or address(artifact.location) == address(place)
                if artifact.kind == kind and artifact.version == self.version and same_place:
                    yield run, artifact

    def fetched(self, sha256: str) -> tuple[RecordedRun, Artifact] | None:
        """The newest run that made an archive of these bytes."""
        for run in reversed(self.complete):
            for artifact in run.outputs:
                if artifact.kind == "archive" and artifact.sha256 == sha256:
                    return run, artifact
        return None

    def folder(self, kind: Kind) -> VersionFiles | None:
        """The newest recorded place of this version that is a folder of this machine: where it was made, or read."""
        read = (artifact for run in reversed(self.complete) for artifact in run.inputs)
        places = [*(artifact for _, artifact in self.made(kind)), *(one for one in read if one.kind == kind)]
        for artifact in places:
            here = artifact.version == self.version and artifact.namespace == "file"
            if here and (Path(artifact.path) / MANIFEST).is_file():
                return LocalFiles(Path(artifact.path))
        return None

    @property
    def checkpoints(self) -> set[str]:
        """SHA-256 of all that were ever trained, on whatever version."""
        outputs = (artifact for run in self.complete for artifact in run.outputs)
        return {artifact.sha256 for artifact in outputs if artifact.kind == "checkpoint"}

    def manifests(self, places: Sequence[_Place]) -> set[str]:
        """SHA-256 of this version's manifest: as the events tell, and where it is at hand."""
        recorded = {artifact.sha256 for artifact in self.artifacts if artifact.kind in {"version", "published"}}
        at_hand = [place.files for place in places if place.files is not None and place.manifest is not None]
        return recorded or {files.sha256(MANIFEST) for files in at_hand}

    @property
    def name(self) -> str:
        """Of the data set; empty where no event tells of the version itself."""
        return next((a.name for a in self.artifacts if a.kind in {"version", "published", "registered"}), "")


class _Place:
    """One place where the version lies or lay: on this machine or in a store."""

    def __init__(self, kind: Kind, files: VersionFiles | None, record: _Record, progress: Progress | None) -> None:
        self.kind = kind
        self.files = files
        self.record = record
        self.progress = progress
        self.manifest: Manifest | None = None
        self.damage = ""
        if files is not None:
            try:
                self.manifest = files.manifest()
            except VersionError as error:
                self.damage = str(error)
        # An id that does not follow from its own source and settings is damage, and is named as such further on.
        if self.manifest is not None and self.manifest.id != record.version and is_consistent(self.manifest):
            raise LineageError(
                f"{without_credentials(cast('VersionFiles', files).where)}: holds version {self.manifest.id}, "
                f"expected {record.version}; name the folder of that version"
            )

    def links(self) -> Iterator[Link]:
        """The link of the files at hand, then one for each other place that the events name."""
        here = ""
        if self.files is not None:
            here = address(self.files.where)
            yield self._checked_link(self.files)
        seen = {here}
        for run, artifact in self.record.made(self.kind):
            place = address(artifact.location)
            if place not in seen:
                seen.add(place)
                yield told(artifact, run, "recorded, not at hand to be checked")

    def _checked_link(self, files: VersionFiles) -> Link:
        run, _ = next(self.record.made(self.kind, files.where), (None, None))
        findings = self._findings(files)
        digest = files.sha256(MANIFEST) if files.exists(MANIFEST) else ""
        checked = len(self.manifest.files) + 1 if self.manifest is not None else 0
        state: State = worst(findings) or ("ok" if run is not None else "unrecorded")
        if findings:
            detail = f"{len(findings)} of {checked} files are not what was recorded"
        elif run is None:
            detail = f"{checked} files have the manifest's SHA-256; no event tells of this place"
        else:
            detail = f"{checked} files have the recorded SHA-256"
        return Link(
            kind=self.kind,
            what=self.record.version,
            where=without_credentials(files.where),
            sha256=digest,
            run=run.id if run else "",
            when=run.ended if run else "",
            state=state,
            detail=detail,
            checked=checked,
            findings=findings,
        )

    def _findings(self, files: VersionFiles) -> tuple[Finding, ...]:
        recorded = self._recorded_hashes()
        if not files.exists(MANIFEST):
            return (Finding(MANIFEST, "missing", " or ".join(recorded) or "a manifest", "", "written last"),)
        findings = list(self._manifest_findings(files.sha256(MANIFEST), recorded))
        if self.manifest is None:
            return tuple(findings) or (Finding(MANIFEST, "changed", "a manifest", "something else", self.damage),)
        return (*findings, *check_files(files, self.manifest, self.progress))

    def _manifest_findings(self, found: str, recorded: Sequence[str]) -> Iterator[Finding]:
        if not recorded or found in recorded:
            return
        detail = "SHA-256 of its bytes, against the events"
        if self.manifest is not None:
            known = {artifact.files_sha256 for artifact in self.record.artifacts}
            alike = files_digest(self.manifest) in known
            detail += "; its list of files is as recorded" if alike else "; its list of files differs too"
        yield Finding(MANIFEST, "changed", " or ".join(recorded), found, detail)

    def _recorded_hashes(self) -> tuple[str, ...]:
        # Another library version may write other Parquet bytes for the same rows, so one id can have had more than one
        # manifest; what counts is the last one written to this place, or any of them where this place is unknown.
        if self.files is not None:
            here = next(self.record.made(self.kind, self.files.where), None)
            if here is not None:
                return (here[1].sha256,)
        return tuple(dict.fromkeys(artifact.sha256 for artifact in self.record.artifacts))


def _origin_links(manifest: Manifest | None, record: _Record) -> Iterator[Link]:
    recorded = next((artifact.source_sha256 for artifact in record.artifacts), "")
    sha256 = manifest.source.sha256 if manifest is not None else recorded
    fetched = record.fetched(sha256)
    yield _source_link(manifest, sha256, fetched)
    yield _archive_link(manifest, sha256, fetched, record)


def _source_link(manifest: Manifest | None, sha256: str, fetched: tuple[RecordedRun, Artifact] | None) -> Link:
    run = fetched[0] if fetched else None
    told = next((artifact for artifact in run.inputs if artifact.kind == "source"), None) if run else None
    what = manifest.source.name if manifest is not None else (told.name if told else "")
    where = manifest.source.origin if manifest is not None else (told.location if told else "")
    return Link(
        kind="source",
        what=what,
        where=without_credentials(where),
        sha256=sha256,
        run=run.id if run else "",
        when=run.ended if run else "",
        state="ok" if run else "unrecorded",
        detail="fetched as recorded" if run else "known from the manifest alone",
    )


def _archive_link(
    manifest: Manifest | None, sha256: str, fetched: tuple[RecordedRun, Artifact] | None, record: _Record
) -> Link:
    run, artifact = fetched or (None, None)
    name = manifest.source.archive if manifest is not None else Path(artifact.path).name if artifact else ""
    findings = list(_source_disagreements(sha256, record))
    where, checked, detail = "", 0, "not kept in the version, and no event tells where it was fetched to"
    if artifact is not None:
        where, detail = artifact.location, "recorded, no longer at hand to be checked"
        path = Path(artifact.path)
        if artifact.namespace == "file" and path.is_file():
            checked, found = 1, LocalFiles(path.parent).sha256(path.name)
            detail = "has the recorded SHA-256"
            if found != sha256:
                findings.append(Finding(path.name, "changed", sha256, found, "the archive as fetched"))
    elif manifest is not None and any(entry.path == f"{RAW}/{name}" for entry in manifest.files):
        where, detail = f"{RAW}/{name}", "kept inside the version, and checked there"
    state: State = worst(findings) or ("ok" if run is not None else "unrecorded")
    return Link(
        kind="archive",
        what=name,
        where=where,
        sha256=sha256,
        run=run.id if run else "",
        when=run.ended if run else "",
        state=state,
        detail="is not what was recorded" if findings else detail,
        checked=checked,
        findings=tuple(findings),
    )


def _service_links(record: _Record) -> Iterator[Link]:
    """Where the newest register run put it; what the services hold is theirs to tell."""
    newest, _ = next(record.made("registered"), (None, None))
    for run, artifact in record.made("registered"):
        if run is newest:
            yield told(artifact, run, "recorded; the service is not asked here")


def _source_disagreements(sha256: str, record: _Record) -> Iterator[Finding]:
    told = dict.fromkeys(artifact.source_sha256 for artifact in record.artifacts if artifact.source_sha256)
    for other in told:
        if other != sha256:
            yield Finding(
                "source", "changed", other, sha256, "SHA-256 of the source in the manifest, against the events"
            )


def _given_id(files: VersionFiles | None) -> str:
    if files is None:
        return ""
    try:
        return files.manifest().id
    except VersionError:
        return ""


def _last_version(runs: Sequence[RecordedRun], events: Path | None) -> str:
    for run in reversed(runs):
        for artifact in run.outputs:
            if run.state == "COMPLETE" and artifact.version:
                return artifact.version
    raise LineageError(
        f"{events or 'lineage'}: no event tells of a version yet; run 'matinee transform' or 'matinee rehearse' first, "
        "or name a version's folder"
    )
