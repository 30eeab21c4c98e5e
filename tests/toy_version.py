"""Small versions for tests of what happens to a version after the transform: real manifests, meaningless bytes."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

from matinee.schema.layout import MANIFEST, RUN
from matinee.schema.manifest import FileEntry, IdMapEntry, Manifest, SourceEntry, version_id
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SIZES", "contents", "make_version"]

SIZES = {
    "training/toy_train.txt": 5_000,
    "evaluation/toy_eval.txt": 2_500,
    "events/train.parquet": 20_000,
    "ids/users.parquet": 100,
    "rejects.csv": 20,
    "raw/a log.zip": 70_000,
    "sequences/test/items.npy": 0,
}


def make_version(
    folder: Path, *, name: str = "toy", seed: int = 0, sizes: Mapping[str, int] = SIZES, content_seed: int | None = None
) -> Manifest:
    """A complete version in `folder`; `seed` decides id and bytes, `content_seed` other bytes under the same id."""
    chance = random.Random(seed if content_seed is None else content_seed)
    files = []
    for path, size in sizes.items():
        content = chance.randbytes(size)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        files.append(FileEntry(path, size, hashlib.sha256(content).hexdigest(), rows=size // 10))
    source = hashlib.sha256(str(seed).encode()).hexdigest()
    settings = TransformSettings(name=name, seed=seed)
    manifest = Manifest(
        id=version_id(source, settings),
        name=name,
        format=1,
        source=SourceEntry(name=name, archive="a log.zip", size=70_000, sha256=source, origin="a log.zip"),
        settings=settings.as_json(),
        users=IdMapEntry(3, "integer", source),
        items=IdMapEntry(5, "integer", source),
        files=tuple(files),
    )
    (folder / RUN).write_text('{"wall_s": 1.5}\n')
    (folder / MANIFEST).write_text(manifest.to_json())
    return manifest


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
