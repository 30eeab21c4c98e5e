"""Batches against a slow oracle and against what they promise, for any log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.model.recommender import Known
from matinee.model.sse_pt import SSEPTSettings
from matinee.train.batches import Batch, Batches, Windows
from matinee.version import Sequences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ITEMS = 12  # ids; the even ones are in the log, so that every other row belongs to no known item
PLAIN: dict[str, Any] = {"user_keep": 1.0, "item_keep": 1.0, "target_keep": 1.0, "random_window": 0.0}

Log = list[list[int]]

logs = st.lists(st.lists(st.integers(1, ITEMS // 2).map(lambda half: 2 * half), max_size=12), min_size=1, max_size=12)
learnable = logs.filter(lambda log: any(len(history) > 1 for history in log))


def sequences_of(log: Sequence[Sequence[int]]) -> Sequences:
    offsets = np.cumsum([0, 0, *map(len, log)])
    return Sequences(offsets.astype(np.int64), np.array([item for history in log for item in history], np.int32))


def batches_of(log: Log, batch_size: int = 4, *, seed: int = 0, rank: int = 0, world: int = 1, **said: Any) -> Batches:
    train = sequences_of(log)
    items = np.zeros(ITEMS + 1, np.bool_)
    items[train.items] = True
    known = Known(np.diff(train.offsets) > 0, items)
    made = SSEPTSettings(**{"negatives": 5, **PLAIN, **said})
    return Batches(train, known, made, batch_size, seed, rank, world)


def whole_epoch(batches: Batches, epoch: int = 0) -> list[tuple[Windows, Batch]]:
    return [(windows, batches.build(windows, epoch, step)) for step, windows in enumerate(batches.epoch(epoch))]


def expected_rows(log: Log, windows: Windows, maxlen: int) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of each window, as the words of `Windows` and `Batch` say."""
    rows = []
    for user, end in zip(windows.users.tolist(), windows.ends.tolist(), strict=True):
        stretch = log[user - 1][:end][-(maxlen + 1) :]
        rows.append((stretch[:-1], stretch[1:]))
    return rows


@given(learnable, st.integers(1, 5), st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0]))
def test_without_replacement_a_batch_is_the_oracles(log: Log, batch_size: int, maxlen: int, random: float) -> None:
    batches = batches_of(log, batch_size, maxlen=maxlen, random_window=random)
    for windows, batch in whole_epoch(batches):
        expected = expected_rows(log, windows, maxlen)
        width = max(len(items) for items, _ in expected)
        assert batch.users.tolist() == windows.users.tolist()
        assert batch.lengths.tolist() == [len(items) for items, _ in expected]
        assert batch.items.tolist() == [items + [0] * (width - len(items)) for items, _ in expected]
        assert batch.targets.tolist() == [targets + [0] * (width - len(targets)) for _, targets in expected]
        assert batch.positions == sum(len(items) for items, _ in expected)


@given(learnable, st.integers(1, 5), st.integers(1, 6))
def test_an_epoch_has_every_user_with_two_events_once(log: Log, batch_size: int, maxlen: int) -> None:
    batches = batches_of(log, batch_size, maxlen=maxlen)
    order = batches.epoch(3)
    assert len(order) == batches.per_epoch
    assert all(0 < windows.users.size <= batch_size for windows in order)
    seen = Counter(user for windows in order for user in windows.users.tolist())
    assert seen == {user: 1 for user, history in enumerate(log, 1) if len(history) > 1}
    ends = {user: end for windows in order for user, end in zip(*map(np.ndarray.tolist, windows), strict=True)}
    assert ends == {user: len(log[user - 1]) for user in seen}


