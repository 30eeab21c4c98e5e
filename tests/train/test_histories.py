"""Histories as a PyTorch data set: the version's own events, through real loaders with workers of their own."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from matinee.errors import UsageError, VersionDamagedError
from matinee.schema.layout import SPLITS, sequence_path
from matinee.train.histories import UserHistories
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.schema.layout import Split
    from matinee.version import Version

_CHANCE = np.random.default_rng(3)
ROWS = [
    (int(user), int(item), second)
    for second, (user, item) in enumerate(zip(_CHANCE.geometric(0.2, 200), _CHANCE.integers(1, 30, 200), strict=True))
]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return small_version(tmp_path_factory.mktemp("histories"), ROWS)


def _expected(version: Version, splits: tuple[Split, ...], at_least: int, last: int | None) -> dict[int, list[int]]:
    """By user, from the events in order of time."""
    found: dict[int, list[int]] = {}
    for split in splits:
        for batch in version.events(split):
            for user, item in zip(batch.user.tolist(), batch.item.tolist(), strict=True):
                found.setdefault(user, []).append(item)
    cut = slice(None) if last is None else slice(-last, None)
    return {user: found[user][cut] for user in sorted(found) if len(found[user]) >= at_least}


@pytest.mark.parametrize(
    ("splits", "at_least", "last"),
    [
        (("train",), 2, None),
        (("test",), 1, 3),
        (("train", "eval"), 3, 4),
        (SPLITS, 1, None),
        (("eval", "test"), 500, 2),
    ],
)
def test_entries_are_the_events_by_user(
    version: Version, splits: tuple[Split, ...], at_least: int, last: int | None
) -> None:
    histories = UserHistories(version.folder, splits, at_least=at_least, last=last)
    expected = _expected(version, splits, at_least, last)
    entries = [histories[place] for place in range(len(histories))]
    assert {int(user): items.tolist() for user, items in entries} == expected
    assert [int(user) for user, _ in entries] == [*expected]
    assert all(tensor.dtype == torch.int64 for entry in entries for tensor in entry)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # said from Python 3.12 on
@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_of_a_loader_read_them(version: Version, start: str, workers: int) -> None:
    histories = UserHistories(version, last=5)
    loader = DataLoader(
        histories, batch_size=4, shuffle=True, collate_fn=_padded, num_workers=workers, multiprocessing_context=start
    )
    found = {
        int(user): row[row > 0].tolist() for users, items in loader for user, row in zip(users, items, strict=True)
    }
    assert found == _expected(version, ("train",), 2, 5)


def test_a_pickle_holds_a_path_and_no_items(version: Version) -> None:
    histories = UserHistories(version, SPLITS, at_least=1)
    kept = pickle.dumps(histories)
    assert len(kept) < 2_000 + histories.users.nbytes
    again = pickle.loads(kept)
    assert [items.tolist() for _, items in again] == [items.tolist() for _, items in histories]


def test_an_id_that_no_map_has_is_not_told(version: Version, tmp_path: Path) -> None:
    own = small_version(tmp_path, ROWS)
    path = own.folder / sequence_path("train", "items")
    items = np.load(path)
    items[0] = own.items + 1
    np.save(path, items)
    histories = UserHistories(own)
    with pytest.raises(VersionDamagedError, match="ids lie outside"):
        _ = histories[0]
    assert histories[1][1].tolist() == UserHistories(version)[1][1].tolist()


@pytest.mark.parametrize(
    "splits", [(), ("eval", "train"), ("train", "test"), ("valid",), ("train", "eval", "test", "x")]
)
def test_splits_that_are_no_neighbours_are_refused(version: Version, splits: tuple[Split, ...]) -> None:
    with pytest.raises(UsageError, match="expected neighbours among train, eval, test"):
        UserHistories(version, splits)


@pytest.mark.parametrize("options", [{"at_least": 0}, {"last": 0}])
def test_counts_start_at_one(version: Version, options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="expected whole numbers from 1"):
        UserHistories(version, **options)  # type: ignore[arg-type]


def test_random_splits_have_no_histories(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="split at random, so nobody has a history"):
        UserHistories(small_version(tmp_path, ROWS, split="random"))


def _padded(entries: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    users, items = zip(*entries, strict=True)
    return torch.stack(users), pad_sequence([*items], batch_first=True)
