"""The end of the chain: reports of replays on a version, each with its run in MLflow, checked byte by byte.

A report is checked twice over: its files against the SHA-256 that was recorded when it was made, and what it says of
itself (which version, whose checkpoints) against the rest of the chain.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matinee.lineage.artifact import address
from matinee.lineage.files import Finding, LocalFiles, check_contents
from matinee.lineage.link import Link, told, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from matinee.lineage.artifact import Artifact
    from matinee.lineage.files import FolderFiles
    from matinee.lineage.journal import RecordedRun
    from matinee.lineage.trained import Made

__all__ = ["reported_links"]


def reported_links(
    made: Made,
    versions: AbstractSet[str],
    checkpoints: AbstractSet[str],
    elsewhere: Callable[[str], FolderFiles | None],
) -> Iterator[Link]:
    """For each report, the first made first: its run, where MLflow was told of it, then every place where it lies.

    Args:
        made: gives the runs that made a kind of thing from the version in question, newest first.
        versions: SHA-256 that are known of the version's manifest.
        checkpoints: SHA-256 of all checkpoints that the events tell of.
        elsewhere: gives files of a folder that is not on this machine; None for one that cannot be reached.
    """
    newest: dict[str, tuple[RecordedRun, Artifact]] = {}
    for run, artifact in made("report"):
        newest.setdefault(address(artifact.location), (run, artifact))
    seen: set[str] = set()
    for run, artifact in reversed(newest.values()):
        tracked = next((pair for pair in made("run") if pair[1].sha256 == artifact.sha256), None)
        if tracked is not None and artifact.sha256 not in seen:
            yield told(tracked[1], tracked[0], "recorded; the service is not asked here")
        seen.add(artifact.sha256)
        yield _report_link(artifact, run, versions, checkpoints, elsewhere)


def _report_link(
    artifact: Artifact,
    run: RecordedRun,
    versions: AbstractSet[str],
    checkpoints: AbstractSet[str],
    elsewhere: Callable[[str], FolderFiles | None],
) -> Link:
    files = _files(artifact, elsewhere)
    if files is None or not artifact.contents:
        return told(artifact, run, "recorded, not at hand to be checked")
    findings = tuple(check_contents(files, artifact.contents))
    count = len(artifact.contents)
    if findings:
        detail = f"{len(findings)} of {count} files are not what was recorded"
        return replace(told(artifact, run, detail), state=worst(findings) or "ok", checked=count, findings=findings)
    head = next((path for path, sha256 in artifact.contents if sha256 == artifact.sha256), artifact.contents[0][0])
    spoken = _spoken_of(files.read(head))
    findings = tuple(_disagreements(head, spoken, run, versions))
    unknown = [sha256 for sha256 in spoken[1] if sha256 not in checkpoints]
    detail = f"{count} files have the recorded SHA-256"
    if findings:
        detail += ", and speak of something else"
    elif unknown:
        detail += f"; no event tells of checkpoint {', '.join(unknown)}"
    state = worst(findings) or ("unrecorded" if unknown else "ok")
    return replace(told(artifact, run, detail), state=state, checked=count, findings=findings)


def _files(artifact: Artifact, elsewhere: Callable[[str], FolderFiles | None]) -> FolderFiles | None:
    if artifact.namespace == "file":
        folder = Path(artifact.path)
        return LocalFiles(folder) if folder.is_dir() else None
    return elsewhere(artifact.location)


def _spoken_of(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Which version a report says that it is of, and which checkpoints; empty where it says nothing that is known."""
    try:
        facts: dict[str, Any] = json.loads(content)
        shas = [arm["served"]["checkpoint_sha256"] for arm in facts["arms"].values()]
        return str(facts["version_sha256"]), tuple(dict.fromkeys(filter(None, shas)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ()


def _disagreements(
    head: str, spoken: tuple[str, tuple[str, ...]], run: RecordedRun, versions: AbstractSet[str]
) -> Iterator[Finding]:
    version, checkpoints = spoken
    if versions and version not in versions:
        detail = "SHA-256 of the manifest that it speaks of, against the version's"
        yield Finding(head, "changed", " or ".join(sorted(versions)), version, detail)
    given = {artifact.sha256 for artifact in run.inputs if artifact.kind == "checkpoint"}
    for sha256 in checkpoints:
        if sha256 not in given:
            detail = "SHA-256 of a checkpoint that it speaks of, against those that the replay was given"
            yield Finding(head, "changed", " or ".join(sorted(given)) or "none", sha256, detail)
