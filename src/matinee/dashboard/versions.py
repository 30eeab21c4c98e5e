"""The versions of a data folder, as far as the page tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matinee.schema.certificate import Certificate
from matinee.schema.layout import CERTIFICATE, CERTIFICATE_PAGE, MANIFEST, SPLITS, VERSIONS
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.dashboard.reading import Reading

__all__ = ["VersionFacts", "read_versions"]


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """One version on this machine.

    Attributes:
        id, name: the version's, and its data set's.
        folder: where it is.
        source_sha256: of the archive it came from.
        size_bytes: of all files.
        users, items: counts.
        rows: events of train, eval and test.
        split: the rule.
        leaks: targets that lie before a training event.
        cold_share: of the held-out events by people whom training has not seen; None where nothing is held out.
        page: the certificate for people, where it is there.
        made_ns: when its manifest was written.
    """

    id: str
    name: str
    folder: Path
    source_sha256: str
    size_bytes: int
    users: int
    items: int
    rows: tuple[int, int, int]
    split: str
    leaks: int
    cold_share: float | None
    page: Path | None
    made_ns: int


def read_versions(data_dir: Path, reading: Reading) -> tuple[VersionFacts, ...]:
    """All complete ones, the newest first."""
    found = (reading.get(path, _facts) for path in sorted((data_dir / VERSIONS).glob(f"*/*/{MANIFEST}")))
    return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.made_ns))


def _facts(manifest_path: Path) -> VersionFacts:
    folder = manifest_path.parent
    manifest = Manifest.read(folder)
    certificate = Certificate.from_json((folder / CERTIFICATE).read_bytes(), str(folder / CERTIFICATE))
    splits = [getattr(certificate, split) for split in SPLITS]
    held_out = sum(split.rows for split in splits[1:])
    page = folder / CERTIFICATE_PAGE
    return VersionFacts(
        id=manifest.id,
        name=manifest.name,
        folder=folder,
        source_sha256=manifest.source.sha256,
        size_bytes=manifest.size,
        users=manifest.users.count,
        items=manifest.items.count,
        rows=(splits[0].rows, splits[1].rows, splits[2].rows),
        split=certificate.split,
        leaks=certificate.leaks,
        cold_share=sum(split.by_cold_users for split in splits[1:]) / held_out if held_out else None,
        page=page if page.is_file() else None,
        made_ns=manifest_path.stat().st_mtime_ns,
    )
