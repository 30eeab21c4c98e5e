"""An expansion: a log of any number of rows that behaves like its source (docs/synth.md says in what, and in what not).

After Belletti et al. 2019 (arXiv 1901.08910), with what a sequential model needs and a matrix of ratings does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import UsageError
from matinee.etl.synth_file import is_zip, new_file, open_log_file, read_note, telling_of_a_full_disk

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.etl.extract import Archive
    from matinee.schema.progress import Progress

__all__ = ["GENERATOR", "Expansion", "check_call", "expand", "parse_rows"]

GENERATOR: Final = 1  # raised when the same call gives other bytes
_MOST_ROWS: Final = 10**11


@dataclass(frozen=True, slots=True)
class Expansion:
    """What came of it.

    Attributes:
        path: the file.
        rows, users, blocks: events in it, users, and copies of the source's items.
        items: different ones that occur; None before it is written.
        size_bytes: of the file; before it is written, about.
        made: False where it was there already, or was only planned.
        note: how it was, or would be, made; the same as in the file.
    """

    path: Path
    rows: int
    users: int
    blocks: int
    items: int | None
    size_bytes: int
    made: bool
    note: dict[str, Any]


def expand(
    archive: Archive,
    out: Path,
    rows: int,
    *,
    seed: int = 0,
    dry_run: bool = False,
    force: bool = False,
    workers: int | None = None,
    progress: Progress,
) -> Expansion:
    """Write `rows` rows like those of `archive` to `out`, a .csv or .zip; it appears complete or not at all.

    The same source, rows and seed give the same text, whatever the number of threads. See `matinee.data.synth`.
    """
    check_call(out, rows, seed, workers)
    recipe = {
        "format": 1,
        "generator": GENERATOR,
        "source": {
            "name": archive.name,
            "sha256": archive.sha256,
            "size_bytes": archive.size,
            "origin": archive.origin,
            "licence": archive.licence,
        },
        "rows": rows,
        "seed": seed,
    }
    if out.exists() and out.samefile(archive.path):
        raise UsageError(f"--out {out}: is the source itself; choose another")
    if out.exists() and not dry_run:
        if (note := read_note(out)) and _identity(note) == _identity(recipe):
            return _expansion(out, note, out.stat().st_size, made=False)
        if not force:
            raise UsageError(
                f"{out}: is there already, and is not what this call makes; choose another --out, or --force"
            )
    from matinee.etl.synth_job import Job  # noqa: PLC0415 - it brings Numba, which what is done already does not need
    from matinee.etl.synth_pattern import read_pattern  # noqa: PLC0415 - as above

    folder = next(folder for folder in out.absolute().parents if folder.is_dir())
    with telling_of_a_full_disk(folder):
        pattern = read_pattern(archive, folder, workers=workers, progress=progress)
    if rows < pattern.events:
        raise UsageError(
            f"--rows {rows:,}: fewer than the {pattern.events:,} events of {archive.name}; an expansion only grows"
        )
    job = Job(pattern, rows, seed, zipped=is_zip(out))
    note = recipe | job.facts()
    size_bytes = job.expected_bytes()
    if dry_run:
        return _expansion(out, note, size_bytes, made=False)
    with new_file(out, size_bytes) as file:
        log = open_log_file(file, out, job.header)
        job.write(log, workers, progress)
        note["items"] = job.items
        log.close(note)
    progress.finish(f"{note['users']:,} users, {job.items:,} items")
    return _expansion(out, note, out.stat().st_size, made=True)


def check_call(out: Path, rows: str | int, seed: int, workers: int | None) -> int:
    """The number of rows, once nothing is wrong that can be known without the source.

    Raises:
        UsageError: there is.
    """
    is_zip(out)
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder, expected a file that ends in .zip or .csv")
    if seed < 0:
        raise UsageError(f"--seed {seed}: expected 0 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: expected 1 or more")
    return parse_rows(rows)


def parse_rows(rows: str | int) -> int:
    """A number of rows from 1000000, '1_000_000' or '192e6'.

    Raises:
        UsageError: it is no whole number of at least 1, or more than anybody has room for.
    """
    try:
        exact = Decimal(str(rows).replace(",", ""))
        count = int(exact) if exact.is_finite() and 1 <= exact <= _MOST_ROWS else 0
    except InvalidOperation:
        exact, count = Decimal(), 0
    if count < 1 or count != exact:
        raise UsageError(f"--rows {rows}: expected a whole number from 1 to {_MOST_ROWS:,}, as in 1000000 or 192e6")
    return count


def _identity(note: dict[str, Any]) -> tuple[object, ...]:
    """What the text follows from; where the source came from, and what it is called, does not matter."""
    source = note.get("source")
    keys = ("format", "generator", "rows", "seed")
    return (source.get("sha256") if isinstance(source, dict) else None, *map(note.get, keys))


def _expansion(out: Path, note: dict[str, Any], size_bytes: int, *, made: bool) -> Expansion:
    return Expansion(
        path=out,
        rows=note["rows"],
        users=note["users"],
        blocks=note["blocks"],
        items=note.get("items"),
        size_bytes=size_bytes,
        made=made,
        note=note,
    )
