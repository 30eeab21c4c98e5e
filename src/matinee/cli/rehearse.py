"""`matinee rehearse`: the whole journey, and a page about what came of it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.certificate import print_certificate
from matinee.cli.next_steps import print_next_steps, program
from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.settings import read_settings

if TYPE_CHECKING:
    from matinee.rehearse import Rehearsal

__all__ = ["rehearse"]


def rehearse(
    source: str = "ml-100k",
    /,
    *,
    memory_limit: str | None = None,
    stack: bool = True,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Walk the whole journey: from a source to a published, verified version.

    Args:
        source: A catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        memory_limit: Of the transform: 1GB, 512MiB and so on; by default a quarter of the memory.
        stack: Use Postgres, S3 and MLflow of the data folder, started and stopped where they do not run.
        place: Where to publish.
        output: How to tell.
    """
    from matinee.rehearse import rehearse as walk  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    rehearsal = walk(
        source,
        memory_limit=memory_limit or settings.memory_limit_bytes,
        stack=stack,
        archives=settings.cache,
        openlineage_url=settings.openlineage_url,
        progress=output.progress(),
        **place.settled(settings),
    )
    if output.speaks:
        _print(rehearsal, output)
    output.result(
        {
            "version": rehearsal.version,
            "name": rehearsal.name,
            "worked": rehearsal.worked,
            "folder": rehearsal.folder,
            "location": rehearsal.location,
            "manifest_sha256": rehearsal.manifest_sha256,
            "certificate": rehearsal.certificate,
        }
    )


def _print(rehearsal: "Rehearsal", output: Output) -> None:
    name, version, folder = rehearsal.name, rehearsal.version, rehearsal.folder
    if rehearsal.worked:
        output.line(f"{name} {version} is published and verified.")
    else:
        output.line(f"{name} {version} is published and was verified on {rehearsal.verified}; nothing to do.")
    output.line()
    print_certificate(rehearsal.certificate, output)
    output.line()
    output.facts({"archive": rehearsal.archive, "version": folder, "published": rehearsal.location})
    output.line()
    at = _store_words(rehearsal)
    matinee = program()
    commands = {
        f"xdg-open {folder / 'certificate.html'}": "the certificate with its plots",
        f"head {folder / 'training' / f'{name}_train.txt'}": "user and item of the first events",
        f"{matinee} versions list{at}": "what the store holds",
        f"{matinee} versions verify {version}{at}": "read every byte back once more",
        f"{matinee} mount {version} {Path('mnt')}{at}": "the version as a read-only folder",
        f"{matinee} lineage {version}{at}": "where it came from",
    }
    print_next_steps("Look at it:", commands, output)


def _store_words(rehearsal: "Rehearsal") -> str:
    """The options that lead a command to the store of the rehearsal; none where it finds it by itself."""
    options: dict[str, object] = {"--store": rehearsal.store, "--endpoint": rehearsal.endpoint}
    if rehearsal.data_dir != read_settings().data_dir:
        options["--data-dir"] = rehearsal.data_dir
    return "".join(f" {option} {shlex.quote(str(value))}" for option, value in options.items() if value is not None)
