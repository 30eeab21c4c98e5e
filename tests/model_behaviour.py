"""What every model must do, as one set of tests: a class that a test file makes its own by saying which model it is."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from matinee.errors import UsageError
from matinee.model.checkpoint import CheckpointFacts, load, save
from matinee.model.histories import Histories
from matinee.model.options import settings_from
from matinee.model.recommender import Known
from matinee.model.table import find_model
from matinee.schema.manifest import IdMapEntry
from matinee.train.evaluate import evaluate_split
from matinee.version import Sequences, Version

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.model.recommender import Recommender
    from matinee.model.table import ModelEntry

__all__ = ["COLD_ITEM", "ITEMS", "USERS", "Behaviour", "known_of", "made", "planted"]

USERS, ITEMS = 60, 24  # the id maps; the last user and the last two items are cold
COLD_ITEM = ITEMS - 1

# Networks of a size that costs no time; what they do is the same.
_SMALL: dict[str, dict[str, object]] = {
    name: {"maxlen": 6, "item_dim": 16, "dropout": 0.1, "negatives": 16} for name in ("sse-pt", "sasrec")
}
_SMALL["sse-pt"]["user_dim"] = 8


def planted(*, people: int = USERS, seed: int = 0, noise: float = 0.1) -> Sequences:
    """A log in which the next item is the last one + 1, around in a circle, but for some share of noise."""
    chance = np.random.default_rng(seed)
    warm = ITEMS - 2
    histories = [np.zeros(0, np.int32)]  # user 0
    for _ in range(people - 1):
        items = (chance.integers(warm) + np.arange(chance.integers(3, 16))) % warm + 1
        other = chance.random(items.size) < noise
        items[other] = chance.integers(1, warm + 1, other.sum())
        histories.append(items.astype(np.int32))
    histories.append(np.zeros(0, np.int32))  # the last user
    offsets = np.concatenate([[0], np.cumsum([history.size for history in histories])])
    return Sequences(offsets.astype(np.int64), np.concatenate(histories))


def known_of(train: Sequences) -> Known:
    """What is warm in `train`."""
    items = np.zeros(ITEMS + 1, np.bool_)
    items[train.items] = True
    return Known(np.diff(train.offsets) > 0, items)


def made(entry: ModelEntry, train: Sequences, *, seed: int = 7) -> Recommender:
    """The model, counted; a network is only initialised, which is enough to be asked."""
    kind, _ = entry.load()
    settings = settings_from(entry, _SMALL.get(entry.name, {}))
    known = known_of(train)
    return kind.initial(settings, known, seed) if entry.neural else kind.fit(settings, train, known)  # type: ignore[attr-defined,no-any-return]


def all_kinds_of_histories() -> Histories:
    """Short, long, empty; of warm people, cold ones, people without an id or with one beyond the table."""
    long = [item % (ITEMS - 2) + 1 for item in range(700)]
    return Histories.of(
        [1, 2, 3, 0, USERS, USERS + 1_000_000, 4, 5],
        [[3], [5, 6, 7, 8], [], [], [9, 4], [1, COLD_ITEM, ITEMS, ITEMS + 1_000_000], long, [2, 2, 2]],
    )


def trained(entry: ModelEntry, version: Version, folder: Path) -> Recommender:
    """The model, for real, in a few seconds."""
    known = Known(version.known_users, version.known_items)
    kind, _ = entry.load()
    settings = settings_from(entry, _SMALL.get(entry.name, {}))
    if not entry.neural:
        return kind.fit(settings, version.sequences("train"), known)  # type: ignore[attr-defined,no-any-return]
    import torch

    from matinee.train.loop import fit
    from matinee.train.train_settings import TrainSettings

    plan = TrainSettings(epochs=20, batch_size=16, learning_rate=1e-2, validate_every=20, device="cpu")
    model = kind.initial(settings, known)  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network on a busy machine: threads would wait longer than they work
    try:
        return fit(model, version, plan, folder=folder, validate=lambda _: {plan.metric: 1.0}).model
    finally:
        torch.set_num_threads(threads)


def best_three(model: Recommender, version: Version) -> float:
    """The share of validation events whose item is among the three best."""
    evaluation = evaluate_split(model, version, split="eval", protocol="leave-one-out", k=3)
    assert evaluation.ranks.size == version.certificate.eval.rows
    return evaluation.metrics["hr@3"]


class Behaviour:
    """The tests; whoever inherits has a fixture or parameter `entry`, the model's row in the table.

    Attributes:
        ORDERED: models whose scores depend on the order of a history.
        COUNTS: models whose items are ranked by the counts of the moment alone.
    """

    ORDERED: ClassVar[frozenset[str]] = frozenset({"sse-pt", "sasrec", "markov"})
    COUNTS: ClassVar[frozenset[str]] = frozenset({"popularity", "recent-popularity"})

    @pytest.fixture
    def train(self) -> Sequences:
        return planted()

    @pytest.fixture
    def model(self, entry: ModelEntry, train: Sequences) -> Recommender:
        return made(entry, train)

    def test_a_score_is_finite_exactly_for_known_items(self, model: Recommender) -> None:
        asked = all_kinds_of_histories()
        scores = model.scores(asked)
        assert scores.shape == (len(asked), ITEMS + 1)
        assert scores.dtype == np.float32
        assert np.array_equal(np.isfinite(scores), np.broadcast_to(model.known.items, scores.shape))
        assert (scores[:, ~model.known.items] == -np.inf).all()

    def test_nobody_asked_is_nothing_scored(self, model: Recommender) -> None:
        assert model.scores(Histories.of([], [])).shape == (0, ITEMS + 1)

    def test_a_row_depends_on_nothing_but_itself(self, model: Recommender) -> None:
        asked = all_kinds_of_histories()
        together = model.scores(asked)
        for row in range(len(asked)):
            history = asked.items[asked.offsets[row] : asked.offsets[row + 1]]
            user = int(asked.users[row])
            alone = model.scores(Histories.of([user], [history.tolist()]))
            _same(alone[0], together[row])
            beside = model.scores(Histories.of([7, user, 8], [[1] * 40, history.tolist(), []]))
            _same(beside[1], together[row])

    def test_a_cold_item_is_as_good_as_another(self, model: Recommender) -> None:
        one, other, beyond = model.scores(Histories.of([1] * 3, [[3, COLD_ITEM], [3, ITEMS], [3, ITEMS + 999]]))
        _same(one, other)
        _same(one, beyond)

    def test_a_cold_user_is_as_good_as_another(self, model: Recommender) -> None:
        nobody, cold, beyond = model.scores(Histories.of([0, USERS, USERS + 999], [[3, 4]] * 3))
        _same(nobody, cold)
        _same(nobody, beyond)

    def test_a_history_that_is_too_long_is_its_tail(self, model: Recommender) -> None:
        limit = getattr(model.settings, "maxlen", 1)
        chance = np.random.default_rng(1)
        history = chance.integers(1, ITEMS + 1, 300).tolist()
        whole, tail = model.scores(Histories.of([2, 2], [history, history[-limit:]]))
        _same(whole, tail)

    def test_the_same_question_has_the_same_answer(self, entry: ModelEntry, train: Sequences) -> None:
        asked = all_kinds_of_histories()
        first, second = made(entry, train), made(entry, train)
        assert np.array_equal(first.scores(asked), first.scores(asked))
        assert np.array_equal(first.scores(asked), second.scores(asked))

    def test_order_matters_where_it_should(self, entry: ModelEntry, model: Recommender) -> None:
        there, back = model.scores(Histories.of([1, 1], [[3, 8, 5], [5, 8, 3]]))[:, model.known.items]
        assert (np.abs(there - back).max() > 1e-6) == (entry.name in self.ORDERED)

    def test_its_arrays_are_the_model(self, model: Recommender) -> None:
        arrays = {name: array.copy() for name, array in model.arrays().items()}
        again = type(model).from_arrays(model.settings, model.known, arrays)
        asked = all_kinds_of_histories()
        assert np.array_equal(again.scores(asked), model.scores(asked))
        assert {name: array.dtype for name, array in again.arrays().items()} == {
            name: array.dtype for name, array in arrays.items()
        }

    def test_arrays_of_another_model_are_refused(self, model: Recommender) -> None:
        for arrays in _damaged(model.arrays()):
            with pytest.raises((KeyError, ValueError)):
                type(model).from_arrays(model.settings, model.known, arrays)

    def test_a_checkpoint_is_the_model(self, model: Recommender, tmp_path: Path) -> None:
        facts = CheckpointFacts.of(
            model,
            dataset="planted",
            version="0123456789abcdef",
            manifest_sha256="0" * 64,
            users=IdMapEntry(USERS, "integer", "0" * 64),
            items=IdMapEntry(ITEMS, "integer", "1" * 64),
        )
        save(tmp_path / "model", model, facts)
        again, _ = load(tmp_path / "model")
        asked = all_kinds_of_histories()
        assert type(again) is type(model)
        assert again.settings == model.settings
        assert again.prior == model.prior
        assert np.array_equal(again.scores(asked), model.scores(asked))

    def test_what_it_learns_from_is_neither_kept_nor_changed(self, entry: ModelEntry, train: Sequences) -> None:
        for array in (train.offsets, train.items):
            array.flags.writeable = False
        model = made(entry, train)
        asked = all_kinds_of_histories()
        for array in (asked.users, asked.offsets, asked.items):
            array.flags.writeable = False
        before = model.scores(asked)
        for array in (train.offsets, train.items):
            array.flags.writeable = True
            array[:] = 1
        assert np.array_equal(model.scores(asked), before)

    def test_answers_belong_to_who_asked(self, model: Recommender) -> None:
        asked = all_kinds_of_histories()
        first = model.scores(asked)
        kept = first.copy()
        first[:] = 3
        assert np.array_equal(model.scores(asked), kept)

    def test_settings_are_frozen_plain_values(self, entry: ModelEntry, model: Recommender) -> None:
        settings = model.settings
        assert is_dataclass(settings)
        plain = json.loads(json.dumps(asdict(settings), allow_nan=False))
        assert settings_from(entry, plain) == settings
        assert settings_from(entry, {name: str(value) for name, value in plain.items()}) == settings
        for field in fields(settings):
            with pytest.raises(FrozenInstanceError):
                setattr(settings, field.name, getattr(settings, field.name))

    def test_an_unknown_setting_is_refused(self, entry: ModelEntry) -> None:
        _, kind = entry.load()
        for name in [field.name for field in fields(kind)] or ["dropout"]:
            with pytest.raises(UsageError) as caught:
                settings_from(entry, {f"{name}x": "1"})
            assert f"model {entry.name} has no setting '{name}x'" in str(caught.value)
            assert "\n" not in str(caught.value)
            if fields(kind):
                assert f"did you mean '{name}'" in str(caught.value)

    def test_it_learns_what_follows_what(self, entry: ModelEntry, planted_version: Version, tmp_path: Path) -> None:
        popular = best_three(trained(find_model("popularity"), planted_version, tmp_path), planted_version)
        found = best_three(trained(entry, planted_version, tmp_path), planted_version)
        if entry.name in self.COUNTS:
            assert found == pytest.approx(popular, abs=0.15)
        else:
            assert found > 2 * popular > 0

    def test_it_is_called_as_in_the_table(self, entry: ModelEntry, model: Recommender) -> None:
        assert model.name == entry.name
        assert type(model).__doc__


def _same(one: NDArray[Any], other: NDArray[Any]) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def _damaged(arrays: dict[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The arrays, each time with something wrong about one of them."""
    wrong = [{**arrays, "another_models": np.zeros(3, np.float32)}]
    for name, array in arrays.items():
        wrong.append({key: value for key, value in arrays.items() if key != name})
        wrong.append({**arrays, name: array[:-1]})
        wrong.append({**arrays, name: array[..., None]})
    return wrong
