"""Checkpoints: the same model comes back, no kill mixes two of them, and no file does harm, whoever wrote it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import DiskFullError, ModelDamagedError, ModelMismatchError, ModelNotFoundError
from matinee.model import checkpoint
from matinee.model.checkpoint import CHECKPOINT, WEIGHTS, CheckpointFacts, check_matches, load, read_facts, save
from matinee.model.histories import Histories
from matinee.model.recommender import Prior
from matinee.model.table import MODELS
from matinee.model.tensors_file import write_tensors
from toy_model import ENTRY, ITEMS, USERS, Toy, facts_of, make_toy

ASKED = Histories.of([1, 4, 0], [[1, 2], [], [6]])


@pytest.fixture(autouse=True)
def _toys_are_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", ENTRY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint."""
    toy = make_toy()
    save(tmp_path / "toy", toy, facts_of(toy, seed=3, epoch=2, step=40, metrics={"ndcg@10": 0.125}))
    return tmp_path / "toy"


def test_a_model_comes_back_as_it_was(folder: Path) -> None:
    toy = make_toy()
    model, facts = load(folder)
    assert isinstance(model, Toy)
    np.testing.assert_array_equal(model.scores(ASKED), toy.scores(ASKED))
    assert (model.settings, model.prior) == (toy.settings, toy.prior)
    np.testing.assert_array_equal(model.known.users, toy.known.users)
    np.testing.assert_array_equal(model.known.items, toy.known.items)
    assert (facts.dataset, facts.version, facts.seed, facts.epoch, facts.step) == (
        "toys",
        "0123456789abcdef",
        3,
        2,
        40,
    )
    assert facts.metrics == {"ndcg@10": 0.125}
    assert facts.settings == asdict(toy.settings) | {"sides": [3]}
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, WEIGHTS]


def test_facts_come_back_as_they_were(folder: Path) -> None:
    facts = read_facts(folder)
    assert CheckpointFacts.from_json(facts.to_json(), "here") == facts
    assert facts.code.startswith("0.")
    assert len(facts.weights_sha256) == 64


def test_what_the_model_says_of_itself_wins(tmp_path: Path) -> None:
    toy = make_toy()
    facts = facts_of(toy)
    toy.prior = Prior(2.0)
    written = save(tmp_path, toy, facts)
    assert written.prior == read_facts(tmp_path).prior == load(tmp_path)[0].prior == Prior(2.0)


def test_metrics_that_are_no_numbers_are_left_out() -> None:
    facts = facts_of(make_toy(), metrics={"hr@10": np.float32(0.5), "warm": float("nan"), "mrr@10": float("inf")})
    assert facts.metrics == {"hr@10": 0.5}


def test_a_diverged_model_is_not_saved(folder: Path) -> None:
    toy = make_toy()
    toy.base[3] = np.nan
    before = _contents(folder)
    with pytest.raises(ModelDamagedError, match="toy cannot be saved: base has numbers that are not finite"):
        save(folder, toy, facts_of(toy))
    assert _contents(folder) == before


