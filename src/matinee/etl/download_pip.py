"""Fetching a wheel from the package index through pip, so that the user's own index, proxy and certificates apply."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from matinee.errors import DiskFullError, SourceDownloadError
from matinee.etl.digest import file_digests
from matinee.etl.download import Download, Record, Slot, Sums, in_place, land, writing_to
from matinee.lineage.redact import scrub
from matinee.schema.progress import Progress, Silent
from matinee.sizes import show_size

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetch_wheel"]

_TIMEOUT_S: Final = 600
_INDEX_TIMEOUT_S: Final = 15
_SHOWN_CHARACTERS: Final = 300


def fetch_wheel(
    requirement: str,
    folder: Path,
    name: str,
    sums: Sums,
    *,
    size_bytes: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    python: str = sys.executable,
) -> Download:
    """Fetch the wheel `name` of a pinned requirement into `folder`, unless it is there already; nothing is installed.

    Args:
        requirement: as in 'recbole==1.2.1'.
        folder: made where it is missing.
        name: the wheel's file name.
        sums: its published checksums, without which no wheel is taken.
        size_bytes: for the progress bar.
        cache: see `matinee.etl.digest`.
        progress: told of a phase 'download'.
        python: whose pip to use.

    Raises:
        SourceDownloadError: pip is missing, or the index does not have the wheel or does not answer.
        SourceChecksumError: the bytes are not the published ones.
        DiskFullError: no room.
    """
    progress, slot = progress or Silent(), Slot(folder, requirement)
    with slot.locked(progress):
        if kept := in_place(folder / name, sums, cache=cache, progress=progress):
            return kept
        progress.start("download", size_bytes, "bytes")
        try:
            with writing_to(folder, size_bytes):
                shutil.rmtree(slot.scratch, ignore_errors=True)  # a killed run may have left it
                slot.scratch.mkdir()
                _run_pip(python, requirement, slot.scratch)
                _take(requirement, slot, name)
                got_bytes = slot.part.stat().st_size
                progress.advance(got_bytes)
        finally:
            shutil.rmtree(slot.scratch, ignore_errors=True)
        progress.finish(show_size(got_bytes))
        with writing_to(folder):
            digests = file_digests(slot.part, sums.algorithms, cache=cache)
            return land(slot, Record(name, digests["sha256"]), digests, sums, cache)


def _run_pip(python: str, requirement: str, destination: Path) -> None:
    command = [
        python,
        "-m",
        "pip",
        "download",
        requirement,
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--quiet",
    ]
    # The user's own time-out may be minutes: this is one mirror among others, so it has to fail soon.
    command += [
        "--disable-pip-version-check",
        "--retries=1",
        f"--timeout={_INDEX_TIMEOUT_S}",
        "--dest",
        str(destination),
    ]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
        )
    except OSError as error:
        raise SourceDownloadError(f"{requirement}: {python} cannot be started ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise SourceDownloadError(f"{requirement}: pip was not done after {_TIMEOUT_S} s; check the index") from None
    if "No module named pip" in done.stderr:
        raise SourceDownloadError(
            f"{requirement}: pip is missing from this environment; add it ('{python} -m ensurepip') and run again"
        )
    if "[Errno 28]" in done.stderr:
        raise DiskFullError(f"{destination.parent.parent}: no space left for {requirement}; make room and run again")
    if done.returncode != 0:
        raise SourceDownloadError(f"{requirement}: {_reason(done.stderr)}; check the index and the network")


def _reason(stderr: str) -> str:
    """The last error that pip tells of, without credentials of the index."""
    errors = re.findall(r"^ERROR: (.+)$", stderr, re.MULTILINE) or stderr.strip().splitlines() or ["pip failed"]
    return scrub(errors[-1])[:_SHOWN_CHARACTERS].rstrip(".")


def _take(requirement: str, slot: Slot, name: str) -> None:
    found = sorted(path.name for path in slot.scratch.iterdir())
    if name not in found:
        raise SourceDownloadError(f"{requirement}: pip brought {', '.join(found) or 'nothing'}, expected {name}")
    (slot.scratch / name).replace(slot.part)
