"""`matinee extract`: fetch a source's archive and hash it."""

from dataclasses import asdict
from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.schema.size import show_size
from matinee.settings import read_settings

__all__ = ["extract"]


def extract(source: str, /, *, out: Path | None = None, output: Output = SPEAKING) -> None:
    """Fetch a source's archive and hash it.

    Args:
        source: A catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        out: The folder for the archive; by default `archives` in the data folder.
    """
    from matinee.etl.extract import extract as fetch  # noqa: PLC0415 - HTTP is loaded only where it is used

    archive = fetch(source, out or read_settings().archives, progress=output.progress())
    output.facts(
        {
            "archive": archive.path,
            "size": show_size(archive.size),
            "SHA-256": archive.sha256,
            "from": archive.origin,
            "licence": archive.licence or "not known",
        }
    )
    if not archive.fetched:
        output.line("It was here already; nothing was fetched.")
    output.result(asdict(archive) | {"path": str(archive.path)})
