"""`matinee up`: the stack on this machine, and where to reach it."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

if TYPE_CHECKING:
    from matinee.stack import Stack

__all__ = ["print_addresses", "up"]


def up(
    services: list[str] | None = None,
    /,
    *,
    data_dir: Path | None = None,
    listen: str | None = None,
    output: Output = SPEAKING,
) -> None:
    """Start the stack on this machine; what runs already is left alone.

    Args:
        services: Of s3, postgres, mlflow and jupyter, with what they need; all by default.
        data_dir: The data folder; by default matinee-data.
        listen: An IP address of this machine that others may reach, 0.0.0.0 for all; by default this machine alone.
        output: How to tell.
    """
    from matinee.stack.lifecycle import up as start  # noqa: PLC0415 - a command's rooms are loaded when it is called

    stack = start(services, data_dir=data_folder(data_dir), listen=listen, progress=output.progress(data_dir))
    print_addresses(stack, output)
    output.result(public(stack))


def print_addresses(stack: "Stack", output: Output) -> None:
    """What to open, without what lets in."""
    rows = {
        "postgres": ("Postgres", f"{stack.postgres_address}, database matinee"),
        "s3": ("S3", stack.s3.url),
        "mlflow": ("MLflow", stack.mlflow_url),
        "jupyter": ("JupyterLab", stack.jupyter_address),
    }
    output.facts({title: address for name, (title, address) in rows.items() if name in stack.services})
    output.line()
    if stack.opened:
        output.line(f"Open to everybody who reaches {stack.listen}:")
        for line in stack.opened:
            output.line(f"  {line}")
        output.line()
    output.line(f"The data is in {stack.data_dir}. `matinee credentials` shows passwords, keys and the token.")


def public(stack: "Stack") -> dict[str, object]:
    """For --json: the same, without what lets in."""
    return {
        "data_dir": stack.data_dir,
        "services": stack.services,
        "listen": stack.listen,
        "postgres": stack.postgres_address,
        "s3": stack.s3.url,
        "mlflow": stack.mlflow_url,
        "jupyter": stack.jupyter_address,
    }