@pytest.mark.parametrize("moment", ["weights", "before json", "json", "after json"])
def test_a_kill_while_saving_leaves_the_old_or_the_new(
    moment: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill is an exception here that no `except Exception` sees, at each step that shows."""
    new = make_toy(seed=1)
    for _ in range(2):
        with monkeypatch.context() as patch:
            _kill_at(moment, patch)
            with pytest.raises(KeyboardInterrupt):
                save(folder, new, facts_of(new, epoch=9))
    model, facts = load(folder)
    old = moment != "after json"
    expected = make_toy(seed=0 if old else 1)
    np.testing.assert_array_equal(model.scores(ASKED), expected.scores(ASKED))
    assert facts.epoch == (2 if old else 9)
    save(folder, new, facts_of(new, epoch=9))
    assert load(folder)[1].epoch == 9
    assert sorted(path.name for path in folder.iterdir()) == [CHECKPOINT, WEIGHTS]


def test_killed_processes_leave_whole_checkpoints(folder: Path) -> None:
    """A process that does nothing but save is killed where it stands; what it left is the toy of its own epoch."""
    code = (
        "import sys; from itertools import count; from toy_model import *; from matinee.model.checkpoint import save\n"
        "for seed in count():\n"
        "    save(sys.argv[1], make_toy(seed), facts_of(make_toy(seed), epoch=seed))\n"
        "    print(seed, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    for rest_s in (0.0, 0.013, 0.031):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(rest_s)
            process.kill()
        model, facts = load(folder)
        np.testing.assert_array_equal(model.scores(ASKED), make_toy(facts.epoch).scores(ASKED))


def _kill_at(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def killed_after(path: Path, content: bytes) -> None:
        write(path, content)
        raise KeyboardInterrupt

    write = checkpoint.write_atomically
    if moment == "weights":
        monkeypatch.setattr(checkpoint, "write_tensors", killed)
    elif moment == "before json":
        monkeypatch.setattr(checkpoint, "_sha256", killed)
    elif moment == "json":
        monkeypatch.setattr(checkpoint, "write_atomically", killed)
    else:
        monkeypatch.setattr(checkpoint, "write_atomically", killed_after)


def test_a_full_disk_leaves_the_old(tiny_disk: Path) -> None:
    save(tiny_disk, make_toy(), facts_of(make_toy()))
    (tiny_disk / "rest").write_bytes(b"x" * 4_096 * 13)  # there is room for other weights, and none for long facts
    facts = facts_of(make_toy(1), metrics={f"metric {at}": 1.5 for at in range(600)})
    with pytest.raises(DiskFullError, match=r"checkpoint\.json: no space left"):
        save(tiny_disk, make_toy(1), facts)
    np.testing.assert_array_equal(load(tiny_disk)[0].scores(ASKED), make_toy().scores(ASKED))
    (tiny_disk / "rest").unlink()
    save(tiny_disk, make_toy(1), facts)
    np.testing.assert_array_equal(load(tiny_disk)[0].scores(ASKED), make_toy(1).scores(ASKED))


def test_nothing_there(folder: Path, tmp_path: Path) -> None:
    for missing in (tmp_path / "none", folder / CHECKPOINT / "deeper", tmp_path):
        with pytest.raises(ModelNotFoundError, match=r"no checkpoint\.json"):
            load(missing)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelNotFoundError, match=r"no model\.safetensors"):
        load(folder)


def test_another_models_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "other", make_toy(1), facts_of(make_toy(1)))
    shutil.copy(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(ModelDamagedError, match=r"model\.safetensors: SHA-256 \w{12}, expected \w{12}"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"format": None}, "format is null"),
        ({"model": "sse-ptt"}, "model 'sse-ptt' is unknown"),
        ({"model": "os:system"}, "model 'os:system' is unknown"),
        ({"settings": {"bonus": "large"}}, 'settings.bonus is "large", expected float'),
        ({"settings": {"bonuses": 1}}, "settings.bonuses is unknown"),
        ({"settings": []}, "settings is .*expected"),
        ({"prior": {"weight": None}}, "prior.weight is null"),
        ({"users": {"count": 3, "kind": "integer", "sha256": "a"}}, "known ids are bool"),
        ({"items": {"count": 2**62, "kind": "integer", "sha256": "a"}}, "known ids are bool"),
        ({"metrics": {"hr": "high"}}, "metrics.hr"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"weights_sha256": 5}, "weights_sha256 is 5"),
        ({"surplus": 5}, "surplus is unknown"),
    ],
)
def test_untrue_facts_end_in_one_line(change: dict[str, Any], complaint: str, folder: Path) -> None:
    plain = json.loads((folder / CHECKPOINT).read_text())
    (folder / CHECKPOINT).write_text(json.dumps({**plain, **change}))
    with pytest.raises(ModelDamagedError, match=complaint) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"[" * 200_000, b"\xff\xfe", pickle.dumps(Mischief()), b" " * 2_000_000],
    ids=["empty", "list", "half", "deep", "no text", "pickle", "huge"],
)
def test_junk_instead_of_facts_ends_in_one_line(content: bytes, folder: Path) -> None:
    (folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(ModelDamagedError, match=r"checkpoint\.json") as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"base": np.zeros(6, np.float32)},
        {"base": np.zeros(7, np.int64)},
        {"base": np.full(7, np.inf, np.float32)},
        {"base": None},
        {"known.items": np.ones(7, np.bool_)},
        {"known.items": np.zeros(7, np.int8)},
        {"known.users": None},
    ],
    ids=["shape", "type", "not finite", "missing", "item 0 known", "known type", "known missing"],
)
def test_other_arrays_end_in_one_line(change: dict[str, Any], folder: Path) -> None:
    toy = make_toy()
    arrays = {"base": toy.base, "known.users": toy.known.users, "known.items": toy.known.items} | change
    write_tensors(folder / WEIGHTS, {name: array for name, array in arrays.items() if array is not None})
    _sign(folder)
    with pytest.raises(ModelDamagedError, match=r"model\.safetensors") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@given(data=st.data())
def test_any_damage_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One changed byte, or a missing end, anywhere: refused, or (inside a text or number) facts of the right types."""
    folder = tmp_path_factory.getbasetemp() / f"damaged-{os.getpid()}"
    save(folder, make_toy(), facts_of(make_toy()))
    path = folder / data.draw(st.sampled_from([WEIGHTS, CHECKPOINT]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        model, facts = load(folder)
    except (ModelDamagedError, ModelNotFoundError) as error:
        complaint = str(error)
    else:
        assert path.name == CHECKPOINT
        assert isinstance(facts.seed, int)
        assert model.scores(ASKED).shape == (3, 7)
        return
    assert "\n" not in complaint


def test_the_same_id_maps_match(folder: Path) -> None:
    check_matches(read_facts(folder), USERS, ITEMS)


def test_other_id_maps_do_not(folder: Path) -> None:
    facts = read_facts(folder)
    grown = replace(ITEMS, count=9, sha256="d" * 64)
    with pytest.raises(ModelMismatchError, match=r"with 6 item ids \(SHA-256 b{12}\), found 9 \(d{12}\)"):
        check_matches(facts, USERS, grown)
    with pytest.raises(ModelMismatchError, match="user ids"):
        check_matches(facts, replace(USERS, sha256="d" * 64), ITEMS)


def _sign(folder: Path) -> None:
    """Let the facts name whatever weights are there now, as somebody with bad intent would."""
    facts = read_facts(folder)
    digest = checkpoint._sha256(folder / WEIGHTS)
    (folder / CHECKPOINT).write_text(replace(facts, weights_sha256=digest).to_json())


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
