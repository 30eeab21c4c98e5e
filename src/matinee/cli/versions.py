"""`matinee versions ...`: what a store holds, and what can be done with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.certificate import print_certificate
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.sizes import show_size

if TYPE_CHECKING:
    from matinee.store import StoredVersion

__all__ = ["gc", "list_", "publish", "pull", "rollback", "show", "verify"]


def list_(*, dataset: str | None = None, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """List the versions in a store, the newest first.

    Args:
        dataset: Only the versions of this data set.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    found = verbs.list(dataset=dataset, **place.settled())
    output.table(
        ("data set", "version", "latest", "published", "rows", "files", "size", "source"),
        [_row(version) for version in found],
        right=("rows", "files", "size"),
    )
    if not found:
        output.line("No versions yet; `matinee load DIR --to STORE` publishes one.")
    output.result(found)


def show(version: str = "LATEST", /, *, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Show one version: where it came from, its splits and files.

    Args:
        version: LATEST, a data set's name, an id or its beginning, or name@id.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    shown = verbs.show(version, **place.settled())
    output.facts(
        {
            "version": shown.version.id,
            "data set": shown.version.dataset,
            "latest": "yes" if shown.version.latest else "no",
            "published": f"{shown.version.published:%Y-%m-%d %H:%M:%S %Z}",
            "location": shown.version.location,
            "source": f"{shown.manifest.source.name}, {shown.manifest.source.origin}",
            "SHA-256": shown.manifest.source.sha256,
        }
    )
    if shown.certificate is not None:
        output.line()
        print_certificate(shown.certificate, output)
    output.line()
    files = [(entry.path, entry.rows, show_size(entry.size), entry.sha256) for entry in shown.manifest.files]
    output.table(("file", "rows", "size", "SHA-256"), files, right=("rows", "size"))
    output.result(shown)


def publish(folder: Path, /, *, recheck: Flag = False, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Publish a version's folder to a store, verify it there, and make it the latest.

    Args:
        folder: The version's folder, as `matinee transform` made it.
        recheck: Read back a version that is there already, too, and send again what is not right.
        place: Where to publish it.
        output: How to tell.
    """
    from matinee.cli.lineage import recorder  # noqa: PLC0415
    from matinee.cli.load import print_published  # noqa: PLC0415
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    where = place.settled()
    lineage = recorder(where["data_dir"], output)
    published = verbs.publish(
        folder, recheck=recheck, lineage=lineage, progress=output.progress(place.data_dir), **where
    )
    print_published(published, output)


def verify(version: str = "LATEST", /, *, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Read a version back from a store and compare every file's SHA-256 with its manifest.

    Args:
        version: LATEST, a data set's name, an id or its beginning, or name@id.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    verified = verbs.verify(version, progress=output.progress(place.data_dir), **place.settled())
    output.line(
        f"{verified.dataset} {verified.id}: {verified.files} files, {show_size(verified.size_bytes)}, "
        f"each with the SHA-256 of its manifest, in {verified.location}"
    )
    output.result(verified)


def pull(version: str = "LATEST", /, *, out: Path, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Copy a version from a store to a folder and verify it.

    Args:
        version: LATEST, a data set's name, an id or its beginning, or name@id.
        out: The folder that becomes the version's.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    pulled = verbs.pull(version, out=out, progress=output.progress(place.data_dir), **place.settled())
    done = "was there already, verified again" if pulled.unchanged else f"{show_size(pulled.fetched_bytes)} fetched"
    output.line(f"{pulled.dataset} {pulled.id}: {pulled.files} files in {pulled.folder}, {done}")
    output.result(pulled)


def rollback(version: str, /, *, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> None:
    """Make an older version the latest one again; nothing is deleted.

    Args:
        version: An id or its beginning, or name@id.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    moved = verbs.rollback(version, **place.settled())
    before = "and was before" if moved.unchanged else f"and was {moved.previous} before"
    output.line(f"The latest of {moved.dataset} is {moved.id} {before}.")
    output.result(moved)


def gc(
    *,
    keep: int = 3,
    dataset: str | None = None,
    dry_run: Flag = False,
    incomplete_now: Flag = False,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Delete old versions from a store; the latest is always kept.

    Args:
        keep: How many versions of each data set stay, the newest ones.
        dataset: Only in this data set.
        dry_run: Delete nothing, say what would be deleted.
        incomplete_now: Take what a publish left unfinished less than a day ago, too; it may still be at work.
        place: Where published versions are.
        output: How to tell.
    """
    from matinee.etl import versions as verbs  # noqa: PLC0415 - a command's rooms are loaded when it is called

    collected = verbs.gc(keep=keep, dataset=dataset, dry_run=dry_run, incomplete_now=incomplete_now, **place.settled())
    would = "would be " if dry_run else ""
    for version in collected.deleted:
        output.line(f"{version.dataset} {version.id} {would}deleted, {show_size(version.size_bytes)}")
    for remains in collected.incomplete:
        output.line(f"{remains.dataset} {remains.id}, an unfinished publish, {would}deleted")
    output.line(f"{show_size(collected.freed_bytes)} {would}freed, {len(collected.kept)} versions stay")
    output.result(collected)


def _row(version: "StoredVersion") -> tuple[object, ...]:
    return (
        version.dataset,
        version.id,
        "latest" if version.latest else "",
        f"{version.published:%Y-%m-%d %H:%M}",
        version.rows,
        version.files,
        show_size(version.size_bytes),
        version.note or version.source,
    )
