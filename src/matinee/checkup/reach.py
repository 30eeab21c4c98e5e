"""What lies beyond this process: the store that is named, and, where asked for, the mirrors of the catalogue."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from matinee.checkup.finding import Finding, note, ok, problem
from matinee.errors import MatineeError
from matinee.etl.catalogue import CATALOGUE
from matinee.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matinee.etl.catalogue import Dataset

__all__ = ["mirrors", "reached"]

_TIMEOUT_S: Final = 10.0
_INDEX_TIMEOUT_S: Final = 60
_SKEW_S: Final = 300.0  # a third of what S3 lets pass


def reached(address: str | None, endpoint: str | None) -> Iterator[Finding]:
    """The store at `address`: it answers, and shows what it has; and its clock, where it has an address of its own."""
    if address is None:
        yield ok("store", "none is named, so the one of the data folder is meant")
        return
    try:
        with open_store(address, endpoint=endpoint) as opened:
            names = opened.folders("")
            where = opened.show()
    except MatineeError as error:
        yield problem("store", address, str(error))
        return
    yield ok("store", f"{where}, {len(names)} data sets" if len(names) != 1 else f"{where}, 1 data set")
    if endpoint is not None:
        yield from _clock_at(endpoint)


def mirrors(catalogue: Mapping[str, Dataset] = CATALOGUE) -> Iterator[Finding]:
    """Each place that the catalogue fetches from, asked once."""
    seen: set[str] = set()
    for dataset in catalogue.values():
        for mirror in dataset.mirrors:
            place = urlsplit(mirror.address).netloc if mirror.kind == "http" else "package index"
            if place in seen:
                continue
            seen.add(place)
            yield _site(place, mirror.address) if mirror.kind == "http" else _index(mirror.address)


def _site(place: str, url: str) -> Finding:
    check = "mirror"
    advice = "a proxy or firewall may be in the way; other mirrors are tried, or give 'matinee extract' a file"
    try:
        answer = httpx.head(url, timeout=_TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        return note(check, f"{place}: {error or type(error).__name__}", advice)
    if answer.is_error:
        return note(check, f"{place}: answers {answer.status_code} for {url}", advice)
    skew_s = _skew_s(answer)
    if abs(skew_s) > _SKEW_S:
        return problem(check, f"{place}: our clock is {skew_s:+.0f} s off its", "set it: timedatectl set-ntp true")
    return ok(check, place)


def _index(requirement: str) -> Finding:
    """The package index as pip is set up here, which may be another one than pypi.org."""
    name = requirement.partition("==")[0]
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "index", "versions", name]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=_INDEX_TIMEOUT_S, check=False)
        said = "" if ended.returncode == 0 else (ended.stderr.strip().splitlines() or ["pip said nothing"])[-1]
    except subprocess.TimeoutExpired:
        said = f"no answer within {_INDEX_TIMEOUT_S} s"
    if said:
        return note("mirror", f"package index: {said}", "see 'pip config list'; other mirrors are tried first")
    return ok("mirror", "package index, through pip")


def _clock_at(endpoint: str) -> Iterator[Finding]:
    """Our clock against the store's: one that refuses signatures does not say that time is the reason."""
    try:
        skew_s = _skew_s(httpx.head(endpoint, timeout=_TIMEOUT_S))
    except (httpx.HTTPError, httpx.InvalidURL):
        return  # what matters has been asked and answered through rclone
    if abs(skew_s) > _SKEW_S:
        yield problem("store's clock", f"ours is {skew_s:+.0f} s off", "set it: timedatectl set-ntp true")
    else:
        yield ok("store's clock", f"ours is less than {_SKEW_S:.0f} s off")


def _skew_s(answer: httpx.Response) -> float:
    """By how much our clock is ahead of the sender's; 0 where it does not tell its own."""
    try:
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - theirs).total_seconds()
