from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.errors import ModelDamagedError
from matinee.model.tensors_file import write_tensors
from matinee.train.state import Reached, TrainingState

if TYPE_CHECKING:
    from pathlib import Path

numbers = st.floats(allow_nan=False)


@given(
    st.builds(Reached, st.integers(0, 9), st.integers(0, 9), seconds=numbers, best=numbers, ended=st.text(max_size=3)),
    st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), numbers, st.text()), max_size=3),
)
@settings(max_examples=20)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, reached: Reached, what: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("state") / "new" / "training.safetensors"
    arrays = {"weights.a.b": np.arange(3, dtype=np.float32), "average.a.b": np.ones((2, 0)), "loss": np.float64(0.1)}
    TrainingState(what, reached, [{"epoch": 0, "loss": 0.1}], arrays).write(path)
    again = TrainingState.read(path)
    assert again is not None
    assert (again.what, again.reached, again.history) == (what, reached, [{"epoch": 0, "loss": 0.1}])
    assert {name: array.tolist() for name, array in again.arrays.items()} == {
        name: np.asarray(array).tolist() for name, array in arrays.items()
    }
    assert {*again.part("weights")} == {"a.b"}
    assert again.part("weigh") == {}


def test_there_is_none(tmp_path: Path) -> None:
    assert TrainingState.read(tmp_path / "training.safetensors") is None


def test_facts_of_a_later_matinee_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    state = TrainingState({}, Reached(epoch=3), [], {"loss": np.zeros(1)})
    facts = '{"what": {}, "history": [], "reached": {"epoch": 3, "mood": "good"}}'
    write_tensors(path, state.arrays, {"matinee": facts})
    again = TrainingState.read(path)
    assert again is not None
    assert asdict(again.reached) == asdict(Reached(epoch=3))


@pytest.mark.parametrize("facts", ["", "[]", "3", '{"what": {}}', '{"what": {}, "history": [], "reached": []}'])
def test_strange_facts_are_told_in_a_line(facts: str, tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    write_tensors(path, {"loss": np.zeros(1)}, {"matinee": facts})
    with pytest.raises(ModelDamagedError) as caught:
        TrainingState.read(path)
    assert str(caught.value).startswith(f"{path}: not the state of a training")
    assert "\n" not in str(caught.value)
