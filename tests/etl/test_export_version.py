"""A version as other trainers read it, each format loaded by the library that it is for; and whole, or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matinee
from matinee.cli import main
from matinee.errors import DiskFullError, UsageError, VersionConflictError, VersionDamagedError
from matinee.etl.export_sasrec import _blocks
from matinee.etl.export_version import HashedFile
from matinee.schema.layout import ITEM_IDS, SPLITS, USER_IDS, events_path, sequence_path
from matinee.version import Sequences, open_version
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.version import Version

_RECBOLE = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
_FORMATS = ("recbole", "sasrec", "hf")

# Seconds that float32, which is what RecBole keeps them in, cannot tell apart; some of them are ties.
_CHANCE = np.random.default_rng(7)
ROWS = [
    (int(user) + 100, int(item) + 1_000, 880_000_000 + second // 3)
    for second, (user, item) in enumerate(zip(_CHANCE.integers(0, 9, 240), _CHANCE.integers(0, 40, 240), strict=True))
]
RATINGS = ["" if number % 7 == 0 else str(number % 10 / 2) for number in range(len(ROWS))]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """With ratings, some of them missing."""
    folder = tmp_path_factory.mktemp("rated")
    lines = [f"{user},{item},{rating},{time}\n" for (user, item, time), rating in zip(ROWS, RATINGS, strict=True)]
    (folder / "rated.csv").write_text("user,item,rating,time\n" + "".join(lines))
    return open_version(matinee.transform(folder / "rated.csv", out=folder / "version", time_unit="s").folder)


def events(version: Version, *splits: str) -> list[tuple[int, int, float | None, int]]:
    """User, item, rating, timestamp of each event."""
    rows = []
    for split in splits or SPLITS:
        table = pq.read_table(version.folder / events_path(split)).to_pylist()  # type: ignore[arg-type]
        rows += [(row["user"], row["item"], row.get("rating"), row["timestamp"]) for row in table]
    return rows


def by_user(rows: Iterable[tuple[int, int, Any, Any]]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for user, item, _, _ in rows:
        found[user].append(item)
    return dict(found)


@pytest.mark.skipif(not _RECBOLE.exists(), reason="RecBole is not there; make .venv-peers/.installed")
def test_recbole_reads_our_splits_and_every_history(version: Version, tmp_path: Path) -> None:
    made = matinee.export(version.folder, format="recbole", out=tmp_path / "out")
    columns = ["user_id", "item_id", "rating", "timestamp"]
    program = Path(__file__).with_name("recbole_reads.py")
    told = json.loads(_run([_RECBOLE, program, made.path, f"rated-{version.id}", *columns], {}))
    ratings = [rating for row in events(version) if (rating := row[2]) is not None]
    for split, pairs, stars, times in zip(SPLITS, told["splits"], *map(told["numbers"].get, columns[2:]), strict=True):
        expected = events(version, split)
        assert [*map(tuple, pairs)] == [row[:2] for row in expected]
        # RecBole puts the mean of all in the place of a rating that is missing.
        mean = pytest.approx(np.mean(ratings))
        assert stars == [mean if row[2] is None else row[2] for row in expected]
        assert times == [float(np.float32(row[3])) for row in expected]
    assert {int(user): items for user, items in told["histories"].items()} == by_user(events(version))


@pytest.mark.parametrize("rated", [True, False])
def test_atomic_files_are_the_events(version: Version, rated: bool, tmp_path: Path) -> None:
    source = version if rated else small_version(tmp_path, ROWS, split="leave-one-out")
    folder = matinee.export(source.folder, format="recbole", out=tmp_path / "out").path
    stem = f"{source.name}-{source.id}"
    rating = "rating:float\t" if rated else ""
    for name, splits in {"": SPLITS, ".train": ["train"], ".valid": ["eval"], ".test": ["test"]}.items():
        header, *lines = (folder / stem / f"{stem}{name}.inter").read_text().splitlines()
        assert header == f"user_id:token\titem_id:token\t{rating}timestamp:float"
        found = [[float(field) if field else None for field in line.split("\t")] for line in lines]
        expected = events(source, *splits)
        assert found == [[user, item, *([stars] if rated else []), time] for user, item, stars, time in expected]


@pytest.mark.parametrize("split", ["time", "leave-one-out", "ratio"])
def test_the_sasrec_family_reads_every_history(split: Any, tmp_path: Path) -> None:
    source = small_version(tmp_path, ROWS, split=split)
    made = matinee.export(source.folder, format="sasrec", out=tmp_path / "out")
    train, valid, test, users, items = read_as_sasrec(made.path / "log.txt")
    assert {user: train[user] + valid[user] + test[user] for user in train} == by_user(events(source))
    assert [*train] == sorted(train)
    assert all(len(valid[user]) == len(test[user]) == 1 for user in train)
    assert (users, items) == (source.users, source.items)


def read_as_sasrec(path: Path) -> tuple[dict[int, list[int]], dict[int, list[int]], dict[int, list[int]], int, int]:
    """What `data_partition` of the published program makes of a text (github.com/kang205/SASRec, util.py), retold.

    Each line is cut at its one space; each user's last item is for the test and the one before for validation, unless
    there are fewer than three; the largest ids size the tables.
    """
    histories: dict[int, list[int]] = defaultdict(list)
    for line in path.read_text().splitlines(keepends=True):
        user, item = line.rstrip().split(" ")
        histories[int(user)].append(int(item))
    train, valid, test = {}, {}, {}
    for user, items in histories.items():
        cuts = (len(items), len(items)) if len(items) < 3 else (len(items) - 2, len(items) - 1)
        train[user], valid[user], test[user] = items[: cuts[0]], items[cuts[0] : cuts[1]], items[cuts[1] :]
    return train, valid, test, max(histories), max(item for items in histories.values() for item in items)


@given(
    st.lists(st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=3, max_size=3), max_size=8), st.integers(1, 6)
)
def test_blocks_are_users_one_after_another(log: list[list[list[int]]], rows: int) -> None:
    parts = []
    for part in range(3):
        own = [[], *(user[part] for user in log)]
        offsets = np.cumsum([0, *map(len, own)])
        parts.append(Sequences(offsets, np.array([item for items in own for item in items], np.int32), largest=9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matinee.etl.export_sasrec._BLOCK_ROWS", rows)
        blocks = [*_blocks(parts)]
    found = [(int(user), int(item)) for block in blocks for user, item in zip(*block, strict=True)]
    assert found == [(user, item) for user, own in enumerate(log, start=1) for part in own for item in part]
    assert all(block[0].size <= rows or len({*block[0].tolist()}) == 1 for block in blocks)


@pytest.mark.skipif(find_spec("datasets") is None, reason="Hugging Face's datasets is not there; it comes with 'dev'")
def test_datasets_reads_the_folder(version: Version, tmp_path: Path) -> None:
    whole = matinee.export(version.folder, format="hf", out=tmp_path / "hf").path
    one_way = small_version(tmp_path, [(1, 2, 3), (1, 3, 3)])  # eval and test are empty, which it cannot read
    empty = matinee.export(one_way.folder, format="hf", out=tmp_path / "empty").path
    program = """
