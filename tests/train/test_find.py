"""Which version and which model a word means: folders, names, ids, and what is pulled from a store."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from matinee.errors import ModelNotFoundError, UsageError, VersionNotFoundError
from matinee.store import open_store, publish
from matinee.train.find import find_model_folder, find_version_folder
from toy_version import make_version

if TYPE_CHECKING:
    from pathlib import Path


def version_in(data: Path, name: str, seed: int, age_s: int = 0) -> Path:
    """A version below a data folder, made so many seconds ago."""
    made = make_version(data / "new", name=name, seed=seed)
    folder = data / "versions" / name / made.id
    folder.parent.mkdir(parents=True, exist_ok=True)
    (data / "new").rename(folder)
    manifest = folder / "manifest.json"
    moment = manifest.stat().st_mtime - age_s
    os.utime(manifest, (moment, moment))
    return folder


def test_a_version_by_every_name(tmp_path: Path) -> None:
    old, new = version_in(tmp_path, "toy", 1, age_s=60), version_in(tmp_path, "toy", 2, age_s=30)
    other = version_in(tmp_path, "other", 3)
    for word, folder in {
        None: other,
        "toy": new,
        old.name: old,
        old.name[:8]: old,
        f"toy@{old.name[:6]}": old,
        str(old): old,
        other: other,
    }.items():
        assert find_version_folder(word, tmp_path) == folder, word


def test_a_beginning_that_two_have(tmp_path: Path) -> None:
    for name in ("aaaa000000000000", "aaaa111111111111"):
        (tmp_path / "versions" / "toy" / name).mkdir(parents=True)
        (tmp_path / "versions" / "toy" / name / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"'aaaa' is the beginning of aaaa[01]+, aaaa[01]+; write more of it"):
        find_version_folder("aaaa", tmp_path)


def test_nothing_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError, match="no version yet; run 'matinee rehearse', or name one"):
        find_version_folder(None, tmp_path / "data")
    with pytest.raises(VersionNotFoundError, match=r"'toy': no folder of that name, none in .*, and no store"):
        find_version_folder("toy", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_what_is_not_here_is_pulled_once(tmp_path: Path) -> None:
    made = version_in(tmp_path / "elsewhere", "toy", 1)
    with open_store(str(tmp_path / "store")) as store:
        publish(made, store)
    data = tmp_path / "data"
    folder = find_version_folder("toy", data, store=str(tmp_path / "store"))
    assert folder == data / "versions" / "toy" / made.name
    assert (folder / "manifest.json").read_bytes() == (made / "manifest.json").read_bytes()
    shutil.rmtree(tmp_path / "store")
    assert find_version_folder("toy", data, store=str(tmp_path / "store")) == folder
    with pytest.raises(VersionNotFoundError, match="nothing"):
        find_version_folder("nothing", data, store=str(tmp_path / "elsewhere"))


def model_in(data: Path, name: str, age_s: int = 0) -> Path:
    folder = data / "models" / "toy" / "0123456789abcdef" / name
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text("{}")
    moment = folder.stat().st_mtime - age_s
    os.utime(folder / "checkpoint.json", (moment, moment))
    return folder


def test_a_model_by_every_name(tmp_path: Path) -> None:
    old, new = model_in(tmp_path, "sse-pt-00000000", age_s=60), model_in(tmp_path, "sse-pt-11111111")
    markov = model_in(tmp_path, "markov-22222222")
    for word, folder in {
        "toy/sse-pt": new,
        "toy/sse-pt-00000000": old,
        "toy/markov": markov,
        str(old): old,
        markov: markov,
    }.items():
        assert find_model_folder(word, tmp_path) == folder, word


def test_a_folder_of_ones_own_name_has_that_name_alone(tmp_path: Path) -> None:
    mine = model_in(tmp_path, "mine")
    assert find_model_folder("toy/mine", tmp_path) == mine
    with pytest.raises(ModelNotFoundError, match=r"where there are toy/mine$"):
        find_model_folder("toy/", tmp_path)


@pytest.mark.parametrize("word", ["toy/sasrec", "toy", "nothing/sse-pt", "toy/sse", "../toy/sse-pt", "toy/*"])
def test_no_such_model_names_those_there_are(tmp_path: Path, word: str) -> None:
    model_in(tmp_path, "sse-pt-00000000")
    model_in(tmp_path, "markov-11111111")
    with pytest.raises(ModelNotFoundError, match=r"where there are toy/markov, toy/sse-pt$"):
        find_model_folder(word, tmp_path)


def test_no_model_yet(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="which has none yet; run 'matinee train'"):
        find_model_folder("toy/sse-pt", tmp_path)


@pytest.mark.parametrize("address", ["models:/", "models:/toy", "models:/toy@", "models:/toy/x", "models:/a/b/3"])
def test_an_address_that_is_none_starts_no_stack(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected models:/NAME@ALIAS or models:/NAME/NUMBER"):
        find_model_folder(address, tmp_path / "data")
    assert not (tmp_path / "data").exists()
