"""A version for Hugging Face's `datasets`: its own Parquet files under the names that are known there, and a card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matinee.errors import VersionDamagedError
from matinee.schema.layout import ITEM_IDS, SPLITS, USER_IDS, Split, events_path

if TYPE_CHECKING:
    from matinee.etl.export_version import ExportFolder
    from matinee.schema.progress import Progress
    from matinee.version import Version

__all__ = ["write_hf"]

_NAMES: Final[dict[Split, str]] = {"train": "train", "eval": "validation", "test": "test"}
_CARD: Final = "README.md"
_PIECE_BYTES: Final = 1 << 22


def write_hf(version: Version, place: ExportFolder, progress: Progress) -> None:
    """Copy events and id maps byte for byte, each held against its hash in the manifest, and write the card.

    Raises:
        VersionDamagedError: a file is missing, or not what the manifest says.
    """
    files = {events_path(split): f"events/{name}.parquet" for split, name in _filled(version).items()}
    files |= {path: path for path in (USER_IDS, ITEM_IDS)}
    told = {entry.path: entry for entry in version.manifest.files}
    progress.start("copy Parquet files", sum(told[path].size for path in files), "bytes")
    for source, target in files.items():
        _copy(version, source, told[source].sha256, told[source].rows, target, place, progress)
    progress.finish()
    with place.open(_CARD) as card:
        card.write(_card(version).encode())


def _filled(version: Version) -> dict[Split, str]:
    """The splits that have events, and their names there: `datasets` fails on one that has none."""
    return {split: name for split, name in _NAMES.items() if getattr(version.certificate, split).rows}


def _copy(
    version: Version, source: str, sha256: str, rows: int | None, target: str, place: ExportFolder, progress: Progress
) -> None:
    path = version.folder / source
    try:
        opened = path.open("rb")
    except FileNotFoundError:
        raise VersionDamagedError(f"{path}: missing; transform again") from None
    with opened, place.open(target, rows) as file:
        while piece := opened.read(_PIECE_BYTES):
            file.write(piece)
            progress.advance(len(piece))
        if file.sha256 != sha256:
            raise VersionDamagedError(
                f"{path}: SHA-256 is {file.sha256}, expected {sha256} of the manifest; transform again"
            )


def _card(version: Version) -> str:
    facts, manifest = version.certificate, version.manifest
    rows = {split: getattr(facts, split).rows for split in SPLITS}
    paths = "".join(f"  - split: {name}\n    path: events/{name}.parquet\n" for name in _filled(version).values())
    table = "".join(f"| {_NAMES[split]} | {rows[split]:,} | {getattr(facts, split).users:,} |\n" for split in SPLITS)
    return f"""---
configs:
- config_name: events
  default: true
  data_files:
{paths}- config_name: users
  data_files: {USER_IDS}
- config_name: items
  data_files: {ITEM_IDS}
---

# {version.name}

Version {version.id} of {version.name}, exported by Matinee from {manifest.source.name}
(SHA-256 {manifest.source.sha256}). Split: {facts.split}. Targets before a training event: {facts.leaks:,}.

| split | events | users |
|---|---|---|
{table}
`events` (the default) are in order of time: `user` and `item` are dense ids from 1, `timestamp` is Unix seconds,
`rating` is there where the log had ratings; a split without events is left out. `users` and `items` lead from dense
ids (`id`) to those of the log (`raw`).

```python
from datasets import load_dataset

events = load_dataset("path/to/this/folder")
users = load_dataset("path/to/this/folder", "users")["train"]
```

The log's licence holds for this folder too.
"""
