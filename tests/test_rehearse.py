from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import matinee
from matinee.cli import main
from matinee.errors import LineageError, SourceNotFoundError
from matinee.rehearse import Rehearsal, _has_a_place, rehearse
from matinee.schema.layout import LATEST, MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(small_logs: dict[str, Path]) -> Path:
    return small_logs["ratings.csv"]


def _rehearse(log: Path, tmp_path: Path, store: str = "store") -> Rehearsal:
    return rehearse(log, store=str(tmp_path / store), data_dir=tmp_path / "data", stack=False)


def _times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_journey_ends_with_a_published_version(log: Path, tmp_path: Path) -> None:
    rehearsal = _rehearse(log, tmp_path)
    assert rehearsal.worked
    assert rehearsal.name == "ratings"
    assert rehearsal.certificate.version == rehearsal.version
    published = tmp_path / "store" / "ratings"
    assert (published / LATEST).read_text().strip() == rehearsal.version
    here = (rehearsal.folder / MANIFEST).read_bytes()
    assert (published / "versions" / rehearsal.version / MANIFEST).read_bytes() == here
    chain = matinee.trace(rehearsal.version, store=str(tmp_path / "store"), data_dir=tmp_path / "data")
    assert chain.whole
    assert [link.state for link in chain.links] == ["ok"] * 4


def test_a_second_one_does_nothing(log: Path, tmp_path: Path) -> None:
    first = _rehearse(log, tmp_path)
    before = _times(tmp_path / "data") | _times(tmp_path / "store")
    second = _rehearse(log, tmp_path)
    assert not second.worked
    assert (second.version, second.location, second.verified) == (first.version, first.location, first.verified)
    assert _times(tmp_path / "data") | _times(tmp_path / "store") == before


def test_a_second_one_loads_no_heavy_library(log: Path, tmp_path: Path) -> None:
    _rehearse(log, tmp_path)
    code = (
        "import sys, matinee\n"
        "rehearsal = matinee.rehearse(sys.argv[1], store=sys.argv[2], data_dir=sys.argv[3], stack=False)\n"
        "assert not rehearsal.worked\n"
        "heavy = ('numba', 'numpy', 'pyarrow', 'matplotlib', 'openlineage', 'httpx')\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or 0)\n"
    )
    words = [str(log), str(tmp_path / "store"), str(tmp_path / "data")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_store_gets_the_same_version(log: Path, tmp_path: Path) -> None:
    first = _rehearse(log, tmp_path)
    made = _times(first.folder)
    second = _rehearse(log, tmp_path, store="other")
    assert second.worked
    assert second.version == first.version
    assert _times(first.folder) == made
    assert (tmp_path / "other" / "ratings" / LATEST).is_file()


def test_another_log_is_another_version(log: Path, tmp_path: Path) -> None:
    first = _rehearse(log, tmp_path)
    log.write_bytes(log.read_bytes() + b"9,10,1.0,1260759400\n")
    second = _rehearse(log, tmp_path)
    assert second.worked
    assert second.version != first.version
    assert first.folder.is_dir()


def test_a_version_here_that_lost_a_file_is_made_again(log: Path, tmp_path: Path) -> None:
    first = _rehearse(log, tmp_path)
    text = first.folder / "training" / "ratings_train.txt"
    before = text.read_bytes()
    text.unlink()
    assert _rehearse(log, tmp_path).worked
    assert text.read_bytes() == before


@pytest.mark.parametrize("content", [None, "", "[]", '{"store": 1}'])
def test_without_a_good_receipt_it_is_verified_again(content: str | None, log: Path, tmp_path: Path) -> None:
    _rehearse(log, tmp_path)
    (receipt,) = (tmp_path / "data" / "receipts").iterdir()
    receipt.unlink()
    if content is not None:
        receipt.write_text(content)
    assert _rehearse(log, tmp_path).worked
    assert json.loads(receipt.read_text())["verified"]
    assert not _rehearse(log, tmp_path).worked


def test_a_changed_byte_in_the_store_is_named(log: Path, tmp_path: Path) -> None:
    first = _rehearse(log, tmp_path)
    shutil.rmtree(tmp_path / "data" / "receipts")
    items = tmp_path / "store" / "ratings" / "versions" / first.version / "sequences" / "train" / "items.npy"
    content = bytearray(items.read_bytes())
    content[-1] ^= 1
    items.write_bytes(content)
    with pytest.raises(LineageError, match=r"sequences/train/items.npy"):
        _rehearse(log, tmp_path)
    assert not list((tmp_path / "data" / "receipts").glob("*")), "no receipt for what could not be verified"


def test_a_source_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        rehearse(tmp_path / "nowhere.csv", store=str(tmp_path / "store"), data_dir=tmp_path / "data")
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "data" / "versions").exists()


def test_the_stack_is_started_and_stopped_by_itself(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--data-dir", str(tmp_path / "data")]
    assert main(["rehearse", str(log), "--json", *place]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["worked"]
    assert not matinee.status(data_dir=tmp_path / "data").running

    assert main(["rehearse", str(log), *place]) == 0
    out = capsys.readouterr().out
    assert "nothing to do" in out
    assert f"matinee versions verify {first['version']} {' '.join(place)}" in out

    assert main(["versions", "list", "--json", *place]) == 0
    (version,) = json.loads(capsys.readouterr().out)
    assert (version["id"], version["latest"], version["rows"]) == (first["version"], True, 8)
    assert not matinee.status(data_dir=tmp_path / "data").running


def test_an_embedded_store_that_was_deleted_is_filled_again(tmp_path: Path) -> None:
    assert not _has_a_place(tmp_path, None)
    (tmp_path / "s3_data").mkdir()
    assert _has_a_place(tmp_path, None)
    assert _has_a_place(tmp_path, "s3://elsewhere")
