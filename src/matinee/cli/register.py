"""`matinee register`: a version becomes known to Postgres and MLflow."""

from pathlib import Path

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["register"]


def register(
    folder: Path, /, *, location: str | None = None, data_dir: Path | None = None, output: Output = SPEAKING
) -> None:
    """Check a version, put its users and items into Postgres, and log it in MLflow.

    Args:
        folder: The version's folder, as `matinee transform` made it.
        location: Where it was published, as `matinee load` told.
        data_dir: The data folder whose Postgres and MLflow are meant; by default matinee-data.
        output: How to tell.
    """
    from matinee.register import register as enrol  # noqa: PLC0415 - a command's rooms are loaded when it is called

    where = data_folder(data_dir)
    registered = enrol(
        folder, location=location, data_dir=where, lineage=recorder(where, output), progress=output.progress(data_dir)
    )
    state = "was registered already" if registered.unchanged else "is registered"
    output.line(f"{registered.dataset} {registered.id} {state}.")
    output.facts(
        {
            "Postgres": f"{registered.database}, {registered.users:,} users, {registered.items:,} items",
            "MLflow": registered.page,
        }
    )
    output.result(registered)
