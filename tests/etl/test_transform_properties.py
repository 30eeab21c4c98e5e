"""Whatever the log, transform makes of it what tests/oracle.py makes of it, at every limit, cut and container."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, note
from hypothesis import strategies as st

from logs import Case, cases
from matinee.etl.transform import transform
from matinee.etl.tuning import Tuning
from matinee.schema.certificate import Certificate
from matinee.schema.layout import (
    FOLDS,
    ITEM_IDS,
    RAW,
    REJECTS,
    RUN,
    SPLITS,
    USER_IDS,
    events_path,
    sequence_path,
    text_path,
)
from matinee.schema.manifest import Manifest, version_id
from matinee.schema.transform_settings import TransformSettings
from oracle import Event, Expected, expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.etl.transform import LocalVersion

MB = 10**6


@dataclass(frozen=True)
class Way:
    """How a log is given and worked through; must never show in the result."""

    container: str
    memory_limit_bytes: int
    workers: int
    tuning: Tuning | None


def ways() -> st.SearchStrategy[Way]:
    tunings = st.builds(
        Tuning,
        chunk_bytes=st.sampled_from([64, 65, 100, 1000, 1 << 16]),
        bucket_events=st.sampled_from([1, 2, 5, 100, 1 << 16]),
        block_bytes=st.sampled_from([256, 300, 4096, 1 << 16]),
    )
    return st.builds(
        Way,
        container=st.sampled_from(["plain", "gz", "zip"]),
        memory_limit_bytes=st.sampled_from([MB, 3 * MB, 64 * MB]),
        workers=st.sampled_from([1, 2]),
        tuning=st.one_of(tunings, tunings, tunings, st.none()),
    )


# A plain file that begins so is refused as another format before anything is read of it.
OTHER_FORMATS = (b"\xff\xfe", b"\xfe\xff", b"PK", b"\x1f\x8b")


@pytest.fixture(scope="module")
def _plain_page() -> Iterator[None]:
    """The certificate's page without its plots: they cost half a second a version, and have tests of their own."""

    def write_page(certificate: Certificate, path: Path) -> None:
        path.write_text(certificate.to_json(), encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matinee.etl.certificate_page.write_page", write_page)
        yield


NARROW = Way("plain", MB, 1, Tuning(chunk_bytes=64, bucket_events=1, block_bytes=256))
WIDE = Way("gz", 64 * MB, 2, None)


def found(log: bytes, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A log that a kernel once got wrong, tried in every run."""
    settings = TransformSettings(name="log", max_reject_share=1.0, **options)
    return example(case=Case(log, settings), way=NARROW, other=WIDE)


@pytest.mark.usefixtures("_plain_page")
@found(b"user::item::time\n1::2::1\n2::3\n3::4::5\n1::5::8\n")  # a short row ran on into the next line
@found(b"0,2,-3\n1,2,5\n\r1\n")  # Python's csv.writer quotes a CR or not, by its version
@found(b"user,item,time\n1,2,3\n1,2,3\n3,4,3\n4,5,9\n")  # repeats within a tie
@found(b"a,x\n" * 2 + b"b,x\nc,x\n", split="ratio")  # nothing in train
@found(
    b"user,item,time\na,x,5\nb,x,5\na,x,5\nc,x,5\n", ties="shuffle", seed=1, cuts=(10, 20)
)  # repeats counted in a tie
@found(b"user,item,time\n1,1,-9223372036854775808\n2,1,9223372036854775807\n", cuts=(0, 2**63 - 1))
@given(case=cases(), way=ways(), other=ways())
def test_transform_equals_the_oracle(case: Case, way: Way, other: Way) -> None:
    assume(way.container != "plain" or not case.log.startswith(OTHER_FORMATS))
    expected = expect(case.log, case.settings)
    note(f"{case.log!r}\n{case.settings}\n-> {expected if isinstance(expected, type) else 'a version'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = packed(case.log, folder, way.container)
        if not isinstance(expected, Expected):
            with pytest.raises(expected) as caught:
                run(source, folder / "out", case.settings, way)
            assert type(caught.value) is expected
            assert sorted(path.name for path in folder.iterdir()) == sorted([source.name, "temp"])
            assert not list((folder / "temp").iterdir())
            return
        version = run(source, folder / "out", case.settings, way)
        check(version, expected, case.settings, source)
        again = run(source, folder / "again", case.settings, other)
        assert contents(again.folder) == contents(version.folder)
        assert not list((folder / "temp").iterdir())


def packed(log: bytes, folder: Path, container: str) -> Path:
    (folder / "temp").mkdir()
    if container == "zip":
        path = folder / "log.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("ratings.csv", log)
        return path
    path = folder / ("log.csv" if container == "plain" else "log.csv.gz")
    path.write_bytes(log if container == "plain" else gzip.compress(log, 1))
    return path


def run(source: Path, out: Path, settings: TransformSettings, way: Way) -> LocalVersion:
    return transform(
        source,
        out,
        settings,
        memory_limit_bytes=way.memory_limit_bytes,
        temp_dir=source.parent / "temp",
        workers=way.workers,
        _tuning=way.tuning,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a version but run.json, which tells of the run."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != RUN}


def check(version: LocalVersion, expected: Expected, settings: TransformSettings, source: Path) -> None:
    folder = version.folder
    assert {split: (folder / text_path(settings.name, split)).read_bytes() for split in SPLITS} == expected.text
    for split in SPLITS:
        check_events(pq.read_table(folder / events_path(split)), expected.events[split], has_rating=expected.has_rating)
        offsets, items = (np.load(folder / sequence_path(split, part), mmap_mode="r") for part in ("offsets", "items"))
        assert (offsets.dtype, items.dtype) == (np.int64, np.int32)
        assert (offsets.tolist(), items.tolist()) == expected.sequences[split]
    for path, raw in ((USER_IDS, expected.users), (ITEM_IDS, expected.items)):
        ids = pq.read_table(folder / path)
        assert ids.schema.field("id").type == pa.int32()
        assert ids.to_pydict() == {"id": list(range(1, len(raw) + 1)), "raw": raw}
    assert (folder / REJECTS).read_bytes() == expected.rejects
    folds = folder / FOLDS
    assert (json.loads(folds.read_bytes()) if folds.exists() else None) == expected.folds
    assert version.certificate == Certificate.read(folder)
    assert replace(version.certificate, version="", warnings=()) == expected.certificate
    check_manifest(version, expected, settings, source)


def check_events(table: pa.Table, expected: list[Event], *, has_rating: bool) -> None:
    types = {"user": pa.int32(), "item": pa.int32(), "rating": pa.float64(), "timestamp": pa.int64()}
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        name: kind for name, kind in types.items() if has_rating or name != "rating"
    }
    columns = table.to_pydict()
    ratings = columns.get("rating", [None] * len(expected))
    # as text, so that -0.0 is not taken for 0.0
    assert [repr(rating) for rating in ratings] == [repr(event.rating) for event in expected]
    assert [*zip(columns["user"], columns["item"], columns["timestamp"], strict=True)] == [
        (event.user, event.item, event.time) for event in expected
    ]


def check_manifest(version: LocalVersion, expected: Expected, settings: TransformSettings, source: Path) -> None:
    manifest = version.manifest
    assert version.fresh
    assert manifest.to_json() == Manifest.read(version.folder).to_json()
    source_sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest.id == version.certificate.version == version_id(source_sha256, settings)
    assert (manifest.name, manifest.source.sha256) == (settings.name, source_sha256)
    assert json.dumps(manifest.settings) == json.dumps(settings.as_json())
    kinds = version.certificate.reading
    assert (manifest.users.count, manifest.users.kind) == (len(expected.users), kinds.user_kind)
    assert (manifest.items.count, manifest.items.kind) == (len(expected.items), kinds.item_kind)
    assert (manifest.users.sha256, manifest.items.sha256) == (expected.users_sha256, expected.items_sha256)
    files = {path: data for path, data in contents(version.folder).items() if path != "manifest.json"}
    assert {file.path: (file.size, file.sha256) for file in manifest.files} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
    }
    assert files[f"{RAW}/{source.name}"] == source.read_bytes()
    rows = {file.path: file.rows for file in manifest.files}
    for split in SPLITS:
        assert rows[events_path(split)] == rows[text_path(settings.name, split)] == len(expected.events[split])


# --- logs large enough for several buckets without any tuning --------------------------------------------------------

ROWS = 200_000


def long_tail(rng: np.random.Generator) -> bytes:
    """Integer ids with a long tail, bursts of ties, header, ratings of one decimal."""
    users = rng.zipf(1.3, ROWS) % 9_000
    items = rng.zipf(1.2, ROWS) % 5_000
    times = 978_300_000 + np.sort(rng.integers(0, 3_000_000, ROWS)) // 20 * 20
    rows = zip(
        users.tolist(), items.tolist(), rng.integers(1, 11, ROWS).tolist(), rng.permutation(times).tolist(), strict=True
    )
    return b"userId,movieId,rating,timestamp\n" + b"".join(b"%d,%d,%.1f,%d\n" % (u, i, r / 2, t) for u, i, r, t in rows)


def one_second(rng: np.random.Generator) -> bytes:
    """Three rows in four share one second; string ids; no ratings; many exact repeats."""
    users, items = rng.integers(0, 300, ROWS).tolist(), rng.integers(0, 400, ROWS).tolist()
    times = np.where(rng.random(ROWS) < 0.75, 1_000_000_000, rng.integers(0, 2_000_000_000, ROWS)).tolist()
    return b"".join(b"u%d\ti %d\t%d\n" % row for row in zip(users, items, times, strict=True))


def extremes(rng: np.random.Generator) -> bytes:
    """Ids and times from all of int64, some rows short, no final newline."""
    columns = rng.integers(-(2**63), 2**63 - 1, (3, ROWS)).tolist()
    rows = [b"%d::%d::3::%d" % row for row in zip(*columns, strict=True)]
    for position in rng.integers(1, ROWS, 100).tolist():
        rows[position] = rows[position][:20]
    return b"\n".join(rows)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (long_tail, {}),
        (long_tail, {"ties": "shuffle", "min_user_events": 3, "min_item_events": 3, "rolling": 2}),
        (long_tail, {"split": "leave-one-out", "min_rating": 2.5}),
        (one_second, {}),
        (one_second, {"ties": "shuffle", "split": "random", "seed": 7}),
        (extremes, {"time_unit": "s"}),
        (extremes, {"time_unit": "s", "split": "random"}),
    ],
)
def test_limits_do_not_show(
    shape: Callable[[np.random.Generator], bytes], options: dict[str, Any], tmp_path: Path
) -> None:
    source = packed(shape(np.random.default_rng(20_260_101)), tmp_path, "plain")
    settings = TransformSettings(name="log", max_reject_share=0.01, **options)
    narrow = run(source, tmp_path / "narrow", settings, Way("plain", MB, 2, None))
    wide = run(source, tmp_path / "wide", settings, Way("plain", 64 * MB, 1, None))
    assert narrow.manifest.files == wide.manifest.files
    assert contents(narrow.folder) == contents(wide.folder)
    assert wide.certificate.reading.rows == ROWS
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize("shape", [long_tail, one_second, extremes])
def test_a_larger_log_equals_the_oracle(shape: Callable[[np.random.Generator], bytes], tmp_path: Path) -> None:
    log = b"\n".join(shape(np.random.default_rng(5)).split(b"\n")[:30_000])
    source = packed(log, tmp_path, "gz")
    settings = TransformSettings(name="log", max_reject_share=0.01, ties="shuffle", min_item_events=2)
    if shape is extremes:
        settings = replace(settings, min_item_events=0)
    expected = expect(log, settings)
    assert isinstance(expected, Expected)
    check(run(source, tmp_path / "out", settings, Way("gz", MB, 2, None)), expected, settings, source)