@given(learnable, st.integers(1, 5), st.integers(1, 6), st.sampled_from([0.5, 1.0]))
def test_random_windows_lie_inside_and_cover_as_much(log: Log, batch_size: int, maxlen: int, share: float) -> None:
    batches = batches_of(log, batch_size, maxlen=maxlen, random_window=share)
    order = batches.epoch(1)
    assert len(order) == batches.per_epoch
    seen = Counter(user for windows in order for user in windows.users.tolist())
    assert seen == {user: -(-(len(log[user - 1]) - 1) // maxlen) for user in seen}
    assert seen.keys() == {user for user, history in enumerate(log, 1) if len(history) > 1}
    for windows in order:
        assert (windows.ends >= 2).all()
        assert (windows.ends <= [len(log[user - 1]) for user in windows.users.tolist()]).all()


def test_every_moment_of_a_history_gets_its_turn() -> None:
    batches = batches_of([[2, 4, 6, 8, 10, 12]], maxlen=9, random_window=1.0)
    ends = Counter(int(end) for epoch in range(600) for end in batches.epoch(epoch)[0].ends)
    assert sorted(ends) == [2, 3, 4, 5, 6]
    assert all(abs(count - 120) < 5 * 10 for count in ends.values())  # five standard deviations
    half = batches_of([[2, 4, 6, 8, 10, 12]], maxlen=9, random_window=0.5)
    whole = sum(int(half.epoch(epoch)[0].ends[0]) == 6 for epoch in range(600))
    assert abs(whole - 600 * (0.5 + 0.5 / 5)) < 5 * 12


@given(learnable, st.integers(0, 3), st.integers(0, 2**31))
@settings(max_examples=50)
def test_a_batch_follows_from_seed_and_place_alone(log: Log, epoch: int, seed: int) -> None:
    said = {"user_keep": 0.3, "item_keep": 0.5, "target_keep": 0.5, "random_window": 0.5}
    one, other = (batches_of(log, 3, seed=seed, **said) for _ in range(2))
    other.epoch(epoch + 1)
    for (_, first), (_, second) in zip(whole_epoch(one, epoch), whole_epoch(other, epoch), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_epochs_seeds_and_steps_differ() -> None:
    log = [[2, 4, 6, 8]] * 40
    said: dict[str, Any] = {"user_keep": 0.5, "item_keep": 0.5}
    base = batches_of(log, 8, **said)

    def drawn(batches: Batches, epoch: int, step: int) -> list[Any]:
        windows = batches.epoch(epoch)[0]
        return [windows.users.tolist(), batches.build(windows, epoch, step).negatives.tolist()]

    draws = [drawn(base, 0, 0), drawn(base, 1, 0), drawn(batches_of(log, 8, seed=1, **said), 0, 0)]
    assert len({str(users) for users, _ in draws}) == len({str(negatives) for _, negatives in draws}) == 3
    assert drawn(base, 0, 0)[1] != drawn(base, 0, 1)[1]


@given(learnable, st.sampled_from(["bce", "gbce", "softmax"]), st.integers(1, 4))
@settings(max_examples=60)
def test_the_shares_of_all_processes_are_the_batch(log: Log, loss: str, world: int) -> None:
    said = {"loss": loss, "user_keep": 0.5, "item_keep": 0.5, "random_window": 0.5, "maxlen": 3}
    alone = batches_of(log, 5, **said)
    ranks = [batches_of(log, 5, rank=rank, world=world, **said) for rank in range(world)]
    for step, windows in enumerate(alone.epoch(2)):
        whole, shares = alone.build(windows, 2, step), [each.build(windows, 2, step) for each in ranks]
        assert all(share.positions == whole.positions for share in shares)
        for rank, share in enumerate(shares):
            for name in ("users", "items", "lengths", "targets"):
                assert np.array_equal(getattr(share, name), getattr(whole, name)[rank::world])
            own = whole.negatives[rank::world] if loss == "bce" else whole.negatives
            assert np.array_equal(share.negatives, own)


class Draws:
    """Many batches of one log at once: 400 people, 8 events each, all six items."""

    LOG: Log = [[2 * (1 + (user + place) % 6) for place in range(8)] for user in range(400)]  # noqa: RUF012

    def __init__(self, **said: Any) -> None:
        batches = batches_of(self.LOG, 50, **said)
        made = [each for epoch in range(5) for each in whole_epoch(batches, epoch)]
        self.users = np.concatenate([batch.users for _, batch in made])
        self.true_users = np.concatenate([windows.users for windows, _ in made])
        self.items = np.concatenate([batch.items for _, batch in made])
        self.targets = np.concatenate([batch.targets for _, batch in made])
        log = np.array(self.LOG)[self.true_users - 1]
        self.true_items, self.true_targets = log[:, :-1], log[:, 1:]


def near(found: NDArray[np.bool_], share: float) -> None:
    """The share of True, within five standard deviations."""
    assert abs(found.mean() - share) < 5 * (share * (1 - share) / found.size) ** 0.5 + 1e-12


@pytest.mark.parametrize("unk_share", [0.0, 0.25, 1.0])
def test_shares_of_replacement(unk_share: float) -> None:
    draws = Draws(user_keep=0.2, item_keep=0.7, target_keep=0.9, unk_share=unk_share)
    # A replacement may be the id itself, one time in as many as there are.
    near(draws.users == 0, 0.8 * unk_share)
    near(draws.users == draws.true_users, 0.2 + 0.8 * (1 - unk_share) / 400)
    near(draws.items == 0, 0.3 * unk_share)
    near(draws.items == draws.true_items, 0.7 + 0.3 * (1 - unk_share) / 6)
    near(draws.targets == draws.true_targets, 0.9 + 0.1 / 6)
    assert draws.targets.all()
    for other in range(2, ITEMS + 1, 2):
        near(draws.items[draws.true_items != other] == other, 0.3 * (1 - unk_share) / 6)


def test_input_and_target_are_replaced_independently() -> None:
    """The same event is an input here and a target there; one being replaced says nothing of the other."""
    draws = Draws(item_keep=0.5, target_keep=0.5)
    as_target = draws.targets[:, :-1] == draws.true_targets[:, :-1]
    as_input = draws.items[:, 1:] == draws.true_items[:, 1:]
    assert abs(np.corrcoef(as_target.ravel(), as_input.ravel())[0, 1]) < 5 / as_input.size**0.5


def test_a_person_is_replaced_for_the_whole_sequence_and_items_one_by_one() -> None:
    draws = Draws(user_keep=0.5, item_keep=0.5)
    assert draws.users.shape == (2000,)
    replaced = (draws.items != draws.true_items).sum(axis=1)
    assert replaced.std() > 0
    assert {*range(1, 6)} <= {*replaced.tolist()}


@given(learnable, st.sampled_from(["bce", "gbce", "sampled-softmax"]), st.integers(0, 100))
@settings(max_examples=60)
def test_only_known_ids_are_drawn(log: Log, loss: str, seed: int) -> None:
    batches = batches_of(log, 6, seed=seed, loss=loss, user_keep=0.0, item_keep=0.0, target_keep=0.0, unk_share=0.0)
    items = {item for history in log for item in history}
    users = {user for user, history in enumerate(log, 1) if history}
    for _, batch in whole_epoch(batches):
        real = np.arange(batch.items.shape[1]) < batch.lengths[:, None]
        assert {*batch.users.tolist()} <= users
        assert {*batch.items[real].tolist()} | {*batch.targets[real].tolist()} <= items
        assert {*batch.negatives.ravel().tolist()} <= items
        assert not batch.items[~real].any()
        assert not batch.targets[~real].any()


@given(learnable, st.integers(0, 100), st.sampled_from([0.3, 1.0]))
@settings(max_examples=60)
def test_a_negative_of_bce_is_never_the_target(log: Log, seed: int, target_keep: float) -> None:
    batches = batches_of(log, 6, seed=seed, loss="bce", target_keep=target_keep)
    alone = len({item for history in log for item in history}) == 1
    for _, batch in whole_epoch(batches):
        real = batch.targets > 0
        assert batch.negatives.shape == batch.targets.shape
        assert alone or (batch.negatives[real] != batch.targets[real]).all()


def test_negatives_are_uniform() -> None:
    log = Draws.LOG
    (windows, *_), bce = batches_of(log, 400).epoch(0), batches_of(log, 400, loss="bce")
    drawn = np.concatenate([bce.build(windows, epoch, 0).negatives.ravel() for epoch in range(10)])
    targets = np.concatenate([bce.build(windows, epoch, 0).targets.ravel() for epoch in range(10)])
    shared = batches_of(log, 400, loss="gbce", negatives=5000).build(windows, 0, 0).negatives
    for item in range(2, ITEMS + 1, 2):
        near(drawn[targets != item] == item, 1 / 5)
        near(shared == item, 1 / 6)
    assert batches_of(log, 400, loss="softmax").build(windows, 0, 0).negatives.shape == (0,)


@pytest.mark.parametrize("random_window", [0.0, 0.5])
def test_little_is_padding_where_lengths_differ_much(random_window: float) -> None:
    chance = np.random.default_rng(2)
    log = [[2] * size for size in np.minimum(2 + chance.lognormal(1.5, 1.2, 3000).astype(int), 300).tolist()]
    batches = batches_of(log, 32, maxlen=100, random_window=random_window)

    def wasted(order: list[Windows]) -> float:
        made = [batches.build(windows, 0, step) for step, windows in enumerate(order)]
        return 1 - sum(batch.positions for batch in made) / sum(batch.items.size for batch in made)

    order = batches.epoch(0)
    users, ends = (np.concatenate(column) for column in zip(*order, strict=True))
    mixed = np.random.default_rng(0).permutation(users.size)
    parts = np.array_split(mixed, len(order))
    assert wasted(order) < 0.12
    assert wasted([Windows(users[part], ends[part]) for part in parts]) > 0.5


def test_batches_of_like_length_come_in_any_order() -> None:
    """Sorting is inside chunks of a shuffled order; steps do not go from short to long."""
    log = [[2] * (2 + user % 40) for user in range(600)]
    order = batches_of(log, 10, maxlen=50).epoch(0)
    means = np.array([windows.ends.mean() for windows in order])
    assert abs(np.corrcoef(np.arange(means.size), means)[0, 1]) < 0.5
    users = np.concatenate([windows.users for windows in order])
    assert not np.array_equal(users, np.sort(users))
