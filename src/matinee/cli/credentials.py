"""`matinee credentials`: the one command that shows what lets in."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["credentials"]


def credentials(*, data_dir: Path | None = None, output: Output = SPEAKING) -> None:
    """Show the addresses, passwords, keys and token of the stack.

    Args:
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.credentials import credentials as read  # noqa: PLC0415 - a command's rooms are loaded when called

    found = read(data_dir=data_folder(data_dir))
    output.facts(
        {
            "Postgres": found.postgres_url,
            "S3 endpoint": found.s3.url,
            "S3 access key": found.s3.access_key,
            "S3 secret key": found.s3.secret_key,
            "MLflow": f"{found.mlflow_url} (needs no key)",
            "JupyterLab": found.jupyter_url,
        }
    )
    output.result(found)
