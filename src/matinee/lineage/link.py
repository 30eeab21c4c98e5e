"""One link of the chain: what it is, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.lineage.artifact import Artifact, Kind
    from matinee.lineage.files import Finding, State
    from matinee.lineage.journal import RecordedRun

__all__ = ["Link", "told", "worst"]


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain.

    Attributes:
        kind: see `Artifact`; 'base' is the version that this one goes on from.
        what: the name of a source, an archive or a trained model (of its evaluation, too), or the id of a version or a
            replay.
        where: its address, without credentials.
        sha256: of the archive's bytes, of a version's `manifest.json`, a model's `checkpoint.json` or a replay's
            `report.json`; empty where none is known.
        run: id of the OpenLineage run that made it; empty where none is recorded.
        when: the end of that run, ISO 8601 in UTC; empty where none is recorded.
        state: 'ok', 'missing', 'changed', or 'unrecorded': nothing contradicts it, but no event tells of it.
        detail: one line for a person.
        checked: files whose bytes were read for this link.
        findings: what is missing or changed, each by name.
    """

    kind: Kind | Literal["base"]
    what: str
    where: str
    sha256: str
    run: str
    when: str
    state: State
    detail: str
    checked: int = 0
    findings: tuple[Finding, ...] = field(default=())


def told(artifact: Artifact, run: RecordedRun, detail: str) -> Link:
    """The link of something that the events tell of, and that is not looked at here."""
    return Link(
        kind=artifact.kind,
        what=artifact.name if artifact.kind in {"run", "checkpoint", "evaluation", "report"} else artifact.version,
        where=artifact.location,
        sha256=artifact.sha256,
        run=run.id,
        when=run.ended,
        state="ok",
        detail=detail,
    )


def worst(findings: Iterable[Finding]) -> State | None:
    """What the findings make of their link; None where there are none."""
    states = {finding.state for finding in findings}
    return "changed" if "changed" in states else "missing" if "missing" in states else None
