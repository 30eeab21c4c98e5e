"""What stages take in and give out: one value object, and its place in OpenLineage's naming."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, Self

from matinee.lineage.redact import without_credentials
from matinee.schema.layout import MANIFEST, SPLITS, events_path
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Artifact", "Kind", "address", "files_digest"]

Kind = Literal["source", "archive", "version", "published", "registered", "run", "checkpoint", "evaluation", "report"]

_BUCKETS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_EVENT_COLUMNS = (("user", "int32"), ("item", "int32"), ("rating", "float64"), ("timestamp", "int64"))


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing that a stage reads or makes, known by its bytes.

    Attributes:
        kind: 'source' (where a log comes from), 'archive' (its bytes as fetched), 'version' (a local one),
            'published' (one in a store), 'registered' (what services know of one), 'run' (a training or a replay, as
            MLflow was told of it), 'checkpoint' (the folder of a trained model), 'evaluation' (what `matinee evaluate`
            found of one), 'report' (of a replay, here or in a store).
        name: the data set's or source's name; a checkpoint's folder's, a replay's id.
        location: path, URL, or rclone's remote:path; credentials are taken out here, at the door.
        sha256: of the bytes; of `manifest.json` for a version, local or published; of `checkpoint.json` for a
            checkpoint and its run, of `report.json` for a report and its run, of the JSON file for an evaluation.
        size_bytes, rows, files: how much it is; None where that is not known.
        version: the version's id, also of what was trained on it or replays it; empty for a source or an archive.
        source_sha256: of the archive a version came from; equal to `sha256` for source and archive.
        files_sha256: content hash of a version's list of files (`files_digest`); empty for the others.
        columns: (name, type) of its rows, where known.
        contents: (file, SHA-256) of a checkpoint's, evaluation's or report's files, which no manifest lists.
    """

    kind: Kind
    name: str
    location: str
    sha256: str
    size_bytes: int | None = None
    rows: int | None = None
    files: int | None = None
    version: str = ""
    source_sha256: str = ""
    files_sha256: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    contents: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Take the credentials out of the location."""
        object.__setattr__(self, "location", without_credentials(self.location))
        if self.kind in {"source", "archive"} and not self.source_sha256:
            object.__setattr__(self, "source_sha256", self.sha256)

    @classmethod
    def of_version(
        cls, manifest: Manifest, manifest_sha256: str, location: str | Path, *, published: bool = False
    ) -> Self:
        """A version as its manifest describes it; `manifest_sha256` is that of the bytes of `manifest.json`."""
        rows = {entry.path: entry.rows for entry in manifest.files}
        return cls(
            kind="published" if published else "version",
            name=manifest.name,
            location=str(location),
            sha256=manifest_sha256,
            size_bytes=manifest.size,
            rows=sum(rows.get(events_path(split)) or 0 for split in SPLITS),
            files=len(manifest.files) + 1,
            version=manifest.id,
            source_sha256=manifest.source.sha256,
            files_sha256=files_digest(manifest),
            columns=_EVENT_COLUMNS,
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The local version in `folder`.

        Raises:
            VersionNotFoundError, VersionDamagedError: see `Manifest.read`.
        """
        manifest = Manifest.read(folder)
        return cls.of_version(manifest, hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(), folder)

    @classmethod
    def of_checkpoint(cls, folder: Path, files: Sequence[str], *, name: str, version: str, source_sha256: str) -> Self:
        """A trained model in `folder`; the first of its `files` names the others' origin and stands for them all."""
        return cls._of_files("checkpoint", folder, files, name=name, version=version, source_sha256=source_sha256)

    @classmethod
    def of_report(cls, folder: Path, files: Sequence[str], *, name: str, version: str, source_sha256: str) -> Self:
        """The report of a replay in `folder`; the first of its `files` is the one with all that was measured."""
        return cls._of_files("report", folder, files, name=name, version=version, source_sha256=source_sha256)

    @classmethod
    def of_evaluation(cls, report: Path, ranks: Path, *, name: str, version: str, source_sha256: str) -> Self:
        """What was found of a model: the report, which stands for it, and the single ranks beside it."""
        made = cls._of_files(
            "evaluation",
            report.parent,
            [report.name, ranks.name],
            name=name,
            version=version,
            source_sha256=source_sha256,
        )
        return replace(made, location=str(report))  # a model's folder has one for each split and protocol

    @classmethod
    def _of_files(
        cls, kind: Kind, folder: Path, files: Sequence[str], *, name: str, version: str, source_sha256: str
    ) -> Self:
        contents = []
        for file in files:
            with (folder / file).open("rb") as opened:
                contents.append((file, hashlib.file_digest(opened, "sha256").hexdigest()))
        return cls(
            kind=kind,
            name=name,
            location=str(folder),
            sha256=contents[0][1],
            size_bytes=sum((folder / file).stat().st_size for file in files),
            files=len(files),
            version=version,
            source_sha256=source_sha256,
            contents=tuple(contents),
        )

    def tracked(self, page: str) -> Self:
        """The run in MLflow that a checkpoint or a report was told to; `page` is its address there."""
        return replace(self, kind="run", location=page, size_bytes=None, files=None, contents=())

    @property
    def namespace(self) -> str:
        """OpenLineage's namespace: 'file', 's3://bucket', 'https://host', 'rclone://remote'."""
        return _place(self.location)[0]

    @property
    def path(self) -> str:
        """OpenLineage's name of the data set: the path inside the namespace."""
        return _place(self.location)[1]

    @property
    def uri(self) -> str:
        """Namespace and path as one address."""
        return address(self.location)


def address(location: str) -> str:
    """One spelling for all ways to write the same place, without credentials."""
    namespace, path = _place(without_credentials(location))
    return f"file://{path}" if namespace == "file" else f"{namespace}/{path.lstrip('/')}"


def files_digest(manifest: Manifest) -> str:
    """SHA-256 of a manifest's list of files, whatever the manifest's layout as text."""
    text = json.dumps([asdict(file) for file in manifest.files], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _place(location: str) -> tuple[str, str]:
    scheme, mark, rest = location.partition("://")
    if mark and scheme == "file":
        return "file", "/" + rest.partition("/")[2]
    if mark:
        host, _, path = rest.partition("/")
        if scheme in _BUCKETS:
            return f"{_BUCKETS[scheme]}://{host}", path.strip("/") or "/"
        return f"{scheme}://{host}", f"/{path}"
    remote = re.fullmatch(r":?([\w.+@ -]+):(.*)", location, flags=re.DOTALL)
    if remote and not Path(location).exists():
        return f"rclone://{remote[1]}", remote[2].strip("/") or "/"
    # Absolute without following links: /mnt/data stays the name people know, wherever it points today.
    return "file", str(PurePosixPath(Path(location).absolute()))
