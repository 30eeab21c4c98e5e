"""The papers' negatives: what is drawn, for whom, and how evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.errors import UsageError
from matinee.train.draws import Negatives
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version


@pytest.fixture
def version(tmp_path: Path) -> Version:
    chance = np.random.default_rng(0)
    rows = [(user, int(item), time) for user in range(12) for time, item in enumerate(chance.permutation(30)[:9])]
    return small_version(tmp_path, [*rows, *((99, item, item) for item in range(30))], split="leave-one-out")


def users_of(version: Version) -> np.ndarray:
    return np.arange(1, version.users, dtype=np.int32)  # but the last, who has everything


def test_nothing_is_drawn_that_the_user_has_in_any_split(version: Version) -> None:
    users = users_of(version)
    drawn = Negatives(version, 500, 0).of(users)
    assert drawn.shape == (users.size, 500)
    for user, row in zip(users, drawn, strict=True):
        mine = {item for split in ("train", "eval", "test") for item in version.sequences(split).of(user).tolist()}
        assert len(mine) == 9
        # All others, after so many draws.
        assert set(row.tolist()) == set(range(1, version.items + 1)) - mine


def test_all_others_are_drawn_alike(version: Version) -> None:
    (row,) = Negatives(version, 21_000, 1).of(np.array([3], np.int32))
    counts = np.bincount(row, minlength=version.items + 1)
    assert np.count_nonzero(counts) == 21
    assert abs(counts[counts > 0] - 1000).max() < 150  # five standard deviations


def test_a_users_draws_depend_on_the_seed_and_on_the_user_alone(version: Version) -> None:
    users = users_of(version)
    everybody = Negatives(version, 50, 7).of(users)
    assert (Negatives(version, 50, 7).of(users[[8, 2]]) == everybody[[8, 2]]).all()
    assert (Negatives(version, 50, 8).of(users) != everybody).any(axis=1).all()
    assert (everybody[0] != everybody[1]).any()


def test_who_has_taken_everything_is_named(version: Version) -> None:
    with pytest.raises(UsageError, match=f"user {version.users} has taken all 30 items"):
        Negatives(version, 5, 0).of(np.array([version.users], np.int32))
