"""The last links of the chain: models trained on a version, each with its run in MLflow, checked byte by byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.lineage.artifact import address
from matinee.lineage.files import Finding, LocalFiles
from matinee.lineage.link import Link, told, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.lineage.artifact import Artifact, Kind
    from matinee.lineage.journal import RecordedRun

    Made = Callable[[Kind], Iterator[tuple[RecordedRun, Artifact]]]

__all__ = ["trained_links"]


def trained_links(made: Made) -> Iterator[Link]:
    """For each model, the first trained first: its run, where MLflow was told of it, then its checkpoint.

    Args:
        made: gives the runs that made a kind of thing from the version in question, newest first.
    """
    newest: dict[str, tuple[RecordedRun, Artifact]] = {}
    for run, artifact in made("checkpoint"):
        newest.setdefault(address(artifact.location), (run, artifact))  # an older one there was written over
    for run, artifact in reversed(newest.values()):
        tracked = next((pair for pair in made("run") if pair[1].sha256 == artifact.sha256), None)
        if tracked is not None:
            yield told(tracked[1], tracked[0], "recorded; the service is not asked here")
        yield _checkpoint_link(artifact, run)


def _checkpoint_link(artifact: Artifact, run: RecordedRun) -> Link:
    folder = Path(artifact.path)
    if artifact.namespace != "file" or not folder.is_dir():
        return told(artifact, run, "recorded, not at hand to be checked")
    findings = tuple(_findings(LocalFiles(folder), artifact))
    count = len(artifact.contents)
    detail = f"{len(findings)} of {count} files are not what was recorded" if findings else ""
    return replace(
        told(artifact, run, detail or f"{count} files have the recorded SHA-256"),
        state=worst(findings) or "ok",
        checked=count,
        findings=findings,
    )


def _findings(files: LocalFiles, artifact: Artifact) -> Iterator[Finding]:
    for path, expected in artifact.contents:
        if not files.exists(path):
            yield Finding(path, "missing", expected, "", "recorded when the model was trained")
            continue
        found = files.sha256(path)
        if found != expected:
            yield Finding(path, "changed", expected, found, "SHA-256 of its bytes, against the events")
