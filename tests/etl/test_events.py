from __future__ import annotations

import errno
import gc
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from matinee.etl import events, id_files
from matinee.etl.events import ROW_GROUP, EventsWriter
from matinee.etl.id_files import write_id_map
from matinee.schema.layout import SPLITS, events_path

LENGTHS = st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 25)), max_size=8)


def columns(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rating = random.choice([0.5, 3.0, 4.5, np.nan], size)
    time = np.sort(random.integers(-(10**9), 2 * 10**9, size))
    ids = random.integers(1, 2**31 - 1, (2, size), dtype=np.int32)
    return ids[0], ids[1], rating, time


def as_rows(*part: np.ndarray, has_rating: bool) -> list[dict[str, float | None]]:
    user, item, rating, time = (column.tolist() for column in part)
    rows = [{"user": u, "item": i, "timestamp": t} for u, i, t in zip(user, item, time, strict=True)]
    if has_rating:
        for row, value in zip(rows, rating, strict=True):
            row["rating"] = None if np.isnan(value) else value
    return rows


@settings(max_examples=60)
@given(lengths=LENGTHS, has_rating=st.booleans(), group=st.integers(1, 9))
def test_rows_and_groups_do_not_depend_on_the_parts(lengths: list[Any], has_rating: bool, group: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "ROW_GROUP", group)
        folder = Path(name)
        writer = EventsWriter(folder / "parts", has_rating=has_rating)
        at_once = EventsWriter(folder / "once", has_rating=has_rating)
        everything = {split: [columns(0)] for split in SPLITS}
        for seed, (split, size) in enumerate(lengths):
            part = columns(size, seed)
            writer.write(split, *part)
            everything[split].append(part)
        together = {
            split: [np.concatenate(column) for column in zip(*everything[split], strict=True)] for split in SPLITS
        }
        for split in SPLITS:
            at_once.write(split, *together[split])
        entries = writer.close()
        assert at_once.close() == entries
        for split, entry in zip(SPLITS, entries, strict=True):
            path = folder / "parts" / events_path(split)
            assert parquet.read_table(path).to_pylist() == as_rows(*together[split], has_rating=has_rating)
            assert (entry.path, entry.size) == (events_path(split), path.stat().st_size)
            assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            assert entry.rows == together[split][0].size
            metadata = parquet.read_metadata(path)
            sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
            assert sizes == [min(group, entry.rows - start) for start in range(0, entry.rows, group)]


def test_real_groups_schema_and_statistics(tmp_path: Path) -> None:
    writer = EventsWriter(tmp_path, has_rating=True)
    part = columns(2 * ROW_GROUP + 5)
    for start in range(0, part[0].size, 700_001):
        writer.write("train", *(column[start : start + 700_001] for column in part))
    writer.close()
    file = parquet.ParquetFile(tmp_path / events_path("train"))
    assert [file.metadata.row_group(group).num_rows for group in range(3)] == [1_048_576, 1_048_576, 5]
    assert file.schema_arrow == pa.schema(
        [
            pa.field("user", pa.int32(), nullable=False),
            pa.field("item", pa.int32(), nullable=False),
            pa.field("rating", pa.float64()),
            pa.field("timestamp", pa.int64(), nullable=False),
        ]
    )
    table = file.read()
    for name, column in zip(("user", "item", "timestamp"), (part[0], part[1], part[3]), strict=True):
        assert np.array_equal(table[name].to_numpy(), column)
    assert np.array_equal(table["rating"].to_numpy(), part[2], equal_nan=True)
    assert table["rating"].null_count == np.isnan(part[2]).sum()
    times = file.metadata.row_group(1).column(3).statistics
    assert (times.min, times.max) == (part[3][ROW_GROUP], part[3][2 * ROW_GROUP - 1])


def test_a_full_disk_keeps_its_errno_and_abort_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    # The file's magic bytes are the first write; /dev/full refuses even those.
    (tmp_path / events_path("test")).symlink_to("/dev/full")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="No space left") as caught:
        EventsWriter(tmp_path, has_rating=False)
    assert caught.value.errno == errno.ENOSPC
    gc.collect()  # a writer left open would complain here
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_disk_that_fills_up_later_keeps_its_errno(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventsWriter(tmp_path, has_rating=True)
    writer.write("train", *columns(10))

    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(OSError, match="No space left") as caught:
            writer.close()
    assert caught.value.errno == errno.ENOSPC
    writer.abort()
    del writer
    gc.collect()


def test_abort_leaves_no_footer_and_can_be_repeated(tmp_path: Path) -> None:
    writer = EventsWriter(tmp_path, has_rating=True)
    writer.write("train", *columns(10))
    writer.abort()
    writer.abort()
    del writer
    gc.collect()
    with pytest.raises(pa.ArrowInvalid):
        parquet.read_metadata(tmp_path / events_path("train"))


@settings(max_examples=60)
@given(
    raw=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
    | st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1, max_size=20),
    group=st.integers(1, 9),
    large=st.booleans(),
)
def test_id_map_and_its_content_hash(raw: list[Any], group: int, large: bool) -> None:
    text = bool(raw) and isinstance(raw[0], str)
    kind = "string" if text else "integer"
    array = (
        pa.array(["skipped", *raw], pa.large_string() if large else pa.string())[1:]
        if text
        else pa.array(raw, pa.int64())
    )
    expected = f"{kind}\n".encode()
    for value in raw:
        expected += f"{value}\n".encode() if text else value.to_bytes(8, "little", signed=True)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_files, "_ROW_GROUP", group)
        entry, id_map = write_id_map(Path(name), "ids/users.parquet", array)
        path = Path(name) / "ids/users.parquet"
        table = parquet.read_table(path)
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (entry.path, entry.size, entry.rows) == ("ids/users.parquet", path.stat().st_size, len(raw))
    assert table.schema.types == [pa.int32(), pa.string() if text else pa.int64()]
    assert table.to_pydict() == {"id": list(range(1, len(raw) + 1)), "raw": raw}
    assert (id_map.count, id_map.kind) == (len(raw), kind)
    assert id_map.sha256 == hashlib.sha256(expected).hexdigest()


def test_an_empty_map_of_strings(tmp_path: Path) -> None:
    _, id_map = write_id_map(tmp_path, "ids/items.parquet", pa.array([], pa.string()))
    assert id_map.sha256 == hashlib.sha256(b"string\n").hexdigest()
