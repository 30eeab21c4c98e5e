"""A version opened for reading: what it gives, and that damage is told before any of it becomes an index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

import matinee
from matinee.errors import VersionDamagedError, VersionNotFoundError
from matinee.schema.layout import CERTIFICATE, MANIFEST, SPLITS, events_path, sequence_path
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from matinee.version import Version

ROWS = [(7, 50, 1), (8, 60, 2), (7, 60, 3), (9, 50, 3), (8, 70, 4), (7, 70, 5), (9, 80, 6), (8, 50, 7)]


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return small_version(tmp_path, ROWS)


def test_events_come_in_order_of_time_in_dense_ids(version: Version) -> None:
    events = [
        (*map(int, row),) for split in SPLITS for batch in version.events(split) for row in zip(*batch, strict=True)
    ]
    users, items = [7, 8, 9], [50, 60, 70, 80]
    assert [(users[user - 1], items[item - 1], time) for user, item, time in events] == ROWS
    assert (version.users, version.items, version.name) == (3, 4, "log")
    assert version.raw_users.tolist() == users
    assert version.raw_items.tolist() == items


def test_sequences_are_the_same_events_by_user(version: Version) -> None:
    for split in SPLITS:
        sequences = version.sequences(split)
        assert sequences.users == version.users
        by_user: dict[int, list[int]] = {user: [] for user in range(version.users + 1)}
        for batch in version.events(split):
            for user, item in zip(batch.user.tolist(), batch.item.tolist(), strict=True):
                by_user[user].append(item)
        assert {user: sequences.of(user).tolist() for user in by_user} == by_user


def test_known_is_what_train_has_seen(version: Version) -> None:
    assert version.certificate.train.rows == 4
    assert version.known_users.tolist() == [False, True, True, True]
    assert version.known_items.tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("group_rows", [1, 3, 100])
def test_since_leaves_out_what_was_before(version: Version, group_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.version._BATCH_ROWS", 2)
    path = version.folder / events_path("train")
    pq.write_table(pq.read_table(path), path, row_group_size=group_rows)
    for since in range(6):
        times = [time for batch in version.events("train", since=since) for time in batch.timestamp.tolist()]
        assert times == [time for time in (1, 2, 3, 3) if time >= since]


def test_the_name_of_all_bytes_is_that_of_the_manifest(version: Version) -> None:
    before = version.sha256
    assert open_version(version.folder).sha256 == before
    manifest = version.folder / MANIFEST
    manifest.write_text(manifest.read_text() + "\n")
    assert open_version(version.folder).sha256 != before


def test_a_version_that_nobody_vouches_for_is_not_opened(version: Version, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError, match="no complete version"):
        open_version(tmp_path / "nowhere")
    certificate = version.folder / CERTIFICATE
    text = certificate.read_text()
    certificate.write_text(text.replace(version.id, "0" * 16))
    with pytest.raises(VersionDamagedError, match="the certificate speaks of 0000"):
        open_version(version.folder)
    certificate.unlink()
    with pytest.raises(VersionNotFoundError, match="has no certificate, so its splits cannot be trusted"):
        open_version(version.folder)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("items", lambda items: items + np.int32(100)),
        ("items", lambda items: -items),
        ("items", lambda items: items[:-1]),
        ("items", lambda items: items.astype(np.int64)),
        ("offsets", lambda offsets: offsets + 1),
        ("offsets", lambda offsets: offsets[::-1]),
        ("offsets", lambda offsets: offsets * 100),
        ("offsets", lambda offsets: offsets[:-1]),
    ],
)
def test_damaged_sequences_are_not_read(version: Version, part: str, change: object) -> None:
    path = version.folder / sequence_path("train", part)
    np.save(path, change(np.load(path)))
    with pytest.raises(VersionDamagedError, match="transform again"):
        _ = open_version(version.folder).sequences("train").items


def test_no_bad_id_leaves_and_good_ones_beside_it_do(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.version._CHECKED_AT_ONCE", 2)
    path = version.folder / sequence_path("train", "items")
    items = np.load(path)
    items[-1] = version.items + 1  # the last of the last user, in the last piece
    np.save(path, items)
    sequences = open_version(version.folder).sequences("train")
    last = int(np.flatnonzero(np.diff(sequences.offsets))[-1])
    assert sequences.events == items.size == version.certificate.train.rows
    assert [sequences.of(user).tolist() for user in range(last)] == [
        items[sequences.offsets[user] : sequences.offsets[user + 1]].tolist() for user in range(last)
    ]
    assert sequences.take(np.array([1, 0])).tolist() == [items[1], items[0]]
    for read in (lambda: sequences.items, lambda: sequences.of(last), lambda: sequences.take(np.array([0, 3]))):
        with pytest.raises(VersionDamagedError, match=r"items\.npy: ids lie outside the 4 items of the id map"):
            read()


def test_opening_reads_no_item(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr("matinee.version._are_ids", lambda items, _: read.append(items.size) or True)
    sequences = open_version(version.folder).sequences("train")
    assert (sequences.users, sequences.events, read) == (3, 4, [])
    assert isinstance(sequences.items, np.memmap)
    sequences.of(1)
    assert read == [4], "what has been checked as a whole is not checked again"


def test_sequences_that_are_no_array_are_not_read(version: Version) -> None:
    path = version.folder / sequence_path("train", "items")
    path.write_bytes(b"junk")
    with pytest.raises(VersionDamagedError, match=r"items\.npy: cannot be read"):
        version.sequences("train")
    path.unlink()
    with pytest.raises(VersionDamagedError, match=r"items\.npy: cannot be read"):
        version.sequences("train")


@pytest.mark.parametrize(("column", "value"), [("user", 4), ("item", 0), ("item", 9)])
def test_events_with_ids_that_no_map_has_are_not_read(version: Version, column: str, value: int) -> None:
    path = version.folder / events_path("test")
    table = pq.read_table(path)
    at = table.schema.names.index(column)
    pq.write_table(table.set_column(at, column, pa.array([value] * len(table), pa.int32())), path)
    with pytest.raises(VersionDamagedError, match="ids lie outside the id maps; transform again"):
        list(version.events("test"))
    path.write_bytes(b"junk")
    with pytest.raises(VersionDamagedError, match=r"test\.parquet: cannot be read"):
        list(version.events("test"))


def test_a_data_set_is_the_events_and_is_lazy(version: Version) -> None:
    for split in SPLITS:
        data = version.dataset(split)
        assert data.schema.names == ["user", "item", "timestamp"]
        table = data.to_table()
        batches = [*version.events(split)]
        for name in data.schema.names:
            expected = [value for batch in batches for value in getattr(batch, name).tolist()]
            assert table.column(name).to_pylist() == expected
    assert version.dataset("train").count_rows(filter=pa.compute.field("timestamp") >= 3) == 2


def test_a_data_set_of_nothing_readable_is_said(version: Version) -> None:
    (version.folder / events_path("eval")).write_bytes(b"junk")
    (version.folder / events_path("test")).unlink()
    for split in ("eval", "test"):
        with pytest.raises(VersionDamagedError, match=rf"{split}\.parquet: cannot be read .*; transform again"):
            version.dataset(split)  # type: ignore[arg-type]


def test_polars_reads_a_version(version: Version) -> None:
    polars = pytest.importorskip("polars", reason="Polars is not there; it comes with the extra 'bench'")
    lazy = polars.scan_pyarrow_dataset(version.dataset("train"))
    found = lazy.filter(polars.col("timestamp") >= 3).select("user", "item").collect().rows()
    assert found == [
        (*map(int, row),) for batch in version.events("train", since=3) for row in zip(*batch[:2], strict=True)
    ]
    by_path = polars.scan_parquet(version.folder / events_path("train")).collect()
    assert by_path.equals(lazy.collect())


def test_the_pages_examples_run(tmp_path: Path) -> None:
    pytest.importorskip("polars", reason="Polars is not there; it comes with the extra 'bench'")
    pytest.importorskip("duckdb", reason="DuckDB is not there; it comes with the extra 'bench'")
    rows = [(user, item % 5, 879_999_990 + 20 * item + user) for item in range(4) for user in range(20)]
    made = small_version(tmp_path, rows, name="ml-100k")
    made.folder.rename(_place(Path("matinee-data"), made))
    page = (Path(__file__).parents[1] / "docs" / "reading.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    code = code.replace("num_workers=2", "num_workers=0")  # no fork beside the threads of Polars
    found: dict[str, Any] = {}
    exec(compile(code, "reading.md", "exec"), found)
    late = [row for row in found["version"].dataset("train").to_table().to_pylist() if row["timestamp"] >= 880_000_000]
    assert found["late"].to_dicts() == late
    assert [len(users) for users, _ in found["loader"]] == [20]
    assert found["train"].collect().height == made.certificate.train.rows


def test_duckdb_reads_a_version(version: Version) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not there; it comes with the extra 'bench'")
    with duckdb.connect() as database:
        train = database.from_arrow(version.dataset("train"))
        counted = train.aggregate("item, count(*)", "item").fetchall()
        path = str(version.folder / events_path("train"))
        by_path = database.read_parquet(path).aggregate("item, count(*)", "item").fetchall()
    assert {**dict(counted)} == {**dict(by_path)} == {1: 2, 2: 2}


def test_a_version_is_opened_by_whatever_names_it(version: Version, tmp_path: Path) -> None:
    place = _place(tmp_path / "data", version)
    version.folder.rename(place)
    for words in (None, "log", version.id[:6], f"log@{version.id[:4]}", place, str(place)):
        opened = matinee.open_version(words, data_dir=tmp_path / "data")
        assert (opened.id, opened.folder) == (version.id, place)
    with pytest.raises(VersionNotFoundError, match="version 'films': no folder of that name"):
        matinee.open_version("films", data_dir=tmp_path / "data")


def _place(data_dir: Path, version: Version) -> Path:
    """Where a data folder has that version; the folders above it are made."""
    place = data_dir / "versions" / version.name / version.id
    place.parent.mkdir(parents=True)
    return place
