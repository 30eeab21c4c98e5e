"""Real versions from a handful of events: made by transform, but without the certificate's plots, which take longer."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from matinee.etl.base import Base
from matinee.etl.transform import transform
from matinee.schema.manifest import BaseEntry
from matinee.schema.transform_settings import TransformSettings
from matinee.version import Version, open_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matinee.schema.certificate import Certificate
    from matinee.schema.layout import Split
    from matinee.schema.transform_settings import SplitKind

__all__ = ["next_version", "small_version"]


def small_version(
    folder: Path,
    rows: Iterable[tuple[int, int, int]],
    *,
    split: SplitKind = "time",
    name: str = "log",
    beside: Mapping[str, str] | None = None,
) -> Version:
    """The version of events (user, item, seconds), in `folder`; with files `beside` the log they are one ZIP."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    if beside:
        with zipfile.ZipFile(folder / "log.zip", "w") as archive:
            for path, content in {"log.csv": log.read_text(), **beside}.items():
                archive.writestr(path, content)
        log = folder / "log.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matinee.etl.certificate_page.write_page", _plain_page)
        settings = TransformSettings(name=name, split=split, time_unit="s", member="log.csv" if beside else "")
        made = transform(log, folder / "version", settings, memory_limit_bytes=10**6, workers=1)
    return open_version(made.folder)


def next_version(folder: Path, base: Version, rows: Iterable[tuple[int, int, int]], *, past: Split = "test") -> Version:
    """The version that goes on from `base` with events (user, item, seconds), in `folder`, as if they had been told."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "told.csv"
    log.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    manifest = base.manifest
    entry = BaseEntry(
        base.id, base.sha256, past, manifest.users.count, manifest.items.count, base.name, str(uuid4()), number=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matinee.etl.certificate_page.write_page", _plain_page)
        settings = TransformSettings(name=base.name, time_unit="s")
        made = transform(log, folder / "version", settings, base=Base(base, entry), workers=1)
    return open_version(made.folder)


def _plain_page(certificate: Certificate, path: Path) -> None:
    path.write_text(certificate.to_json(), encoding="utf-8")
