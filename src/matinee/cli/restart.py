"""`matinee restart`: services stopped and started again."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder
from matinee.cli.up import print_addresses, public

__all__ = ["restart"]


def restart(services: list[str] | None = None, /, *, data_dir: Path | None = None, output: Output = SPEAKING) -> None:
    """Stop services of the stack and start them again.

    Args:
        services: Of s3, postgres, mlflow and jupyter; by default all that run.
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.lifecycle import restart as again  # noqa: PLC0415 - a command's rooms are loaded when called

    stack = again(services, data_dir=data_folder(data_dir), progress=output.progress(data_dir))
    print_addresses(stack, output)
    output.result(public(stack))
