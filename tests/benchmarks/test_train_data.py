"""What peers train from is the version's split, event by event."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pytest
from exchange import Ragged, Task, left_padded, right_padded
from leave_one_out import make_version

import train_data

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version

# user, item, the oldest first: user 4 has one event only, and in train nobody else has item 9, and nobody item 8.
LOG = [(1, 1), (2, 2), (1, 2), (3, 3), (1, 3), (2, 3), (3, 1), (2, 1), (1, 4), (4, 9), (3, 9), (3, 2), (1, 8), (2, 4)]


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return make_version(tmp_path, LOG)


def _dense(version: Version, raw: list[int]) -> list[int]:
    by_raw = {int(value): dense + 1 for dense, value in enumerate(version.raw_items)}
    return [by_raw[item] for item in raw]


def test_a_task_is_the_split(tmp_path: Path, version: Version) -> None:
    task = Task.read(train_data.write_task(version, tmp_path / "task"))
    whole = {
        user: [item for _, item in events] for user, events in groupby(sorted(LOG, key=lambda e: e[0]), lambda e: e[0])
    }
    learnt = {user: items[:-2] for user, items in whole.items() if len(items) > 2}
    known = {item for items in learnt.values() for item in items}
    expected = {
        "train": {user: items for user, items in learnt.items() if len(items) > 1},
        "eval": learnt,
        "test": {user: [item for item in whole[user][:-1] if item in known] for user in learnt},
    }
    for name, ragged in {"train": task.train, **task.moments}.items():
        raw = {int(version.raw_users[user - 1]): row for row, user in enumerate(ragged.users)}
        assert raw.keys() == expected[name].keys()
        for user, row in raw.items():
            found = ragged.items[ragged.offsets[row] : ragged.offsets[row + 1]].tolist()
            assert found == _dense(version, expected[name][user]), (name, user)
    assert task.items == version.items
    assert json.loads((tmp_path / "task" / "task.json").read_text())["version"] == version.id


def test_an_expanded_log_keeps_lengths_and_mixes_items(version: Version) -> None:
    columns = train_data._expanded(version, np.random.default_rng(0))
    assert {len(column) for column in columns.values()} == {10 * len(LOG)}
    lengths = np.bincount(columns["user"])[1:].reshape(10, version.users)
    assert (lengths == lengths[0]).all()
    assert sorted(lengths[0]) == [1, 4, 4, 5]
    first, second = (columns["item"][part * len(LOG) : (part + 1) * len(LOG)] for part in (0, 1))
    assert (first != second).any()
    assert sorted(columns["time"][: len(LOG)]) == [at + 1000 for at in range(len(LOG))]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_padding_keeps_the_last_items(width: int) -> None:
    histories = [[1, 2, 3], [], [4], [5, 6, 7, 8]]
    offsets = np.cumsum([0, *map(len, histories)])
    ragged = Ragged(np.arange(4), offsets, np.concatenate([np.array(items, np.int64) for items in histories]))
    rows = np.array([3, 1, 0, 2])
    last = [histories[row][-width:] for row in rows]
    left = [[0] * (width - len(items)) + items for items in last]
    right = [items + [0] * (width - len(items)) for items in last]
    assert left_padded(ragged, rows, width).tolist() == left
    found, lengths = right_padded(ragged, rows, width)
    assert found.tolist() == right
    assert lengths.tolist() == [len(items) for items in last]


def test_ragged_files_come_back(tmp_path: Path) -> None:
    ragged = Ragged(np.array([3]), np.array([0, 2]), np.array([7, 8]))
    ragged.write(tmp_path, "some")
    for part, other in zip(ragged, Ragged.read(tmp_path, "some"), strict=True):
        assert part.tolist() == other.tolist()
