"""`matinee data`: the logs that Matinee knows by name, and logs of any size that are like them."""

from pathlib import Path

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.settings import read_settings
from matinee.sizes import show_size

__all__ = ["list_", "synth"]


def list_(*, output: Output = SPEAKING) -> None:
    """List the logs that Matinee knows by name.

    Args:
        output: How to tell.
    """
    from matinee.etl import data as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    datasets = verbs.list()
    output.table(
        ("name", "ratings", "years", "size", "mirrors", "page"),
        [
            (
                dataset.name,
                dataset.rows,
                dataset.years,
                show_size(dataset.size_bytes) if dataset.size_bytes else "changes",
                len(dataset.mirrors),
                dataset.page,
            )
            for dataset in datasets
        ],
        right=("ratings", "size", "mirrors"),
    )
    output.line()
    output.line("MovieLens asks to be cited, and none of its licences allows commercial use without permission.")
    output.line("`matinee data list --json` has each licence in a sentence, and the addresses.")
    output.result(datasets)


def synth(
    *,
    like: str,
    rows: str,
    out: Path,
    seed: int = 0,
    dry_run: Flag = False,
    force: Flag = False,
    workers: int | None = None,
    output: Output = SPEAKING,
) -> None:
    """Write a log of any size that behaves like a source.

    Args:
        like: The source: a catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        rows: Events to write, exactly: 1000000, 192e6; at least as many as the source has.
        out: The file to write, .zip or .csv.
        seed: Another seed is another log.
        dry_run: Write nothing, only say what it would be.
        force: Replace a file that is there and was made otherwise.
        workers: Processor cores to use; by default all.
        output: How to tell.
    """
    from matinee.etl.numba_start import start_numba_lightly  # noqa: PLC0415 - as below

    start_numba_lightly()
    from matinee.etl import data as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    expansion = verbs.synth(
        like=like,
        rows=rows,
        out=out,
        seed=seed,
        dry_run=dry_run,
        force=force,
        workers=workers,
        archives=settings.archives,
        lineage=recorder(settings.data_dir, output),
        progress=output.progress(),
    )
    about = "about " if dry_run else ""
    facts = {
        "log": expansion.path,
        "size": f"{about}{show_size(expansion.size_bytes)}",
        "rows": expansion.rows,
        "users": expansion.users,
        "items": expansion.items,
        "blocks": f"{expansion.blocks} copies of the source's {expansion.note['source_items']:,} items",
        "seed": seed,
        "licence": expansion.note["source"]["licence"] or "the source's, which is not known",
    }
    output.facts({label: value for label, value in facts.items() if value is not None})
    if dry_run:
        output.line("Nothing was written.")
    elif not expansion.made:
        output.line("It was there already; nothing was done.")
    output.result(expansion)
