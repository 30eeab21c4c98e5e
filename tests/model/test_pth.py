"""State dicts out and in: for PyTorch's own loader, back as the same model, and no harm from anybody's file."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exported_model import make_network, save_network
from matinee.errors import DiskFullError, ModelDamagedError, ModelNotFoundError, UsageError
from matinee.model.agreement import random_histories
from matinee.model.pth import read_pth, sidecar, write_pth
from toy_model import facts_of, make_toy


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A state dict with its sidecar."""
    model = make_network("sse-pt")
    write_pth(model, save_network(tmp_path / "model", model), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_it_comes_back_as_the_same_model(weights: Path) -> None:
    model = make_network("sse-pt")
    again, facts = read_pth(weights)
    asked = random_histories(model.known, 6, 50)
    np.testing.assert_array_equal(again.scores(asked), model.scores(asked))
    assert (again.settings, again.prior) == (model.settings, model.prior)
    assert facts.metrics == {"ndcg@10": 0.25}
    assert sorted(path.name for path in weights.parent.glob("*weights*")) == ["weights.pth", "weights.pth.json"]


def test_pytorch_loads_it_by_itself(weights: Path) -> None:
    network = make_network("sse-pt", seed=3).network
    network.load_state_dict(torch.load(weights, weights_only=True))
    for name, tensor in make_network("sse-pt").network.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_weights_that_somebody_trained_further_have_no_metrics(weights: Path) -> None:
    other = make_network("sse-pt", seed=3)
    torch.save(other.network.to(torch.bfloat16).state_dict(), weights)
    again, facts = read_pth(weights)
    assert facts.metrics == {}
    assert again.network.items.weight.dtype == torch.float32
    torch.testing.assert_close(again.network.items.weight, other.network.items.weight.float())


def test_a_counted_model_has_no_state_dict(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="toy is counted"):
        write_pth(make_toy(), facts_of(make_toy()), tmp_path / "toy.pth")


def test_a_full_disk_leaves_what_was_there(tiny_disk: Path) -> None:
    model = make_network("sasrec")
    path = tiny_disk / "weights.pth"
    path.write_bytes(b"before")
    (tiny_disk / "rest").write_bytes(b"x" * 50_000)
    with pytest.raises(DiskFullError, match=r"weights\.pth: no space left"):
        write_pth(model, facts_of(model), path)
    assert path.read_bytes() == b"before"
    assert sorted(file.name for file in tiny_disk.iterdir()) == ["rest", "weights.pth"]


def test_what_is_missing_is_said(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"none\.pth\.json: there is no such file"):
        read_pth(tmp_path / "none.pth")
    weights.unlink()
    with pytest.raises(ModelNotFoundError, match=r"weights\.pth: there is no such file"):
        read_pth(weights)


def test_a_hostile_file_executes_nothing(weights: Path) -> None:
    torch.save({"items.weight": Mischief()}, weights)
    with pytest.raises(ModelDamagedError, match=r"weights\.pth: not the weights") as caught:
        read_pth(weights)
    assert "\n" not in str(caught.value)
    weights.write_bytes(pickle.dumps(Mischief()))
    with pytest.raises(ModelDamagedError, match=r"weights\.pth: not the weights"):
        read_pth(weights)
    assert not Path("executed").exists()
    pickle.loads(pickle.dumps(Mischief()))  # it would have
    assert Path("executed").exists()


def _changed(change: dict[str, Any]) -> dict[str, Any]:
    return {**make_network("sse-pt").network.state_dict(), **change}


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        _changed({"items.weight": torch.zeros(3, 3)}),
        _changed({"items.weight": torch.full((25, 16), torch.nan)}),
        _changed({"items.weight": torch.zeros(25, 16, dtype=torch.int64)}),
        _changed({"items.weight": torch.zeros(25, 16).to_sparse()}),
        _changed({"items.weight": "text"}),
        _changed({"more": torch.zeros(1)}),
    ],
    ids=["list", "empty", "shape", "not finite", "integers", "sparse", "text", "surplus"],
)
def test_what_is_no_state_dict_of_it_ends_in_one_line(content: Any, weights: Path) -> None:
    torch.save(content, weights)
    with pytest.raises(ModelDamagedError, match=r"weights\.pth: not the weights") as caught:
        read_pth(weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"facts": {}},
        {"facts": 3},
        {"known_users": "x"},
        {"known_items": "3:eA=="},
        {"sha256": 3},
        {"surplus": 1},
    ],
)
def test_untrue_facts_end_in_one_line(change: dict[str, Any], weights: Path) -> None:
    plain = json.loads(sidecar(weights).read_text())
    sidecar(weights).write_text(json.dumps({**plain, **change}))
    with pytest.raises(ModelDamagedError, match=r"weights\.pth") as caught:
        read_pth(weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "popularity"},
        {"model": "none"},
        {"settings": {"blocks": "many"}},
        {"settings": {"blocks": 10**18}},
        {"settings": {"item_dim": 10**15}},
        {"settings": {"maxlen": 2**62}},
        {"settings": {"heads": 7}},
    ],
)
def test_facts_of_something_else_end_in_one_line(change: dict[str, Any], weights: Path) -> None:
    plain = json.loads(sidecar(weights).read_text())
    plain["facts"] |= change
    sidecar(weights).write_text(json.dumps(plain))
    with pytest.raises(ModelDamagedError) as caught:
        read_pth(weights)
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / f"damaged-pth-{os.getpid()}"
    path = folder / "weights.pth"
    if not (folder / "whole").exists():
        model = make_network("sasrec")
        write_pth(model, save_network(folder, model), path)
        (folder / "whole").write_bytes(path.read_bytes())
    content = bytearray((folder / "whole").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    try:
        model, _ = read_pth(path)
    except ModelDamagedError as error:
        complaint = str(error)
    else:
        assert np.isfinite(model.arrays()["items.weight"]).all()
        return
    assert "\n" not in complaint
