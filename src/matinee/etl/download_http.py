"""Fetching over HTTP: streamed, hashed on the way, taken up again where it broke off, tried again where that may help.

A partial file is only continued where the server vouches (If-Range with a strong ETag or a date) that it is still the
same file; in every other case the transfer starts from its first byte.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import socket
import ssl
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httpx

from matinee.errors import DiskFullError, SourceChecksumError, SourceDownloadError, SourceNotFoundError
from matinee.etl.digest import hash_into
from matinee.etl.download import Download, Record, Slot, Sums, check_data, in_place, land, write_json, writing_to
from matinee.lineage.redact import scrub, without_credentials
from matinee.schema.progress import Progress, Silent
from matinee.sizes import show_size

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HttpLimits", "fetch_url", "safe_name"]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How patient a transfer is.

    Attributes:
        connect_timeout_s: for a server to take the connection.
        read_timeout_s: for the next bytes to arrive.
        attempts: in a row without headway (a MiB) before it is given up.
        connect_attempts: the same where no connection comes about at all.
        backoff_s: the first pause; each further one is twice as long, up to `longest_pause_s`, and varied by a half.
        longest_pause_s: also the longest that a server may ask for (Retry-After).
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    attempts: int = 6
    connect_attempts: int = 3
    backoff_s: float = 0.5
    longest_pause_s: float = 60.0


def fetch_url(
    url: str,
    folder: Path,
    *,
    name: str = "",
    sums: Sums | None = None,
    limits: HttpLimits | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Download:
    """Fetch `url` into `folder`, unless it is there already.

    A file with published checksums that is in place is not asked for again. Without them the server is asked whether
    its file has changed since; one that cannot be asked, or cannot say, is taken to have the same file still.

    Args:
        url: http or https; redirects are followed, but not from https to http.
        folder: made where it is missing.
        name: the file's name; empty takes the server's (Content-Disposition), else the address's.
        sums: published checksums.
        limits: see `HttpLimits`.
        cache: see `matinee.etl.digest`.
        progress: told of a phase 'download'.

    Raises:
        SourceNotFoundError: the server has no such file.
        SourceDownloadError: it does not answer, refuses, breaks off for good, or gives a web page.
        SourceChecksumError: the bytes are not the published ones.
        DiskFullError: no room; what has arrived is kept for the next time.
    """
    sums, progress, slot = sums or Sums(), progress or Silent(), Slot(folder, url)
    with slot.locked(progress):
        if name and sums.published and (kept := in_place(folder / name, sums, cache=cache, progress=progress)):
            return kept
        kept = _kept(slot, cache, progress)
        transfer = _Transfer(url, slot, name, sums, limits or HttpLimits(), progress)
        if kept is not None and not transfer.ask_if_changed(slot.record()):
            return kept
        try:
            with writing_to(folder):
                record, digests = transfer.run()
                check_data(slot, record.name)
                return land(slot, record, digests, sums, cache)
        except (SourceDownloadError, SourceNotFoundError) as error:
            if kept is None:
                raise
            progress.say(f"{error}; using {kept.path}, as it was fetched before")
            return kept


def safe_name(text: str) -> str:
    """A file name from what a server or an address says: its last part, without anything that could lead elsewhere."""
    last = re.split(r"[/\\]", text)[-1]
    clean = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last).strip().lstrip(".")
    while len(clean.encode()) > _LONGEST_NAME_BYTES:
        clean = clean[1:]
    return clean or "download"


_LONGEST_NAME_BYTES: Final = 150
_HEADWAY_BYTES: Final = 1 << 20
_BUFFER_BYTES: Final = 1 << 18
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class _State:
    """Of the file that the partial one is a beginning of."""

    name: str
    total: int | None
    etag: str
    last_modified: str

    @property
    def validator(self) -> str:
        """What If-Range takes: a weak ETag does not promise the same bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class _RetryError(Exception):
    """This attempt failed, another may not."""

    def __init__(self, why: str, *, pause_s: float | None = None, connected: bool = True) -> None:
        super().__init__(why)
        self.pause_s = pause_s
        self.connected = connected


def _kept(slot: Slot, cache: Path | None, progress: Progress) -> Download | None:
    """The file that this address gave before, where it is still the same."""
    record = slot.record()
    if record is None or slot.part.exists():
        return None  # where a partial file is there as well, something newer was on its way
    try:
        return in_place(slot.folder / record.name, Sums(record.sha256), cache=cache, progress=progress)
    except SourceChecksumError as error:
        path = slot.folder / record.name
        raise SourceChecksumError(f"{error} ({path.name} was changed since it was fetched)") from None


