"""`matinee mount` and `matinee unmount`: a published version as a read-only folder, and away again."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import DEFAULT_PLACE, Place

__all__ = ["mount", "unmount"]


def mount(version: str, directory: Path, /, *, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Show a published version as a read-only folder.

    With a store of your own the command returns at once and the folder stays until `matinee unmount`. With the
    embedded store it stays in the foreground, with the store, until Ctrl-C or `matinee unmount`.

    Args:
        version: LATEST, a data set's name, an id or its beginning, or name@id.
        directory: An empty folder; it is made where there is none.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    where = place.settled()
    mounted = verbs.mount(version, directory, progress=output.progress(place.data_dir), **where)
    if where["store"] is not None:  # the embedded one has said so before it began to wait, and is gone by now
        output.line(f"{mounted.dataset} {mounted.id}: {mounted.directory}, until `matinee unmount {mounted.directory}`")
    output.result(mounted)


def unmount(directory: Path, /, *, output: Output = SPEAKING) -> None:
    """Take a mounted version away again.

    Args:
        directory: Where it was mounted.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    unmounted = verbs.unmount(directory)
    output.line(f"{directory}: unmounted" if unmounted else f"{directory}: nothing is mounted there")
    output.result({"directory": directory, "unmounted": unmounted})
