from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import ModelError, UsageError
from matinee.model.histories import Histories
from matinee.model.item_knn import ItemKNN, ItemKNNSettings, Similarity
from matinee.model.recommender import Known
from matinee.version import Sequences
from model_behaviour import ITEMS, known_of, planted

if TYPE_CHECKING:
    from collections.abc import Callable

Taken = list[set[int]]
LOGS = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=6), min_size=2, max_size=8)


def sequences(histories: list[list[int]]) -> Sequences:
    """Users 1, 2, ... with these histories."""
    lengths = [0, 0, *(len(history) for history in histories)]
    flat = [item for history in histories for item in history]
    return Sequences(np.cumsum(lengths).astype(np.int64), np.array(flat, np.int32))


def cosine(taken: Taken, one: int, other: int) -> float:
    both = sum(one in items and other in items for items in taken)
    takers = [sum(item in items for items in taken) for item in (one, other)]
    return both / math.sqrt(takers[0] * takers[1]) if both else 0.0


def tf_idf(taken: Taken, one: int, other: int, rows: int = 7) -> float:
    """Cosine where a person who took m of the items weighs log(rows) - log(1 + m)."""
    weights = [math.log(rows) - math.log1p(len(items)) for items in taken]

    def product(i: int, j: int) -> float:
        return sum(w * w for w, items in zip(weights, taken, strict=True) if i in items and j in items)

    norm = math.sqrt(product(one, one) * product(other, other))
    return product(one, other) / norm if norm else 0.0


def bm25(taken: Taken, one: int, other: int, rows: int = 7) -> float:
    """Products of Okapi BM25 with K1 = 1.2, B = .75; an item is the text, a person the word."""
    weights = [math.log(rows) - math.log1p(len(items)) for items in taken]
    takers = [sum(item in items for items in taken) for item in range(rows)]
    mean = sum(takers) / rows

    def weight(item: int) -> float:
        return 2.2 / (1.2 * (0.25 + 0.75 * takers[item] / mean) + 1)

    both = (w for w, items in zip(weights, taken, strict=True) if one in items and other in items)
    return sum(w * w for w in both) * weight(one) * weight(other)


ORACLES: dict[Similarity, Callable[[Taken, int, int], float]] = {"cosine": cosine, "tf-idf": tf_idf, "bm25": bm25}


@pytest.mark.parametrize("similarity", ORACLES)
@given(LOGS, st.lists(st.integers(1, 7), max_size=6), st.integers(1, 6))
def test_a_score_is_the_sum_of_similarities(
    similarity: Similarity, histories: list[list[int]], history: list[int], maxlen: int
) -> None:
    train = sequences(histories)
    taken: Taken = [set(), *map(set, histories)]
    known = Known(np.diff(train.offsets) > 0, np.arange(7) > 0)
    model = ItemKNN.fit(ItemKNNSettings(similarity=similarity, maxlen=maxlen), train, known)
    (row,) = model.scores(Histories.of([1], [history]))
    assert row[0] == -math.inf
    for item in range(1, 7):
        near = (ORACLES[similarity](taken, other, item) for other in history[-maxlen:] if other not in (item, 7))
        assert row[item] == pytest.approx(sum(near), abs=1e-4)


@pytest.mark.parametrize("similarity", ORACLES)
@given(LOGS, st.integers(1, 4))
def test_only_the_nearest_are_kept(similarity: Similarity, histories: list[list[int]], neighbours: int) -> None:
    train = sequences(histories)
    known = Known(np.diff(train.offsets) > 0, np.arange(7) > 0)
    asked = Histories.of([0] * 6, [[item] for item in range(1, 7)])
    every = ItemKNN.fit(ItemKNNSettings(similarity=similarity), train, known).scores(asked)[:, 1:]
    few = ItemKNN.fit(ItemKNNSettings(neighbours, similarity), train, known).scores(asked)[:, 1:]
    for all_near, near in zip(every, few, strict=True):
        kept = near > 0
        assert np.array_equal(near[kept], all_near[kept])
        assert kept.sum() == min(neighbours, (all_near > 0).sum())
        assert all_near[~kept].max(initial=0) <= near[kept].min(initial=math.inf)


def test_what_was_taken_together_is_near() -> None:
    train = sequences([[1, 2], [2, 1], [3, 4], [4, 3, 3]])
    model = ItemKNN.fit(ItemKNNSettings(similarity="cosine"), train, Known(np.ones(6, np.bool_), np.arange(5) > 0))
    assert model.scores(Histories.of([1, 1], [[1], [3, 1]]))[:, 1:].tolist() == [[0, 1, 0, 0], [0, 1, 0, 1]]


def test_without_neighbours_all_are_alike() -> None:
    train = planted()
    model = ItemKNN.fit(ItemKNNSettings(), train, known_of(train))
    for history in ([], [ITEMS], [ITEMS, ITEMS + 5]):
        (row,) = model.scores(Histories.of([1], [history]))
        assert not row[model.known.items].any()


def test_the_order_of_recent_events_does_not_matter_but_how_recent_they_are() -> None:
    train = planted()
    model = ItemKNN.fit(ItemKNNSettings(maxlen=2), train, known_of(train))
    one, other, longer, older = model.scores(Histories.of([1] * 4, [[3, 9], [9, 3], [14, 3, 9], [3, 9, 14]]))
    assert np.array_equal(one, other)
    assert np.array_equal(one, longer)
    assert not np.array_equal(one, older)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.nearest_neighbours", None)
    with pytest.raises(ModelError, match=r"^model item-knn: .* pip install implicit$"):
        ItemKNN.fit(ItemKNNSettings(), planted(), known_of(planted()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neighbours": 0}, "neighbours = 0: expected at least 1"),
        ({"maxlen": 0}, "maxlen = 0: expected at least 1"),
        ({"similarity": "jaccard"}, "similarity = 'jaccard': expected one of cosine, tf-idf, bm25"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ItemKNNSettings(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == message
