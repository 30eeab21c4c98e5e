from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matinee
from matinee.cli import main
from matinee.errors import LineageError, SourceNotFoundError
from matinee.rehearse import Rehearsal, _has_a_place, rehearse
from matinee.schema.layout import LATEST, MANIFEST
from matinee.train import rehearsal


@pytest.fixture
def log(small_logs: dict[str, Path]) -> Path:
    return small_logs["ratings.csv"]


def _rehearse(log: Path, tmp_path: Path, store: str = "store") -> Rehearsal:
    return rehearse(log, store=str(tmp_path / store), data_dir=tmp_path / "data", stack=False, train=False)


def _times(folder: Path) -> dict[str, int]:
    """When each file was written last; but for the note of what a command is at, which ends with the command."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(name): path.stat().st_mtime_ns for name, path in files.items() if name.parts[0] != "progress"}


def test_the_journey_ends_with_a_published_version(log: Path, tmp_path: Path) -> None:
    done = _rehearse(log, tmp_path)
    assert done.worked
    assert done.name == "ratings"
    assert done.certificate.version == done.version
    published = tmp_path / "store" / "ratings"
    assert (published / LATEST).read_text().strip() == done.version
    here = (done.folder / MANIFEST).read_bytes()
    assert (published / "versions" / done.version / MANIFEST).read_bytes() == here
    chain = matinee.trace(done.version, store=str(tmp_path / "store"), data_dir=tmp_path / "data")
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
        "rehearsal = matinee.rehearse(sys.argv[1], store=sys.argv[2], data_dir=sys.argv[3], stack=False, train=False)\n"
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


@pytest.fixture
def walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log that something can be learnt from, and models small enough for it."""
    log = tmp_path / "walks.csv"
    rows = [
        f"{user},{100 + (user + step) % 20},{1_000_000_000 + 7 * user + 40 * step}"
        for user in range(40)
        for step in range(9)
    ]
    log.write_text("\n".join(["user,item,time", *rows]) + "\n")
    tiny = {"item_dim": 4, "user_dim": 4, "blocks": 1, "maxlen": 6, "negatives": 4, "epochs": 2, "batch_size": 8}
    monkeypatch.setattr(rehearsal, "TRIALS", {"sse-pt": tiny, "markov": {}, "popularity": {}})
    return log


def test_models_are_trained_compared_and_at_the_end_of_the_chain(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--no-stack", "--store", str(tmp_path / "store"), "--data-dir", str(tmp_path / "data")]
    assert main(["rehearse", str(walks), "--json", *place]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [trial["model"] for trial in first["trials"]] == ["sse-pt", "markov", "popularity"]
    by_model = {trial["model"]: trial for trial in first["trials"]}
    assert by_model["markov"]["metrics"]["hr@10"] > 0.9, "the next item is the last one's neighbour"
    assert by_model["markov"]["low"] <= by_model["markov"]["metrics"]["ndcg@10"] <= by_model["markov"]["high"]
    assert (Path(by_model["sse-pt"]["folder"]) / "model.onnx").is_file()
    kinds = [link.kind for link in matinee.trace(first["version"], data_dir=tmp_path / "data").links]
    assert kinds == ["source", "archive", "version", "published", *["checkpoint", "evaluation"] * 3]

    before = _times(tmp_path / "data")
    assert main(["rehearse", str(walks), *place]) == 0
    out = capsys.readouterr().out
    assert "nothing to do" in out
    (line,) = [line for line in out.splitlines() if line.startswith("markov ")]
    assert f"{by_model['markov']['metrics']['ndcg@10']:.4f}" in line
    assert "matinee evaluate walks/sse-pt walks/popularity" in out
    assert _times(tmp_path / "data") == before

    (Path(by_model["markov"]["folder"]) / "model.safetensors").unlink()
    again = rehearse(walks, store=str(tmp_path / "store"), data_dir=tmp_path / "data", stack=False)
    assert again.worked
    assert again.trials[1].is_there
    assert again.trials[1].metrics == by_model["markov"]["metrics"]


def test_without_torch_it_does_without_models_and_says_so(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearsal, "can_train", lambda: False)
    place = ["--no-stack", "--store", str(tmp_path / "store"), "--data-dir", str(tmp_path / "data")]
    assert main(["rehearse", str(log), *place]) == 0
    told = capsys.readouterr()
    assert "no models are trained: PyTorch is not installed; pip install 'matinee[train]'" in told.err
    assert "is published and verified" in told.out
    assert not (tmp_path / "data" / "models").exists()


def test_the_stack_is_started_and_stopped_by_itself_for_a_journey_with_all_its_stages(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--data-dir", str(tmp_path / "data")]
    assert main(["rehearse", str(walks), "--json", *place]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["worked"]
    assert not matinee.status(data_dir=tmp_path / "data").running
    arms = {arm["name"]: arm for arm in first["replay"]["arms"]}
    assert list(arms) == ["sse-pt", "popularity"]
    asked = first["certificate"]["test"]["rows"]
    assert all((arm["answered"], arm["unanswered"]) == (asked, 0) for arm in arms.values())
    links = matinee.trace(first["version"], data_dir=tmp_path / "data").links
    kinds = [link.kind for link in links]
    assert [kinds.count(kind) for kind in ("checkpoint", "evaluation", "report")] == [3, 3, 2]  # here, and in the store
    assert all(link.state == "ok" for link in links)

    before = _times(tmp_path / "data")
    assert main(["rehearse", str(walks), *place]) == 0
    out = capsys.readouterr().out
    assert "nothing to do" in out
    assert f"matinee versions verify {first['version']} {' '.join(place)}" in out
    (line,) = [line for line in out.splitlines() if line.startswith(f"popularity  {asked:>8} ")]
    assert f"{arms['popularity']['metrics']['ndcg@10']:.4f}" in line
    assert _times(tmp_path / "data") == before

    assert main(["versions", "list", "--json", *place]) == 0
    (version,) = json.loads(capsys.readouterr().out)
    assert (version["id"], version["latest"], version["rows"]) == (first["version"], True, 360)
    assert not matinee.status(data_dir=tmp_path / "data").running


def test_an_embedded_store_that_was_deleted_is_filled_again(tmp_path: Path) -> None:
    assert not _has_a_place(tmp_path, None)
    (tmp_path / "s3_data").mkdir()
    assert _has_a_place(tmp_path, None)
    assert _has_a_place(tmp_path, "s3://elsewhere")
