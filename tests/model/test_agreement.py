"""The comparison of two models sees a difference, a swapped pair and a lost item, and forgives ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.model.agreement import compare, random_histories
from matinee.model.histories import Histories
from toy_model import Toy, make_toy

if TYPE_CHECKING:
    from collections.abc import Sequence

ASKED = Histories.of([1, 2, 0], [[], [], []])


def _toy(base: Sequence[float]) -> Toy:
    toy = make_toy()
    toy.base = np.array([0, *base, 0], np.float32)  # items 1 to 5 are known
    return toy


def test_a_model_agrees_with_itself() -> None:
    found = compare(_toy([5, 4, 3, 2, 1]), _toy([5, 4, 3, 2, 1]), ASKED, k=3)
    assert (found.histories, found.difference, found.scale, found.same_lists) == (3, 0, 5, 3)


def test_a_difference_is_told() -> None:
    found = compare(_toy([5, 4, 3, 2, 1]), _toy([5, 4, 3, 2.25, 1]), ASKED, k=3)
    assert found.difference == pytest.approx(0.25)
    assert found.same_lists == 3


def test_items_closer_than_the_difference_may_change_places() -> None:
    found = compare(_toy([5, 4, 4.001, 2, 1]), _toy([5, 4.002, 4.001, 2, 1]), ASKED, k=3)
    assert found.same_lists == 3


def test_another_item_in_the_list_is_told() -> None:
    found = compare(_toy([5, 4, 3, 2, 1]), _toy([5, 4, 1, 2, 1]), ASKED, k=3)
    assert found.difference == pytest.approx(2)
    found = compare(_toy([5, 4, 3, 2, -90]), _toy([5, 4, 3, 2, -90]), ASKED, k=9)
    assert found.same_lists == 3


class _Shuffled(Toy):
    """Agrees in every score that is compared but gives the first two items each other's."""

    def scores(self, asked: Histories) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        scores = super().scores(asked)
        scores[:, [1, 2]] = scores[:, [2, 1]]
        return scores


def test_a_swapped_pair_is_a_difference() -> None:
    one = _toy([5, 4, 3, 2, 1])
    other = _Shuffled(one.settings, one.known, one.base)
    assert compare(one, other, ASKED, k=3).difference == pytest.approx(1)


def test_an_item_that_only_one_of_them_knows_is_no_agreement() -> None:
    one, other = _toy([5, 4, 3, 2, 1]), _toy([5, 4, 3, 2, 1])
    other.known = type(other.known)(one.known.users, one.known.items & (np.arange(7) != 3))
    found = compare(one, other, ASKED)
    assert found.difference == np.inf
    assert found.same_lists == 0


def test_nobody_asked_is_no_disagreement() -> None:
    found = compare(_toy([1] * 5), _toy([1] * 5), Histories.of([], []))
    assert (found.histories, found.difference, found.same_lists) == (0, 0, 0)


def test_random_histories_have_everything_in_them() -> None:
    known = make_toy().known
    asked = random_histories(known, 5, 2_000)
    assert {*asked.lengths.tolist()} == {*range(11)}
    assert {*asked.users.tolist()} == {*range(known.users.size + 2)}
    assert {*asked.items.tolist()} == {*range(1, known.items.size + 2)}
    again = random_histories(known, 5, 2_000)
    np.testing.assert_array_equal(again.items, asked.items)