class _Transfer:
    """One file on its way into a slot's partial file."""

    def __init__(self, url: str, slot: Slot, name: str, sums: Sums, limits: HttpLimits, progress: Progress) -> None:
        self._url = url
        self._shown = without_credentials(url)
        self._slot = slot
        self._name = name
        self._sums = sums
        self._limits = limits
        self._progress = progress
        self._phase = False
        self._hashes: dict[str, Any] = {}
        self._hashed_bytes = 0

    def ask_if_changed(self, record: Record | None) -> bool:
        """Whether the address may have another file by now than the one recorded."""
        if record is None or not (record.etag or record.last_modified):
            if record is not None:
                self._progress.say(
                    f"{self._shown} cannot say whether it changed; delete {record.name} to fetch it anew"
                )
            return False
        headers = {"If-None-Match": record.etag} if record.etag else {"If-Modified-Since": record.last_modified}
        try:
            with self._client() as client, client.stream("GET", self._url, headers=headers) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._progress.say(
                f"{self._shown} cannot be asked whether it changed ({scrub(str(error))}); taken as it is"
            )
            return False
        if status == httpx.codes.OK:
            self._progress.say(f"{self._shown} has changed; fetching it anew")
        elif status != httpx.codes.NOT_MODIFIED:
            self._progress.say(f"{self._shown} answers {status} by now; {record.name} is taken as it is")
        return status == httpx.codes.OK

    def run(self) -> tuple[Record, dict[str, str]]:
        """Bring the partial file to its end; returns what it is, and its checksums."""
        failures, before = 0, self._part_bytes()
        with self._client() as client:
            while True:
                try:
                    state = self._attempt(client)
                    break
                except _RetryError as error:
                    gained = self._part_bytes() - before
                    failures = 1 if gained >= _HEADWAY_BYTES else failures + 1
                    before += gained
                    self._give_up_or_wait(error, failures)
        if self._phase:
            self._progress.finish(show_size(self._hashed_bytes))
        digests = {algorithm: each.hexdigest() for algorithm, each in self._hashes.items()}
        return Record(state.name, digests["sha256"], state.etag, state.last_modified), digests

    def _client(self) -> httpx.Client:
        timeout = httpx.Timeout(self._limits.read_timeout_s, connect=self._limits.connect_timeout_s)
        # 'identity': what is hashed and kept must be the file's own bytes, not a packing of them for the way.
        headers = {"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "matinee"}
        return httpx.Client(timeout=timeout, headers=headers, follow_redirects=True, max_redirects=10)

    def _attempt(self, client: httpx.Client) -> _State:
        state, have = self._resumable()
        if state is not None and have == state.total:
            self._rehash()  # all had arrived, and then the process was killed
            return state
        headers = {"Range": f"bytes={have}-", "If-Range": state.validator} if state is not None else {}
        try:
            with client.stream("GET", self._url, headers=headers) as response:
                self._check_downgrade(response)
                self._check_status(response)
                return self._receive(response, state, have)
        except httpx.TransportError as error:
            raise self._transport(error) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceDownloadError(f"{self._shown}: {scrub(str(error))}; check the address") from None

    def _receive(self, response: httpx.Response, state: _State | None, have: int) -> _State:
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            fresh = self._continued(response, state, have)
            self._rehash()
        else:
            fresh = self._fresh_state(response)
            self._slot.check_free(fresh.name)
            self._slot.clear()
            write_json(self._slot.state, asdict(fresh))
            self._restart_hashes()
        self._check_room(fresh.total)
        self._start_phase(fresh.total)
        with self._slot.part.open("ab", buffering=_BUFFER_BYTES) as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                self._hash(chunk)
        if fresh.total is not None and self._hashed_bytes != fresh.total:
            if self._hashed_bytes > fresh.total:
                self._slot.clear()
            raise _RetryError(f"{self._hashed_bytes:,} bytes arrived, expected {fresh.total:,}")
        return fresh

    def _resumable(self) -> tuple[_State | None, int]:
        """The state of a partial file that can be continued, and its bytes."""
        have = self._part_bytes()
        try:
            state = _State(**json.loads(self._slot.state.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None, 0
        usable = have and state.validator and (state.total is None or have <= state.total)
        return (state, have) if usable else (None, 0)

    def _continued(self, response: httpx.Response, state: _State | None, have: int) -> _State:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        etag = response.headers.get("ETag", "")
        same = state is not None and found is not None and int(found[1]) == have
        if same and state is not None and found is not None:
            same = found[2] in {"*", str(state.total)} and etag in {"", state.etag}
        if state is None or not same:
            self._slot.clear()
            raise _RetryError("the server continued with other bytes than asked for", pause_s=0)
        return state

    def _fresh_state(self, response: httpx.Response) -> _State:
        length = response.headers.get("Content-Length", "")
        name = self._name or _suggested_name(response)
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        return _State(name, int(length) if length.isdecimal() else None, etag, modified)

    def _check_downgrade(self, response: httpx.Response) -> None:
        if self._url.lower().startswith("https:") and any(
            hop.url.scheme != "https" for hop in [*response.history, response]
        ):
            raise SourceDownloadError(f"{self._shown} leads to an unprotected http address; not followed")

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            return
        shown = f"{status} {response.reason_phrase}".strip()
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._slot.clear()
            raise _RetryError(f"the server answered {shown}", pause_s=0)
        if status in _RETRIED:
            raise _RetryError(f"the server answered {shown}", pause_s=_retry_after_s(response))
        if status in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
            raise SourceNotFoundError(f"{self._shown}: the server answered {shown}; check the address")
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise SourceDownloadError(f"{self._shown}: the server answered {shown}; share it openly, or renew the link")
        raise SourceDownloadError(f"{self._shown}: the server answered {shown}, expected 200; check the address")

    def _transport(self, error: httpx.TransportError) -> Exception:
        cause: BaseException | None = error
        final = isinstance(error, httpx.UnsupportedProtocol)
        while cause is not None:
            # A name that does not exist, or a certificate that does not hold, is no better a second later.
            final |= isinstance(cause, ssl.SSLCertVerificationError)
            final |= isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN
            cause = cause.__cause__ or cause.__context__
        why = scrub(str(error)) or type(error).__name__
        if final:
            return SourceDownloadError(f"{self._shown}: {why}; check the address and the network")
        return _RetryError(why, connected=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout))

    def _give_up_or_wait(self, error: _RetryError, failures: int) -> None:
        limits = self._limits
        pause_s = error.pause_s
        if pause_s is None:
            pause_s = min(limits.longest_pause_s, limits.backoff_s * 2 ** (failures - 1)) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        if failures >= (limits.attempts if error.connected else limits.connect_attempts):
            kept = self._part_bytes()
            note = (
                f"; {show_size(kept)} are kept, run again to go on" if kept else "; check the address and the network"
            )
            raise SourceDownloadError(f"{self._shown}: {error} ({failures} attempts){note}") from None
        if pause_s > limits.longest_pause_s * 1.5:
            raise SourceDownloadError(f"{self._shown}: {error}, and asks to come back in {pause_s:.0f} s") from None
        self._progress.say(f"{self._shown}: {error}; again in {pause_s:.1f} s")
        time.sleep(pause_s)

    def _check_room(self, total: int | None) -> None:
        missing = (total or 0) - self._hashed_bytes
        free = shutil.disk_usage(self._slot.folder).free
        if missing > free:
            raise DiskFullError(
                f"{self._slot.folder}: {show_size(free)} free, {show_size(missing)} more are needed; "
                f"make room, or choose another --out"
            )

    def _start_phase(self, total: int | None) -> None:
        if self._phase:
            self._progress.finish("taken up again" if self._hashed_bytes else "from the start again")
        self._phase = True
        self._progress.start("download", total, "bytes")
        self._progress.advance(self._hashed_bytes)

    def _rehash(self) -> None:
        """Hash what is there, unless it is just what has been hashed on its way in (so never inside a phase)."""
        if self._hashed_bytes != self._part_bytes() or not self._hashes:
            self._restart_hashes()
            self._progress.start("hash", self._part_bytes(), "bytes")
            self._hashed_bytes = hash_into(self._slot.part, list(self._hashes.values()), self._progress)
            self._progress.finish("of what had arrived before")

    def _restart_hashes(self) -> None:
        self._hashes = {name: hashlib.new(name, usedforsecurity=name != "md5") for name in self._sums.algorithms}
        self._hashed_bytes = 0

    def _hash(self, chunk: bytes) -> None:
        for each in self._hashes.values():
            each.update(chunk)
        self._hashed_bytes += len(chunk)
        self._progress.advance(len(chunk))

    def _part_bytes(self) -> int:
        try:
            return self._slot.part.stat().st_size
        except FileNotFoundError:
            return 0


def _suggested_name(response: httpx.Response) -> str:
    message = Message()
    message["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    if name := message.get_filename():
        return safe_name(unquote(name))
    # The last address may be a store's key; the one asked for says more where it ends in a file name.
    asked = unquote((response.history or [response])[0].url.path)
    reached = unquote(response.url.path)
    return safe_name(asked if "." in asked.rpartition("/")[2] else reached)


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
