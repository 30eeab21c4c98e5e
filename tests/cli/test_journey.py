"""Each command on a real version and a folder as its store: what it says, and the keys that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matinee.cli import main

STORED = {"id", "dataset", "location", "published", "latest", "files", "size_bytes", "rows", "source", "note"}
PUBLISHED = {
    "id", "dataset", "location", "manifest_sha256", "files", "size_bytes", "sent_files", "sent_bytes", "unchanged",
    "previous", "latest",
}  # fmt: skip


@pytest.fixture
def version(small_logs: dict[str, Path]) -> str:
    assert main(["transform", str(small_logs["ratings.csv"]), "--out", "version", "--quiet"]) == 0
    return "version"


@pytest.fixture
def store(version: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["load", version, "--to", "store", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    return "store"


def _json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main([*words, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_extract(small_logs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    log = small_logs["u.data"]
    archive = _json(capsys, "extract", str(log))
    assert archive.keys() >= {"path", "name", "sha256", "size", "origin", "licence", "fetched"}
    assert (archive["path"], archive["fetched"]) == (str(log), False)
    assert _json(capsys, "extract", str(log), "--out", "copies")["path"] == "copies/u.data"


def test_transform_and_again(small_logs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transform", str(small_logs["ratings.csv"]), "--out", "v", "--name", "may"]
    first = _json(capsys, *words)
    assert first.keys() == {"version", "name", "folder", "fresh", "certificate"}
    assert (first["name"], first["folder"], first["fresh"]) == ("may", "v", True)
    assert _json(capsys, *words) == first | {"fresh": False}
    assert main([*words, "--ties", "shuffle"]) == 1
    assert "choose another --out, or --force" in capsys.readouterr().err


def test_options_reach_the_settings(small_logs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transform", str(small_logs["ratings.csv"]), "--out", "v"]
    options = ["--cut", "1260759180", "--cut", "2009-12-14T02:53:20", "--no-raw", "--columns", "user=0,item=1,time=3"]
    certificate = _json(capsys, *words, *options, "--sep", ",")["certificate"]
    assert certificate["cuts"] == [1260759180, 1260759200]
    assert certificate["reading"]["columns"].keys() == {"user", "item", "time"}
    assert not any("raw" in path for path in (str(found) for found in Path("v").rglob("*")))


def test_load_says_what_it_sent(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    first = _json(capsys, "load", version, "--to", "store")
    assert first.keys() == PUBLISHED
    assert first["sent_files"]
    assert not first["unchanged"]
    again = _json(capsys, "versions", "publish", version, "--store", "store")
    assert again["unchanged"]


def test_versions(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    (listed,) = _json(capsys, "versions", "list", "--store", store)
    assert listed.keys() == STORED
    shown = _json(capsys, "versions", "show", "--store", store)
    assert shown.keys() == {"version", "manifest", "certificate", "run"}
    assert shown["version"] == listed
    verified = _json(capsys, "versions", "verify", "ratings", "--store", store)
    assert verified.keys() == {"id", "dataset", "location", "manifest_sha256", "files", "size_bytes"}
    pulled = _json(capsys, "versions", "pull", "--out", "copy", "--store", store)
    assert pulled.keys() == {
        "id", "dataset", "folder", "files", "size_bytes", "fetched_files", "fetched_bytes", "unchanged",
    }  # fmt: skip
    moved = _json(capsys, "versions", "rollback", listed["id"], "--store", store)
    assert moved == {"id": listed["id"], "dataset": "ratings", "previous": listed["id"], "unchanged": True}
    collected = _json(capsys, "versions", "gc", "--dry-run", "--store", store)
    assert collected.keys() == {"deleted", "incomplete", "kept", "freed_bytes", "dry_run"}
    assert collected["kept"] == [listed]


def test_versions_in_words(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["list"], ["show"], ["verify"], ["gc"]):
        assert main(["versions", *words, "--store", store]) == 0
    out = capsys.readouterr().out
    assert out.startswith("data set  version           latest  published         rows  files")
    assert "leaks     0 targets lie before a training event" in out
    assert "each with the SHA-256 of its manifest" in out
    assert "0 B freed, 1 versions stay" in out


def test_the_store_may_be_a_setting(store: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("MATINEE_STORE", store)
    assert len(_json(capsys, "versions", "list")) == 1


def test_lineage_is_whole_until_a_byte_changes(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = _json(capsys, "lineage", "--store", store)
    assert chain.keys() == {"version", "name", "whole", "links"}
    assert chain["whole"]
    assert [link["state"] for link in chain["links"]] == ["ok"] * 4
    text = next((tmp_path / "work" / store).rglob("ratings_train.txt"))
    text.write_bytes(text.read_bytes().replace(b"1", b"2", 1))
    assert not _json(capsys, "lineage", "--store", store, code=1)["whole"]
    assert main(["lineage", "--store", store]) == 1
    assert "training/ratings_train.txt has " in capsys.readouterr().out
    assert main(["versions", "verify", "--store", store]) == 1
    assert "training/ratings_train.txt" in capsys.readouterr().err
