"""The link from a version to the one that it goes on from, whose own chain `matinee lineage` tells by its id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.lineage.files import Finding, LocalFiles
from matinee.lineage.link import Link, worst
from matinee.schema.layout import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.lineage.artifact import Artifact
    from matinee.lineage.journal import RecordedRun
    from matinee.schema.manifest import BaseEntry

__all__ = ["base_link"]


def base_link(base: BaseEntry, made: Iterable[tuple[RecordedRun, Artifact]]) -> Link:
    """The base as the manifest names it, against what the newest run read and against the folder it was read from.

    Args:
        base: from the version's manifest.
        made: the runs that made the version, newest first.
    """
    read = ((run, artifact) for run, _ in made for artifact in run.inputs if artifact.version == base.version)
    run, artifact = next(read, (None, None))
    findings = [] if artifact is None else _findings(base, artifact)
    folder = None if artifact is None or artifact.namespace != "file" else Path(artifact.path)
    here = folder is not None and (folder / MANIFEST).is_file()
    detail = "the manifest that its manifest names" if here else "recorded, not at hand to be checked"
    return Link(
        kind="base",
        what=base.version,
        where=artifact.location if artifact else "",
        sha256=base.manifest_sha256,
        run=run.id if run else "",
        when=run.ended if run else "",
        state=worst(findings) or ("ok" if run else "unrecorded"),
        detail=f"{detail}; up to {base.past}, then {base.log} up to event {base.number} of {base.teller}",
        checked=int(here),
        findings=tuple(findings),
    )


def _findings(base: BaseEntry, artifact: Artifact) -> list[Finding]:
    expected, findings = base.manifest_sha256, []
    if artifact.sha256 != expected:
        findings.append(Finding(MANIFEST, "changed", expected, artifact.sha256, "the base, against the events"))
    files = LocalFiles(Path(artifact.path))
    if artifact.namespace == "file" and files.exists(MANIFEST) and (found := files.sha256(MANIFEST)) != expected:
        findings.append(Finding(MANIFEST, "changed", expected, found, "SHA-256 of the base's bytes"))
    return findings
