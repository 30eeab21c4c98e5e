"""`matinee data`: the logs known by name, logs of any size that are like them, and what events told become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.etl.catalogue import CATALOGUE, Dataset
from matinee.etl.from_events import NextVersion, from_events
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from matinee.etl.synth import Expansion
    from matinee.lineage import Recorder

__all__ = ["NextVersion", "from_events", "list", "synth"]


def list() -> tuple[Dataset, ...]:  # noqa: A001 - `matinee data list` is `matinee.data.list()`
    """All data sets of the catalogue, in its order."""
    return tuple(CATALOGUE.values())


def synth(
    *,
    like: str | Path,
    rows: str | int,
    out: str | Path,
    seed: int = 0,
    dry_run: bool = False,
    force: bool = False,
    workers: int | None = None,
    archives: str | Path | None = None,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Expansion:
    """Write a log of any size that behaves like a source; the same words find it done.

    Users are whole and in a row, each in order of time. docs/synth.md says what of the source is kept, and what not.

    Args:
        like: the source: what `extract` takes.
        rows: events to write, exactly: at least as many as the source has; '192e6' is understood.
        out: the file, .csv or .zip; it appears complete or not at all. How it was made is told by `synth.json` in the
            ZIP, or `FILE.csv.json` beside the CSV.
        seed: another seed is another log; the same one gives the same text whatever the number of workers.
        dry_run: write nothing, only say what it would be.
        force: replace a file that is there and was made otherwise.
        workers: processor cores to use; None is all.
        archives: where a fetched source goes; see `extract`.
        lineage: told of the source's extraction; None records nothing.
        progress: told of the phases.

    Raises:
        UsageError: fewer rows than the source has, an unknown suffix, or `out` holds something else.
        SourceError: the source cannot be read, or has no times.
        DiskFullError: there is no room for it; told before anything is written where that can be known.
    """
    from matinee.etl import stages  # noqa: PLC0415 - `matinee data list` needs none of it
    from matinee.etl.synth import check_call, expand  # noqa: PLC0415 - it brings Numba

    count = check_call(Path(out), rows, seed, workers)  # a mistake in it should not cost a download
    archive = stages.extract(like, out=None if stages.is_local(like) else archives, lineage=lineage, progress=progress)
    return expand(
        archive,
        Path(out),
        count,
        seed=seed,
        dry_run=dry_run,
        force=force,
        workers=workers,
        progress=progress or Silent(),
    )
