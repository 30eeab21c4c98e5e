"""A Spark cluster makes of every log what one machine makes of it, byte for byte, whoever dies on the way."""

from __future__ import annotations

import gzip
import os
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from logs import Case, cases
from matinee.errors import MatineeError, SourceFormatError, SparkError, TooManyRejectsError, UsageError
from matinee.etl import stages
from matinee.etl.transform import LocalVersion, transform
from matinee.etl.tuning import Tuning
from matinee.schema.layout import RUN
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from spark_cluster import Cluster

pytestmark = pytest.mark.xdist_group("spark")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a version but run.json, which tells of the run."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != RUN}


def on_cluster(source: Path, out: Path, chosen: TransformSettings, cluster: Cluster, blocks: int = 3) -> LocalVersion:
    """The transform on the cluster, the text cut into so many blocks."""
    block_bytes = max(16, -(-source.stat().st_size // blocks))
    return transform(source, out, chosen, spark=cluster.master, _tuning=Tuning(block_bytes, 1, 1))


def check_same(source: Path, chosen: TransformSettings, cluster: Cluster) -> None:
    """Both engines, and every file of both."""
    folder = source.parent
    local = transform(source, folder / "local", chosen)
    spark = on_cluster(source, folder / "spark", chosen, cluster)
    assert spark.manifest.id == local.manifest.id
    assert spark.certificate == local.certificate
    ours, theirs = contents(spark.folder), contents(local.folder)
    assert sorted(ours) == sorted(theirs)
    assert [path for path in theirs if ours[path] != theirs[path]] == []


def table(rows: int, *, users: int = 40, items: int = 30, seconds: int = 60) -> list[tuple[int, int, int, int]]:
    """Few users, items and seconds, some more often than others: ties, repeats and known ids in every block."""
    rng = np.random.default_rng(rows + users)
    columns = [(rng.random(rows) ** 2 * most).astype(int).tolist() for most in (users, items, 10)]
    times = (1_000_000_000 + rng.integers(0, seconds, rows)).tolist()
    return list(zip(*columns, times, strict=True))


def dirty() -> bytes:
    """A BOM, CRLF, blank lines, rejects in every block, no newline at the end."""
    lines = [b"userId,movieId,rating,timestamp", b""]
    for number, row in enumerate(table(400)):
        lines.append(b"%d,%d,%d.5,%d" % row)
        lines += [b" \t", b'7,"x,1', b"1,2"] if number % 90 == 5 else []
    return b"\xef\xbb\xbf" + b"\r\n".join(lines)


def texts() -> bytes:
    """Text ids that are quoted, spaced, or of other scripts; milliseconds; now and then no rating."""
    users = ["a", "é", '"b ""c"""', "日本", " d ", '"e;f"', "g\x00h", "u1", "u2"]
    rows = [
        f"{users[user % 9]};i{item};{rating or ''};{when * 1000 + item}\n" for user, item, rating, when in table(400)
    ]
    return ("user;item;stars;ts\n" + "".join(rows)).encode()


def one_second() -> bytes:
    """Three rows in four share one second, so that it lies in several ranges."""
    rows = table(600, users=25, items=25)
    return b"".join(b"%d\t%d\t%d\t%d\n" % (*row[:3], 5 * 10**8 if at % 4 else row[3]) for at, row in enumerate(rows))


def without_time() -> bytes:
    """Two columns: the row's number stands in for time."""
    return b"".join(b"u%d|i%d\n" % row[:2] for row in table(300))


def extremes() -> bytes:
    """Ids and times from all of int64."""
    numbers = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, (3, 200)).tolist()
    ends = b"1::2::3::9223372036854775807\n1::3::3::-9223372036854775808\n"
    return b"".join(b"%d::%d::3::%d\n" % row for row in zip(*numbers, strict=True)) + ends


@pytest.mark.parametrize(
    ("log", "container", "options"),
    [
        (dirty(), "plain", {}),
        (texts(), "gz", {"ties": "shuffle", "min_rating": 2.0, "since": 1_000_000_005, "until": 1_000_000_050}),
        (one_second(), "zip", {"ties": "shuffle", "seed": 9, "rolling": 2, "fractions": ("0.5", "0.3", "0.2")}),
        (one_second(), "plain", {"split": "leave-one-out", "min_user_events": 10, "min_item_events": 10}),
        (without_time(), "plain", {"split": "ratio", "raw": False}),
        (extremes(), "plain", {"split": "random", "seed": 3, "time_unit": "s"}),
        (dirty(), "gz", {"cuts": (1_000_000_010, 1_000_000_040)}),
    ],
    ids=["dirty", "texts", "one-second", "core", "no-time", "extremes", "cuts"],
)
def test_the_bytes_are_those_of_one_machine(
    log: bytes, container: str, options: dict[str, Any], cluster: Cluster, tmp_path: Path
) -> None:
    source = tmp_path / "log.csv"
    source.write_bytes(log)
    if container == "gz":
        source = tmp_path / "log.csv.gz"
        source.write_bytes(gzip.compress(log))
    elif container == "zip":
        source = tmp_path / "log.zip"
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("u.data", log)
    check_same(source, TransformSettings(name="log", max_reject_share=0.05, **options), cluster)


EXAMPLES = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 3


@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases())
def test_any_log(case: Case, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    source = folder / "log.csv"
    source.write_bytes(case.log)
    try:
        transform(source, folder / "first", case.settings)
    except MatineeError as refused:
        with pytest.raises(type(refused)) as caught:
            on_cluster(source, folder / "spark", case.settings, cluster)
        assert type(caught.value) is type(refused)  # noqa: PT017 - of the other engine
        assert sorted(path.name for path in folder.iterdir()) == ["log.csv"]
        return
    check_same(source, case.settings, cluster)


@pytest.mark.parametrize(
    ("log", "options", "error", "words"),
    [
        (b"user,item\n1,2\n1\n", {}, TooManyRejectsError, "1 of 2 rows"),
        (b"user,item\n" + b"1,2\n" * 2100 + b"3" * (2**20 + 1), {}, SourceFormatError, "line 2102 is longer"),
        (b"user,item,rating\n1,2,3\n", {"min_rating": 4.0}, SourceFormatError, "no event is left"),
        (b"user,item\n1,2\n2,3\n", {"min_user_events": 2}, SourceFormatError, "no event is left"),
        (b"user,item,time\n1,2,30\n2,3,40\n", {"cuts": (20, 35)}, SourceFormatError, "train is empty"),
    ],
)
def test_a_log_that_is_refused_leaves_nothing(
    log: bytes, options: dict[str, Any], error: type[Exception], words: str, cluster: Cluster, tmp_path: Path
) -> None:
    source = tmp_path / "log.csv"
    source.write_bytes(log)
    with pytest.raises(error, match=words):
        on_cluster(source, tmp_path / "out" / "v", TransformSettings(name="log", **options), cluster, blocks=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_worker_dies_midway(cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "log.csv"
    rows = table(150_000, users=5_000, items=3_000, seconds=20_000)
    source.write_bytes(b"user,item,rating,time\n" + b"".join(b"%d,%d,%d,%d\n" % row for row in rows))
    chosen = TransformSettings(name="log", ties="shuffle")
    local = transform(source, tmp_path / "local", chosen)
    died: list[int] = []
    over = threading.Event()

    def kill() -> None:
        """One worker and its executor, with its shuffled data, as soon as a step that others rest on is done."""
        while not over.is_set() and not list(tmp_path.glob(".spark.partial-*/spark/left/once/_SUCCESS")):
            over.wait(0.01)
        over.wait(0.5)
        cluster.kill(cluster.workers[-1])
        died.append(len(list(tmp_path.glob(".spark.partial-*"))))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        spark = on_cluster(source, tmp_path / "spark", chosen, cluster, blocks=8)
    finally:
        over.set()
        killer.join()
        cluster.add_worker()
        cluster.wait(2)
    assert died == [1]  # while the work was under way
    assert spark.manifest.id == local.manifest.id
    assert contents(spark.folder) == contents(local.folder)


def test_a_worker_that_cannot_reach_the_log_is_named_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    source = tmp_path / "log.csv"
    source.write_bytes(b"user,item\n" + b"1,2\n" * 10)
    unreachable = Path(f"/proc/self/fd/{os.open(source, os.O_RDONLY)}")  # a name that means nothing elsewhere
    with pytest.raises(SparkError) as caught:
        transform(unreachable, tmp_path / "v", TransformSettings(name="log"), spark=cluster.master)
    assert "\n" not in str(caught.value)
    assert "FileNotFoundError" in str(caught.value)
    os.close(int(unreachable.name))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "spark"}, "expected --master"),
        ({"master": "spark://127.0.0.1:7077"}, "only --engine spark"),
        ({"engine": "flink"}, "expected one of local, spark"),
    ],
)
def test_options_that_do_not_belong_together(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        stages.transform("nowhere.csv", out=tmp_path / "v", **options)


def test_without_pyspark_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'matinee\[spark\]'"):
        stages.transform("nowhere.csv", out=tmp_path / "v", engine="spark", master="spark://127.0.0.1:1")
