from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from matinee.errors import SourceError, SourceNotFoundError
from matinee.etl import digest
from matinee.etl.digest import default_cache, file_digests, file_sha256, remember

DATA = b"1,2,3\n" * 1000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file that was left alone for a minute."""
    path = tmp_path / "log.csv"
    path.write_bytes(DATA)
    age(path)
    return path


def age(path: Path, seconds: int = 60) -> None:
    past = time.time() - seconds
    os.utime(path, (past, past))


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError("the file was read")

    monkeypatch.setattr(digest, "hash_into", refuse)


def test_sha256_of_a_file(log: Path) -> None:
    assert file_sha256(log) == hashlib.sha256(DATA).hexdigest()


def test_several_sums_come_from_one_reading(log: Path, listener: Any) -> None:
    found = file_digests(log, ("sha256", "md5"), progress=listener)
    assert found == {"sha256": hashlib.sha256(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest()}
    assert listener.phases == ["hash"]
    assert listener.advanced == len(DATA)


def test_a_known_file_is_not_read_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = file_sha256(log)
    forbid_reading(monkeypatch)
    assert file_sha256(log) == first
    with pytest.raises(AssertionError):  # another algorithm is not known yet
        file_digests(log, ("md5",))


def test_a_new_algorithm_keeps_the_old_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_digests(log, ("sha256",))
    file_digests(log, ("md5",))
    forbid_reading(monkeypatch)
    assert set(file_digests(log, ("md5", "sha256"))) == {"md5", "sha256"}


def test_a_changed_file_is_read_again(log: Path) -> None:
    file_sha256(log)
    other = DATA[:-2] + b"4\n"
    assert len(other) == len(DATA)
    log.write_bytes(other)
    age(log, 30)
    assert file_sha256(log) == hashlib.sha256(other).hexdigest()


def test_a_replaced_file_of_the_same_size_and_time_is_read_again(log: Path, tmp_path: Path) -> None:
    file_sha256(log)
    other = tmp_path / "other"
    other.write_bytes(DATA[:-2] + b"4\n")
    os.utime(other, ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
    other.replace(log)
    assert file_sha256(log) == hashlib.sha256(DATA[:-2] + b"4\n").hexdigest()


def test_a_fresh_file_is_not_trusted_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fresh.csv"
    path.write_bytes(DATA)
    file_sha256(path)
    forbid_reading(monkeypatch)
    with pytest.raises(AssertionError):
        file_sha256(path)


def test_what_is_known_otherwise_is_remembered_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fresh.csv"
    path.write_bytes(DATA)
    remember(path, {"sha256": "f00d"})
    forbid_reading(monkeypatch)
    assert file_sha256(path) == "f00d"


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"format": 9, "files": {}}', b'{"format": 1, "files": [1]}'])
def test_a_broken_cache_is_rewritten(log: Path, broken: bytes) -> None:
    cache = default_cache()
    cache.parent.mkdir(parents=True)
    cache.write_bytes(broken)
    assert file_sha256(log) == hashlib.sha256(DATA).hexdigest()
    assert json.loads(cache.read_bytes())["files"][str(log)]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert [path.name for path in cache.parent.iterdir()] == ["digests.json"]


def test_a_cache_that_cannot_be_written_only_costs_time(log: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert file_sha256(log, cache=blocked / "digests.json") == hashlib.sha256(DATA).hexdigest()


def test_the_cache_does_not_grow_for_ever(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_MAX_ENTRIES", 2)
    cache = tmp_path / "cache.json"
    for number in range(3):
        path = log.with_name(f"{number}.csv")
        path.write_bytes(DATA)
        age(path)
        file_sha256(path, cache=cache)
    assert [Path(path).name for path in json.loads(cache.read_bytes())["files"]] == ["1.csv", "2.csv"]


def test_the_default_place_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "matinee" / "digests.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache() == Path.home() / ".cache" / "matinee" / "digests.json"


def test_a_file_that_grows_meanwhile_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = digest.hash_into

    def grow(path: Path, hashes: Any, progress: Any = None) -> int:
        done = original(path, hashes, progress)
        with path.open("ab") as file:
            file.write(b"more")
        return done

    monkeypatch.setattr(digest, "hash_into", grow)
    with pytest.raises(SourceError, match="changed while it was read"):
        file_sha256(log)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such file"):
        file_sha256(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="cannot be read"):
        file_sha256(tmp_path)
