"""Models trained on a version, each with its run in MLflow and what was found of it, checked byte by byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.lineage.artifact import address
from matinee.lineage.files import LocalFiles, check_contents
from matinee.lineage.link import Link, told, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.lineage.artifact import Artifact, Kind
    from matinee.lineage.journal import RecordedRun

    Made = Callable[[Kind], Iterator[tuple[RecordedRun, Artifact]]]

__all__ = ["trained_links"]


def trained_links(made: Made) -> Iterator[Link]:
    """For each model, the first trained first: its run, where MLflow was told of it, its checkpoint, its evaluations.

    Args:
        made: gives the runs that made a kind of thing from the version in question, newest first.
    """
    evaluations = _newest(made, "evaluation")
    for run, artifact in reversed(_newest(made, "checkpoint")):
        tracked = next((pair for pair in made("run") if pair[1].sha256 == artifact.sha256), None)
        if tracked is not None:
            yield told(tracked[1], tracked[0], "recorded; the service is not asked here")
        yield _link(artifact, run, Path(artifact.path))
        for evaluated, found in reversed(evaluations):
            if any(given.kind == "checkpoint" and given.sha256 == artifact.sha256 for given in evaluated.inputs):
                yield _link(found, evaluated, Path(found.path).parent)


def _newest(made: Made, kind: Kind) -> list[tuple[RecordedRun, Artifact]]:
    """The last of each place; an older one there was written over."""
    newest: dict[str, tuple[RecordedRun, Artifact]] = {}
    for run, artifact in made(kind):
        newest.setdefault(address(artifact.location), (run, artifact))
    return list(newest.values())


def _link(artifact: Artifact, run: RecordedRun, folder: Path) -> Link:
    if artifact.namespace != "file" or not folder.is_dir():
        return told(artifact, run, "recorded, not at hand to be checked")
    findings = tuple(check_contents(LocalFiles(folder), artifact.contents))
    count = len(artifact.contents)
    detail = f"{len(findings)} of {count} files are not what was recorded" if findings else ""
    return replace(
        told(artifact, run, detail or f"{count} files have the recorded SHA-256"),
        state=worst(findings) or "ok",
        checked=count,
        findings=findings,
    )
