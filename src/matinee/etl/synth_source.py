"""The generator as a source: `synth:ml-100k?rows=1000000&seed=0`, for whatever takes a SOURCE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from matinee.errors import UsageError
from matinee.etl.digest import file_sha256
from matinee.etl.synth import expand, parse_rows
from matinee.etl.synth_file import read_note
from matinee.lineage.redact import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.etl.extract import Archive
    from matinee.schema.progress import Progress

__all__ = ["archive_of", "source_text"]

_SCHEME: Final = "synth:"


def source_text(like: str, rows: str | int, seed: int = 0) -> str:
    """The source that is `like` expanded to `rows` rows, as text."""
    return f"{_SCHEME}{like}?rows={parse_rows(rows)}&seed={seed}"


def archive_of(
    text: str, folder: Path, fetch: Callable[[str], Archive], *, progress: Progress, cache: Path | None
) -> Archive:
    """The expansion that `text` asks for, as an archive in `folder`; one that is there already is not made again.

    Args:
        text: what `source_text` gives.
        folder: for the expansion, called after source, rows and seed.
        fetch: gets the source that is to be expanded.
        progress: told of the phases.
        cache: of checksums.

    Raises:
        UsageError: the text lacks something, or has something that is not known.
        SourceError, DiskFullError: see `matinee.data.synth`.
    """
    like, rows, seed = _parsed(text)
    source = fetch(like)
    name = f"{source.name}-{rows}" + (f"-{seed}" if seed else "")
    path = folder / f"{name}.zip"
    # An expansion of an older source, or by an older generator, is ours to replace; anything else is not.
    ours = "generator" in (read_note(path) or {})
    made = expand(source, path, rows, seed=seed, force=ours, progress=progress)
    return type(source)(
        path=path,
        name=name,
        sha256=file_sha256(path, cache=cache, progress=progress),
        size=made.size_bytes,
        origin=without_credentials(source_text(like, rows, seed)),
        licence=source.licence,
        fetched=made.made,
    )


def _parsed(text: str) -> tuple[str, int, int]:
    like, _, query = text.removeprefix(_SCHEME).rpartition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    seed = options.pop("seed", "0")
    rows = options.pop("rows", "")
    if not like or not rows or options or not seed.isdecimal():
        raise UsageError(f"{text!r}: expected synth:SOURCE?rows=N, or synth:SOURCE?rows=N&seed=S")
    return like, parse_rows(rows), int(seed)
