"""Fetching from any store that rclone knows, by the user's own rclone configuration (`remote:path`)."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import DiskFullError, SourceDownloadError, SourceNotFoundError
from matinee.etl.digest import file_digests
from matinee.etl.download import Download, Record, Slot, Sums, check_data, in_place, land, writing_to
from matinee.etl.download_http import safe_name
from matinee.lineage.redact import scrub, without_credentials
from matinee.schema.progress import Progress, Silent
from matinee.sizes import show_size

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetch_remote"]

_POLL_S: Final = 0.2
_ASK_TIMEOUT_S: Final = 120
_SHOWN_CHARACTERS: Final = 300
_OPTIONS: Final = ("--contimeout=10s", "--low-level-retries=3", "--retries=3", "--log-level=NOTICE", "--use-json-log")
_ABSENT: Final = re.compile(r"not ?found|no ?such ?(file|key|bucket|container)|doesn't exist", re.IGNORECASE)
_NO_SPACE: Final = "no space left on device"


def fetch_remote(
    address: str, folder: Path, *, rclone: Path, cache: Path | None = None, progress: Progress | None = None
) -> Download:
    """Fetch the file at `remote:path` into `folder`, unless what is there came from it and it has not changed since.

    Rclone compares checksums after the transfer where the store has some. A transfer that broke off starts anew: rclone
    does not continue one.

    Args:
        address: as rclone takes it; one of its configured remotes, or `:backend:path`.
        folder: made where it is missing.
        rclone: the program.
        cache: see `matinee.etl.digest`.
        progress: told of a phase 'download'.

    Raises:
        SourceNotFoundError: no such remote, or no such file there.
        SourceDownloadError: rclone cannot fetch it.
        DiskFullError: no room.
    """
    progress, slot, shown = progress or Silent(), Slot(folder, address), without_credentials(address)
    with slot.locked(progress):
        entry = _ask(rclone, address, shown)
        name, size_bytes = safe_name(str(entry["Name"])), int(entry["Size"])
        total = size_bytes if size_bytes >= 0 else None
        state = f"{size_bytes} {entry.get('ModTime', '')}"
        if kept := _kept(slot, state, cache, progress):
            return kept
        slot.check_free(name)
        slot.clear()
        progress.start("download", total, "bytes")
        with writing_to(folder, total):
            try:
                _copy(rclone, address, shown, slot.part, progress)
            except BaseException:
                slot.clear()  # rclone could not continue it
                raise
            check_data(slot, name)
            progress.finish(show_size(slot.part.stat().st_size))
            digests = file_digests(slot.part, ("sha256",), cache=cache, progress=progress)
            return land(slot, Record(name, digests["sha256"], last_modified=state), digests, Sums(), cache)


def _ask(rclone: Path, address: str, shown: str) -> dict[str, Any]:
    """What the store says of the file: Name, Size (-1 where it does not know), ModTime, IsDir."""
    command = [str(rclone), "lsjson", "--stat", *_OPTIONS, "--", address]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_ASK_TIMEOUT_S
        )
        entry = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        raise SourceDownloadError(f"{shown}: no answer within {_ASK_TIMEOUT_S} s; check the remote") from None
    except (OSError, ValueError) as error:
        raise SourceDownloadError(f"{shown}: {rclone} cannot be used ({error})") from None
    if done.returncode != 0:
        raise _failure(shown, done.stderr)
    if not isinstance(entry, dict):
        raise SourceNotFoundError(f"{shown}: no such file there")
    if entry.get("IsDir"):
        raise SourceNotFoundError(f"{shown}: a folder, expected a file")
    return entry


def _kept(slot: Slot, state: str, cache: Path | None, progress: Progress) -> Download | None:
    record = slot.record()
    if record is None or record.last_modified != state:
        return None
    return in_place(slot.folder / record.name, Sums(record.sha256), cache=cache, progress=progress)


def _copy(rclone: Path, address: str, shown: str, part: Path, progress: Progress) -> None:
    # --inplace: the partial file has the name that is watched here; it gets its final one from `land`.
    command = [str(rclone), "copyto", "--inplace", *_OPTIONS, "--", address, str(part)]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log) as process:
        try:
            told = 0
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                have = part.stat().st_size if part.exists() else 0
                progress.advance(max(0, have - told))
                told = max(told, have)
                if process.returncode is not None:
                    break
        except BaseException:
            process.kill()
            raise
        if process.returncode != 0:
            log.seek(0)
            raise _failure(shown, log.read())


def _failure(shown: str, log: bytes) -> Exception:
    lines = [_message(line) for line in log.decode(errors="replace").splitlines() if line.strip()]
    # Its last word is the reason; before it come notices of all kinds.
    why = scrub(lines[-1].removeprefix("Failed to ") if lines else "rclone failed without a word")[:_SHOWN_CHARACTERS]
    if any("didn't find section in config file" in line for line in lines):
        return SourceNotFoundError(f"{shown}: rclone knows no such remote; 'rclone config' makes one")
    if any(_NO_SPACE in line for line in lines):
        return DiskFullError(f"{shown}: no space left for it; make room and run again")
    if lines and _ABSENT.search(lines[-1]):
        return SourceNotFoundError(f"{shown}: {why}")
    return SourceDownloadError(f"{shown}: {why}; check the remote with 'rclone lsf'")


def _message(line: str) -> str:
    try:
        return str(json.loads(line)["msg"]).strip()
    except (ValueError, KeyError, TypeError):
        return line.strip()
