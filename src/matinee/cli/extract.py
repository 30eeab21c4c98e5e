"""`matinee extract`: fetch a source's archive and hash it."""

from pathlib import Path

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Output
from matinee.settings import read_settings
from matinee.sizes import show_size

__all__ = ["extract"]


def extract(source: str, /, *, out: Path | None = None, output: Output = SPEAKING) -> None:
    """Fetch a source's archive and hash it.

    Args:
        source: A catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        out: The folder for the archive; by default `archives` in the data folder, and a local file stays where it is.
        output: How to tell.
    """
    from matinee.etl import stages  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    archive = stages.extract(
        source,
        out=out or (None if stages.is_local(source) else settings.archives),
        lineage=recorder(settings.data_dir, output),
        progress=output.progress(),
    )
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
    output.result(archive)
