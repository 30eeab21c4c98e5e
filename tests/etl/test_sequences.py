from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.etl.sequences import SequencesWriter
from matinee.schema.layout import SPLITS, sequence_path

# Users within one partition of 4096, at the edges of some, and far away.
USERS = st.integers(1, 6) | st.sampled_from([4095, 4096, 4097, 8191, 8192, 20_000])
PARTS = st.lists(
    st.tuples(st.sampled_from(SPLITS), st.lists(st.tuples(USERS, st.integers(1, 2**31 - 1)), max_size=40)), max_size=8
)
MEMORY = st.integers(0, 2000) | st.sampled_from([1 << 14, 1 << 20])


def write(writer: SequencesWriter, split: str, pairs: list[tuple[int, int]]) -> None:
    columns = np.array(pairs, np.int32).reshape(-1, 2)
    writer.write(split, columns[:, 0], columns[:, 1], np.zeros(len(pairs)), np.zeros(len(pairs), np.int64))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def check(folder: Path, entries: list, pairs: dict[str, np.ndarray], users: int) -> None:
    """Compare with a stable sort by user."""
    paths = [sequence_path(split, part) for split in SPLITS for part in ("offsets", "items")]
    assert [entry.path for entry in entries] == paths
    for split in SPLITS:
        columns = pairs[split]
        offsets = np.load(folder / sequence_path(split, "offsets"))
        items = np.load(folder / sequence_path(split, "items"))
        assert (offsets.dtype, offsets.shape, items.dtype) == (np.int64, (users + 2,), np.int32)
        assert np.array_equal(offsets, [0, *np.cumsum(np.bincount(columns[:, 0], minlength=users + 1))])
        assert np.array_equal(items, columns[np.argsort(columns[:, 0], kind="stable"), 1])
    for entry in entries:
        written = (folder / entry.path).read_bytes()
        assert (entry.size, entry.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    assert [entry.rows for entry in entries] == [rows for split in SPLITS for rows in (None, len(pairs[split]))]


def totals(pairs: dict[str, np.ndarray], users: int) -> dict[str, np.ndarray]:
    return {split: np.bincount(pairs[split][:, 0], minlength=users + 1) for split in SPLITS}


@settings(max_examples=100)
@given(parts=PARTS, memory=MEMORY)
def test_items_lie_by_user_however_little_memory_there_is(parts: list[Any], memory: int) -> None:
    users = max((user for _, part in parts for user, _ in part), default=0) + 1
    pairs = {
        split: np.array([pair for of, part in parts if of == split for pair in part], np.int32).reshape(-1, 2)
        for split in SPLITS
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "temp").mkdir()
        writer = SequencesWriter(folder, folder / "temp", memory)
        for split, part in parts:
            write(writer, split, part)
        assert not list((folder / "temp").iterdir())
        check(folder, writer.close(totals(pairs, users)), pairs, users)


@pytest.mark.parametrize("memory", [1 << 17, 1 << 21, 1 << 27])
def test_many_users_over_many_partitions(tmp_path: Path, memory: int) -> None:
    random = np.random.default_rng(memory)
    users = 50_000
    pairs = {
        split: np.stack([(random.pareto(0.4, size) * 50 % users + 1), random.integers(1, 9999, size)], 1).astype(
            np.int32
        )
        for split, size in zip(SPLITS, (200_000, 30_000, 0), strict=True)
    }
    pairs["eval"][::2, 0] = 4321  # more events than a group holds when memory is scarce
    writer = SequencesWriter(tmp_path, tmp_path, memory)
    for start in range(0, 200_000, 33_333):
        for split in SPLITS:
            write(writer, split, pairs[split][start : start + 33_333].tolist())
    check(tmp_path, writer.close(totals(pairs, users)), pairs, users)


def test_the_items_can_be_mapped(tmp_path: Path) -> None:
    writer = SequencesWriter(tmp_path, tmp_path, 1 << 20)
    write(writer, "train", [(2, 7), (1, 8), (2, 9)])
    writer.close({split: np.array([0, 1, 2] if split == "train" else [0, 0, 0]) for split in SPLITS})
    items = np.load(tmp_path / sequence_path("train", "items"), mmap_mode="r")
    assert items.tolist() == [8, 7, 9]


def test_totals_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    writer = SequencesWriter(tmp_path, tmp_path, 1 << 20)
    write(writer, "train", [(1, 7)])
    with pytest.raises(ValueError, match="0 events, 1 were written"):
        writer.close({split: np.zeros(2, np.int64) for split in SPLITS})


def test_abort_gives_the_temporary_file_back(tmp_path: Path) -> None:
    before = open_files()
    writer = SequencesWriter(tmp_path, tmp_path, 0)
    write(writer, "train", [(1, 7), (1, 8)])
    assert open_files() == before + 1
    writer.abort()
    writer.abort()
    assert open_files() == before
