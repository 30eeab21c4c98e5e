"""`matinee data list`: the logs that Matinee knows by name."""

from matinee.cli.output import SPEAKING, Output
from matinee.sizes import show_size

__all__ = ["list_"]


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
