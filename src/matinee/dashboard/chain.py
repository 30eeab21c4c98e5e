"""Where one figure of the page came from: the file it was read from, and the links of lineage behind that file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import LineageError, VersionError
from matinee.lineage import LocalFiles, journal, trace
from matinee.lineage.artifact import address
from matinee.schema.layout import MANIFEST, VERSIONS
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.lineage import Chain, Link

__all__ = ["Origin", "Step", "Traced", "trace_figure"]

_EVENTS: Final = "lineage/events.jsonl"
_OF_EVERY_FIGURE: Final = {"source", "archive", "base", "version", "published"}
_OF_A_MODEL: Final = {"checkpoint", "run"}
_OF_A_REPLAY: Final = {"report", "run"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a figure without looking at any file.

    Attributes:
        what: the figure in words.
        value: as exact as it is known.
        version: id of the version behind it; empty where that is not known.
        checkpoints: SHA-256 of the checkpoint.json of the models behind it.
        models: their folders.
        replay: the replay's folder, where one is behind it.
        file: the file that it was read from.
    """

    what: str
    value: str
    version: str
    file: Path
    checkpoints: tuple[str, ...] = ()
    models: tuple[Path, ...] = ()
    replay: Path | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One link, from the source to the figure.

    Attributes:
        kind, what, where, sha256, when, run, detail: see `matinee.lineage.Link`; kind 'file' is what the figure was
            read from.
        state: 'ok', 'missing', 'changed', or 'unrecorded'.
    """

    kind: str
    what: str
    where: str
    sha256: str
    when: str
    run: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Traced:
    """All steps behind a figure, and what they come to.

    Attributes:
        steps: the source first, the figure's file last.
        state: 'ok', 'broken', or 'unrecorded': nothing is wrong, but a step is missing from the record.
        words: that in a sentence.
    """

    steps: tuple[Step, ...]
    state: str
    words: str


def trace_figure(data_dir: Path, origin: Origin) -> Traced:
    """Follow a figure back to its source; reads every byte of the version and the models that are at hand."""
    try:
        links = [link for link in _chain(data_dir, origin.version).links if _is_behind(link, origin)]
        steps = (*(_step(link) for link in links), _file_step(data_dir, origin, links))
    except (LineageError, VersionError, OSError) as error:
        return Traced((_file_step(data_dir, origin, ()),), "unrecorded", f"Its chain cannot be followed: {error}")
    broken = [step for step in steps if step.state in {"missing", "changed"}]
    open_ends = [step for step in steps if step.state == "unrecorded" and step.sha256 not in _told(steps)]
    if broken:
        return Traced(steps, "broken", f"Broken: {', '.join(step.kind for step in broken)} is not what was recorded.")
    if origin.checkpoints and not any(link.kind == "checkpoint" for link in links):
        return Traced(steps, "unrecorded", "No event tells of the model behind it.")
    if open_ends:
        kinds = ", ".join(step.kind for step in open_ends)
        return Traced(steps, "unrecorded", f"Nothing contradicts it, but no event tells of: {kinds}.")
    return Traced(steps, "ok", "Verified: every step is as it was recorded, as far as its bytes are on this machine.")


def _chain(data_dir: Path, version: str) -> Chain:
    if not version:
        raise LineageError("it is not known which version is behind it")
    folder = next(
        (path.parent for path in (data_dir / VERSIONS).glob(f"*/*/{MANIFEST}") if path.parent.name == version), None
    )
    return trace(version, events=data_dir / _EVENTS, local=LocalFiles(folder) if folder else None)


def _is_behind(link: Link, origin: Origin) -> bool:
    if link.kind in _OF_EVERY_FIGURE:
        return True
    if link.kind in _OF_A_REPLAY and origin.replay is not None and link.what == origin.replay.name:
        return True
    if link.kind == "evaluation":
        return address(link.where) == address(str(origin.file))
    at = {address(str(folder)) for folder in origin.models}
    return link.kind in _OF_A_MODEL and (link.sha256 in origin.checkpoints or address(link.where) in at)


def _step(link: Link) -> Step:
    return Step(
        link.kind, link.what, link.where, link.sha256, link.when, link.run, link.state,
        "; ".join([link.detail, *(str(finding) for finding in link.findings)]),
    )  # fmt: skip


def _file_step(data_dir: Path, origin: Origin, links: Sequence[Link]) -> Step:
    """The file that the figure was read from, as it is now."""
    where = str(origin.file.relative_to(data_dir))
    try:
        with origin.file.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return Step("file", origin.file.name, where, "", "", "", "missing", "it was there a moment ago")
    holder = next((link for link in links if _holds(link, origin.file, found, data_dir)), None)
    if holder is None:
        return Step("file", origin.file.name, where, found, "", "", "unrecorded", "read now; no event tells of it")
    detail = f"is what is recorded of the {holder.kind} {holder.what}"
    state = "ok" if holder.sha256 in _told(links) else holder.state
    return Step("file", origin.file.name, where, found, holder.when, holder.run, state, detail)


def _told(links: Sequence[Link | Step]) -> set[str]:
    """What the events tell of, by its bytes: in another place, as after a move, the same bytes are as good."""
    return {link.sha256 for link in links if link.state == "ok"}


def _holds(link: Link, file: Path, sha256: str, data_dir: Path) -> bool:
    """Whether these bytes are a part of what the link tells of: itself, a file of a version, or one of a model."""
    if link.sha256 == sha256:
        return True
    if link.kind == "version" and file.is_relative_to(link.where):
        manifest = Manifest.read(Path(link.where))
        return any(entry.sha256 == sha256 for entry in manifest.files)
    runs = journal.read(data_dir / _EVENTS)
    outputs = [artifact for run in runs if run.id == link.run for artifact in run.outputs]
    return any(sha256 == known for artifact in outputs for _, known in artifact.contents)
