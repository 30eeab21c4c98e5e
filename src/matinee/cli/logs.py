"""`matinee logs`: what the services of the stack have written."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import data_folder

__all__ = ["logs"]


def logs(
    service: str | None = None,
    /,
    *,
    follow: Annotated[Flag, Parameter(name=["--follow", "-f"])] = False,
    lines: int = 20,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Print what the services of the stack have written.

    Args:
        service: s3, postgres, mlflow, jupyter or supervisord; all by default.
        follow: Go on until Ctrl-C.
        lines: How many to begin with, of each.
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    import sys  # noqa: PLC0415 - as below

    from matinee.stack.logs import logs as read  # noqa: PLC0415 - a command's rooms are loaded when it is called

    said = read(service, follow=follow, lines=lines, data_dir=data_folder(data_dir))
    try:
        for name, line in said:
            output.line(line if service else f"{name:<11} | {line}")
            if output.json:
                output.result({"service": name, "line": line})
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return  # that is how following ends
