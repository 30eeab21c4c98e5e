"""`matinee load`: publish a version from this machine to a store and verify it there."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.settings import read_settings
from matinee.sizes import show_size

if TYPE_CHECKING:
    from matinee.store import Published

__all__ = ["load", "print_published"]


def load(
    folder: Path, /, *, to: str, endpoint: str | None = None, recheck: Flag = False, output: Output = SPEAKING
) -> None:
    """Publish a version from this machine to a store and verify it there.

    Args:
        folder: The version's folder, as `matinee transform` made it.
        to: A folder, an rclone remote:path, or s3://bucket.
        endpoint: The address of the S3 service for s3://bucket; keys come from the environment.
        recheck: Read back a version that is there already, too, and send again what is not right.
        output: How to tell.
    """
    from matinee.etl.stages import load as stage  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    published = stage(
        folder,
        to=to,
        endpoint=endpoint or settings.endpoint,
        recheck=recheck,
        lineage=recorder(settings.data_dir, output),
        progress=output.progress(settings.data_dir),
    )
    print_published(published, output)


def print_published(published: "Published", output: Output) -> None:
    """What came of a publish."""
    sent = "it was there already" if published.unchanged else f"{show_size(published.sent_bytes)} sent"
    output.line(
        f"{published.dataset} {published.id}: {published.files} files in {published.location}, {sent}, verified"
    )
    if not published.latest:
        output.line("Somebody else has published since; LATEST names theirs.")
    output.result(published)
