"""`matinee data list`: the logs that Matinee knows by name."""

from matinee.cli.output import SPEAKING, Output
from matinee.schema.size import show_size

__all__ = ["list_"]


def list_(*, output: Output = SPEAKING) -> None:
    """List the logs that Matinee knows by name.

    Args:
        output: How to tell.
    """
    import matinee.etl.data as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    entries = verbs.list()
    output.table(("name", "size", "address", "licence"), [], right=("size",))
    output.result(entries)
    del show_size
