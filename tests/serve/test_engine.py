"""The engine without a server around it: rows do not know of each other, moments may be asked about in any order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.model.histories import Histories
from matinee.model.opening import open_model
from matinee.serve.engine import Engine, Questions
from matinee.serve.people import People

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version


def test_a_row_alone_scores_as_it_does_among_others(models: dict[str, Path], version: Version) -> None:
    model, _ = open_model(models["sse-pt"], engine="onnx")
    chance = random.Random(1)
    rows = [[chance.randint(0, version.items) for _ in range(chance.randint(0, 30))] for _ in range(300)]
    users = [chance.randint(0, version.users + 3) for _ in rows]
    together = model.scores(Histories.of(users, rows))
    for size in (1, 2, 3, 7, 64):
        for first in range(0, 130, size):
            cut = slice(first, first + size)
            assert np.array_equal(model.scores(Histories.of(users[cut], rows[cut])), together[cut])


@pytest.mark.parametrize("name", ["sse-pt", "markov", "plain"])
def test_answers_do_not_depend_on_what_was_asked_before(name: str, models: dict[str, Path], version: Version) -> None:
    model, _ = open_model(models[name], engine="onnx")
    people = People(version, ["train"])
    chance = random.Random(2)
    used, fresh = (Engine(model, name, version, ["train"]) for _ in range(2))
    for number in range(60):
        item = chance.choice([str(version.raw_items[chance.randrange(version.items)]), f"new {number}"])
        people.tell(str(version.raw_users[chance.randrange(version.users)]), item, 1_001_300_000 + number * 20_000)
        used.answer(_questions(people, [1], [chance.choice([0, 1_001_500_000, 2_000_000_000])]), people.told)
    users, times_s = [1, 5, 9, len(people.users)], [1_001_900_000, 0, 1_002_400_000, 1_001_400_000]
    asked = _questions(people, users, times_s)
    expected = fresh.answer(asked, people.told)
    found = used.answer(asked, people.told)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    best = {*expected[1].ravel().tolist()} - {0}
    assert any(item > version.items for item in best) is (name != "plain"), "a new item is reachable by its prior"
    seen = {*people.of(1).tolist()}
    assert not seen & {*expected[1][0].tolist()}


def _questions(people: People, users: list[int], times_s: list[int]) -> Questions:
    return Questions(
        histories=people.gather(users, [None] * len(users)),
        exclude=np.ones(len(users), np.bool_),
        times_s=np.array(times_s, np.int64),
        targets=np.full(len(users), 3, np.int32),
        k=len(people.items),
        rows=len(people.items) + 1,
        told=len(people.told),
    )
