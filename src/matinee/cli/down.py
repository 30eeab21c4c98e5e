"""`matinee down`: the stack stopped, its data kept."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["down"]


def down(*, data_dir: Path | None = None, output: Output = SPEAKING) -> None:
    """Stop the stack; its data stays.

    Args:
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.lifecycle import down as stop  # noqa: PLC0415 - a command's rooms are loaded when it is called

    folder = data_folder(data_dir)
    ran = stop(data_dir=folder)
    output.line(f"The stack of {folder} is down; its data stays." if ran else f"No stack runs in {folder}.")
    output.result({"data_dir": folder, "stopped": ran})