import json, sys
from datasets import load_dataset
told = []
for folder in sys.argv[1:]:
    events = load_dataset(folder)
    streamed = load_dataset(folder, split="train", streaming=True)
    ids = {name: load_dataset(folder, name)["train"].to_list() for name in ("users", "items")}
    told.append([{name: split.to_list() for name, split in events.items()}, list(streamed), ids])
print(json.dumps(told))
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf-home")}
    answers = json.loads(_run([sys.executable, "-c", program, whole, empty], environment))
    for source, (splits, streamed, ids) in zip((version, one_way), answers, strict=True):
        expected = {
            name: pq.read_table(source.folder / events_path(split)).to_pylist()
            for split, name in {"train": "train", "eval": "validation", "test": "test"}.items()
        }
        assert splits == {name: rows for name, rows in expected.items() if rows}
        assert streamed == splits["train"]
        for name, path in (("users", USER_IDS), ("items", ITEM_IDS)):
            assert ids[name] == pq.read_table(source.folder / path).to_pylist()


def _run(command: list[Any], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", _FORMATS)
def test_a_record_names_origin_and_bytes_and_a_second_run_does_nothing(
    kind: Any, version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(version.folder), "--format", kind, "--out", str(tmp_path / "deep" / "out")]
    assert main(words) == 0
    assert f"rated {version.id} as {kind} in {tmp_path / 'deep' / 'out'}" in capsys.readouterr().out
    folder = tmp_path / "deep" / "out"
    record = json.loads((folder / "matinee.json").read_text())
    assert (record["version"], record["manifest_sha256"], record["format"]) == (version.id, version.sha256, kind)
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert {*there} == {"matinee.json", *(file["path"] for file in record["files"])}
    for file in record["files"]:
        content = there[file["path"]].read_bytes()
        assert (file["size_bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    before = {path: file.stat().st_mtime_ns for path, file in there.items()}
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["unchanged"]
    assert told["files"] == record["files"]
    assert {path: file.stat().st_mtime_ns for path, file in there.items()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["out"], "nothing half-written beside it"


def test_without_out_it_lies_in_the_data_folder(version: Version, tmp_path: Path) -> None:
    made = matinee.export(version.folder, format="sasrec", data_dir=tmp_path)
    assert made.path == tmp_path / "exports" / "rated" / version.id / "sasrec"
    assert [file.rows for file in made.files] == [len(ROWS)]


def test_a_folder_that_is_taken_is_left_alone(version: Version, tmp_path: Path) -> None:
    made = matinee.export(version.folder, format="sasrec", out=tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for out in ("out", "other", "file"):
        with pytest.raises(
            VersionConflictError, match="something else is there, expected nothing, or this very export"
        ):
            matinee.export(version.folder, format="hf", out=tmp_path / out)
    (made.path / "rated.txt").write_text("1 1\n")
    with pytest.raises(VersionConflictError, match="something else is there"):
        matinee.export(version.folder, format="sasrec", out=made.path)
    with pytest.raises(UsageError, match=r"cannot be written .*; choose another --out"):
        matinee.export(version.folder, format="sasrec", out=tmp_path / "file" / "below")


@pytest.mark.parametrize("kind", _FORMATS)
def test_a_full_disk_leaves_nothing(
    kind: Any, version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HashedFile, "write", write)
    with pytest.raises(DiskFullError, match="no space left for it; make room and run again"):
        matinee.export(version.folder, format=kind, out=tmp_path / "out")
    assert not [*tmp_path.glob("*out*"), *tmp_path.glob(".*")]


def test_damage_is_told_and_nothing_made(tmp_path: Path) -> None:
    source = small_version(tmp_path / "v", ROWS)
    path = source.folder / events_path("eval")
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "item", pa.array([source.items + 1] * len(table), pa.int32())), path)
    items = source.folder / sequence_path("test", "items")
    np.save(items, np.load(items) + np.int32(source.items))
    messages = {
        "recbole": r"eval\.parquet: ids lie outside the id maps; transform again",
        "hf": r"eval\.parquet: SHA-256 is .*, expected .* of the manifest; transform again",
        "sasrec": r"items\.npy: ids lie outside the .* items of the id map; transform again",
    }
    for kind, message in messages.items():
        with pytest.raises(VersionDamagedError, match=message):
            matinee.export(source.folder, format=kind, out=tmp_path / "out")  # type: ignore[call-overload]
    path.write_bytes(b"junk")
    with pytest.raises(VersionDamagedError, match=r"eval\.parquet: cannot be read"):
        matinee.export(source.folder, format="recbole", out=tmp_path / "out")
    path.unlink()
    with pytest.raises(VersionDamagedError, match=r"eval\.parquet: missing; transform again"):
        matinee.export(source.folder, format="hf", out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_random_splits_have_no_histories(tmp_path: Path) -> None:
    source = small_version(tmp_path, ROWS, split="random")
    with pytest.raises(UsageError, match="split at random, so nobody's history is in order"):
        matinee.export(source.folder, format="sasrec", out=tmp_path / "out")
    assert matinee.export(source.folder, format="recbole", out=tmp_path / "out").files[0].rows == len(ROWS)


def test_the_format_says_whether_a_model_or_a_version_is_meant(version: Version, tmp_path: Path) -> None:
    place = tmp_path / "versions" / "rated" / version.id
    place.parent.mkdir(parents=True)
    place.symlink_to(version.folder)
    for words in ("rated", str(version.folder)):
        with pytest.raises(
            UsageError, match="a version, and --format onnx writes a model; expected recbole, sasrec or hf"
        ):
            matinee.export(words, data_dir=tmp_path)
    checkpoint = tmp_path / "models" / "rated" / version.id / "markov-12345678" / "checkpoint.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("{}")
    for words in ("rated/markov", str(checkpoint.parent), "models:/rated-markov@champion", "weights.pth"):
        with pytest.raises(
            UsageError, match="a model, and --format hf writes a version; expected onnx, pth or safetensors"
        ):
            matinee.export(words, format="hf", data_dir=tmp_path)
    assert matinee.export("rated", format="hf", data_dir=tmp_path).version == version.id
    with pytest.raises(UsageError, match="expected onnx, pth or safetensors for a model, recbole, sasrec or hf for a"):
        matinee.export("rated", format="csv", data_dir=tmp_path)  # type: ignore[call-overload]
