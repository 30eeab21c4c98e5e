"""Expansions: exact, whole, in order, the same whoever makes them; told before, during and after; read by transform."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
import zipfile
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matinee
from matinee.errors import DiskFullError, SourceFormatError, UsageError
from matinee.etl import synth_plan
from matinee.etl.extract import extract
from matinee.etl.synth import Expansion, parse_rows
from matinee.etl.synth_pattern import Pattern, Sequences, read_pattern
from matinee.etl.synth_plan import Plan, make_plan
from matinee.etl.synth_source import source_text
from matinee.schema.progress import Silent
from own_disk import own_disk
from synth_oracle import Parameters, expanded, tastes

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[int, int, str, int]


def log_text(rows: list[tuple[Any, Any, float, int]]) -> str:
    return "user,item,rating,time\n" + "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in rows)


def random_log(seed: int, users: int = 40, items: int = 30) -> list[tuple[int, int, float, int]]:
    """Users with sessions, ties and repeated items; a heavy tail of items, which come into being over time."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        second = int(random.integers(10**9, 10**9 + 10**6))
        for _ in range(int(random.integers(1, 40))):
            second += int(random.choice([0, 0, 20, 4000, 100_000]))
            rows.append((user * 7, int(random.zipf(1.5)) % items, float(random.choice([0.5, 3, 4.5])), second))
    return [rows[at] for at in random.permutation(len(rows))]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(log_text(random_log(1)))
    return path


def synth(log: Path, rows: int, out: Path, **options: Any) -> Expansion:
    return matinee.data.synth(like=log, rows=rows, out=out, **options)


def read(out: Path) -> list[Row]:
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as archive:
            text = archive.read(f"{out.stem}/ratings.csv").decode()
    else:
        text = out.read_text()
    header, *lines = text.splitlines()
    assert header == "userId,itemId,rating,timestamp"
    split = [line.split(",") for line in lines]
    return [(int(user), int(item), rating, int(second)) for user, item, rating, second in split]


def source_events(rows: list[tuple[int, int, float, int]]) -> list[Row]:
    """Without exact repeats, in order of time, numbered by first appearance from 0."""
    ordered = sorted(dict.fromkeys(rows), key=lambda row: row[3])
    users = {user: number for number, user in enumerate(dict.fromkeys(row[0] for row in ordered))}
    items = {item: number for number, item in enumerate(dict.fromkeys(row[1] for row in ordered))}
    return [(users[user], items[item], str(rating), second) for user, item, rating, second in ordered]


@st.composite
def small_logs(draw: st.DrawFn) -> list[tuple[int, int, float, int]]:
    events = st.tuples(
        st.integers(0, 4), st.integers(0, 8), st.sampled_from([1.0, 2.5]), st.sampled_from([0, 1, 30, 5001, 90_000])
    )
    return draw(st.lists(events, min_size=1, max_size=60))


@settings(max_examples=60)
@given(
    rows=small_logs(),
    times=st.sampled_from([1.0, 1.3, 4.0, 9.5]),
    seed=st.integers(0, 2**63 - 1),
    lively=st.booleans(),
)
def test_every_line_is_the_oracles(
    rows: list[tuple[int, int, float, int]], times: float, seed: int, lively: bool
) -> None:
    events = source_events(rows)
    wanted = int(len(events) * times)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth_plan, "_PIECE_ROWS", 7)
        if lively:  # so that short logs have all that long ones have
            lots = {"_STRETCH": 3, "_SWAPS": 0.9, "_ROAMING": 0.5, "_SHIFT_SHARE": 5000.5 / 90_000, "_LEAST_KEPT": 0.5}
            for name, value in lots.items():
                patch.setattr(synth_plan, name, value)
        log, out = Path(folder) / "log.csv", Path(folder) / "out.csv"
        log.write_text(log_text(rows))
        made = synth(log, wanted, out, seed=seed, workers=2)
        lines = read(out)
        plan = plan_of(log, wanted, seed)
    plain = {name: value for name, value in made.note["parameters"].items() if name not in {"tastes", "first", "last"}}
    rounds = list(zip(plan.crowd.steps.tolist(), plan.crowd.starts.tolist(), strict=True))
    assert lines == expanded(events, wanted, seed, Parameters(**plain), rounds, plan.blocks)
    np.testing.assert_allclose(plan.ways.tastes, tastes(events, plan.blocks))
    assert (made.users, made.items) == (len({row[0] for row in lines}), len({row[1] for row in lines}))


def plan_of(log: Path, rows: int, seed: int) -> Plan:
    pattern = read_pattern(extract(log), log.parent, workers=1, progress=Silent())
    return make_plan(pattern, rows, seed)


@pytest.mark.parametrize("suffix", [".csv", ".zip"])
def test_the_number_of_threads_changes_no_byte(
    suffix: str, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synth_plan, "_PIECE_ROWS", 500)
    outs = [tmp_path / str(workers) / f"log{suffix}" for workers in (1, 2, 5)]
    for workers, out in zip((1, 2, 5), outs, strict=True):
        synth(log, 20_000, out, workers=workers)
    assert len({out.read_bytes() for out in outs}) == 1
    assert len(read(outs[0])) == 20_000


def test_a_zip_holds_the_text_of_the_csv_and_opens_anywhere(log: Path, tmp_path: Path) -> None:
    csv, packed = synth(log, 9000, tmp_path / "a.csv"), synth(log, 9000, tmp_path / "a.zip")
    subprocess.run(["python3", "-m", "zipfile", "-t", packed.path], check=True, capture_output=True)
    assert read(csv.path) == read(packed.path)
    assert csv.note == packed.note
    assert csv.size_bytes == csv.path.stat().st_size
    assert packed.size_bytes == packed.path.stat().st_size


def test_another_seed_is_another_log(log: Path, tmp_path: Path) -> None:
    one, other = synth(log, 3000, tmp_path / "1.csv", seed=1), synth(log, 3000, tmp_path / "2.csv", seed=2)
    assert read(one.path) != read(other.path)


def test_users_are_whole_and_nothing_comes_before_its_time(log: Path, tmp_path: Path) -> None:
    events = source_events(random_log(1))
    made = synth(log, 30_000, tmp_path / "out.csv")
    rows = read(made.path)
    by_user = [(user, list(own)) for user, own in groupby(rows, key=lambda row: row[0])]
    assert [user for user, _ in by_user] == list(range(1, made.users + 1))
    longest = max(Counter(event[0] for event in events).values())
    assert all(len(own) <= longest for _, own in by_user)
    assert all(a[3] <= b[3] for _, own in by_user for a, b in pairwise(own))
    assert all(events[0][3] <= row[3] <= events[-1][3] for row in rows)
    first = {}
    for _, item, _, second in events:
        first.setdefault(item, second)
    slack = 2 * made.note["parameters"]["shift_s"]
    items = made.note["source_items"]
    assert all(row[3] >= first[(row[1] - 1) % items] - slack for row in rows)
    assert {(row[1] - 1) // items for row in rows} == set(range(made.blocks))


def test_copies_of_one_user_are_no_clones(log: Path, tmp_path: Path) -> None:
    rows = read(synth(log, 30_000, tmp_path / "out.csv").path)
    sets = [frozenset(row[1] for row in own) for _, own in groupby(rows, key=lambda row: row[0])]
    long = [one for one in sets if len(one) > 8]
    assert len(set(long)) > 0.7 * len(long)


def test_ids_may_be_anything(tmp_path: Path) -> None:
    rows = random_log(2)
    plain, large, words = (tmp_path / f"{name}.csv" for name in ("plain", "large", "words"))
    plain.write_text(log_text(rows))
    large.write_text(log_text([(u + 2**63 - 1000, i - 2**63, r, t) for u, i, r, t in rows]))
    words.write_text(log_text([(f"u{u}", f"i{i}", r, t) for u, i, r, t in rows]))
    outs = [synth(log, 5000, tmp_path / f"{log.stem}-big.csv").path for log in (plain, large, words)]
    assert len({out.read_bytes() for out in outs}) == 1


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        ("user,item,rating,time\n1,1,,5\n1,2,3,6\n", {"1,1,,5", "1,2,3.0,6"}),
        ("user,item,time\n1,1,-7\n1,2,-6\n", {"1,1,-7", "1,2,-6"}),
    ],
)
def test_ratings_may_be_empty_or_absent_and_times_negative(log: str, lines: set[str], tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(log)
    header, *rows = synth(tmp_path / "log.csv", 6, tmp_path / "out.csv").path.read_text().splitlines()
    assert header.count(",") == log.partition("\n")[0].count(",")
    of_first_block = {f"1,{row.partition(',')[2]}" for row in rows if int(row.split(",")[1]) <= 2}
    assert len(rows) == 6
    assert of_first_block == lines


def test_transform_takes_it_and_its_certificate_is_clean(log: Path, tmp_path: Path) -> None:
    made = synth(log, 25_000, tmp_path / "log.zip")
    certificate = matinee.transform(made.path, out=tmp_path / "version").certificate
    reading = certificate.reading
    assert (reading.rows, reading.events, reading.rejects, reading.repeats) == (25_000, 25_000, 0, 0)
    assert (certificate.users, certificate.items) == (made.users, made.items)
    assert certificate.eval.before_train == certificate.test.before_train == 0
    assert not certificate.warnings


def test_it_tells_how_it_was_made(log: Path, tmp_path: Path) -> None:
    made = synth(log, 2000, tmp_path / "out.csv", seed=3)
    note = json.loads((tmp_path / "out.csv.json").read_text())
    assert note == made.note | {"log_bytes": made.size_bytes, "log_sha256": extract(made.path).sha256}
    assert (note["generator"], note["rows"], note["seed"]) == (1, 2000, 3)
    assert note["source"]["sha256"] == extract(log).sha256
    packed = synth(log, 2000, tmp_path / "out.zip", seed=3)
    with zipfile.ZipFile(packed.path) as archive:
        assert json.loads(archive.read("synth.json")) == note


@pytest.mark.parametrize("name", ["log-2.csv", "log-2.zip"])
def test_the_same_words_find_it_done(name: str, log: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    first = synth(log, 2000, out)
    again = synth(log, 2000, out)
    assert (first.made, again.made) == (True, False)
    assert (again.users, again.items, again.size_bytes) == (first.users, first.items, first.size_bytes)
    with pytest.raises(UsageError, match="there already, and is not what this call makes; choose another --out"):
        synth(log, 2001, out)
    assert synth(log, 2001, out, force=True).made
    assert len(read(out)) == 2001


def test_a_note_is_not_believed_of_another_file(log: Path, tmp_path: Path) -> None:
    out = synth(log, 2000, tmp_path / "out.csv").path
    out.write_text(out.read_text() + "1,1,1,1\n")
    with pytest.raises(UsageError, match="there already"):
        synth(log, 2000, out)


def test_a_dry_run_writes_nothing_and_knows_the_size(log: Path, tmp_path: Path) -> None:
    for suffix in (".csv", ".zip"):
        out = tmp_path / "new" / f"log{suffix}"
        told = synth(log, 200_000, out, dry_run=True)
        assert not out.parent.exists()
        assert (told.made, told.items) == (False, None)
        size_bytes = synth(log, 200_000, tmp_path / f"made{suffix}").size_bytes
        assert size_bytes <= told.size_bytes < 1.15 * size_bytes


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (10, {}, r"--rows 10: fewer than the \d+ events of log; an expansion only grows"),
        ("1.5", {}, "--rows 1.5: expected a whole number from 1"),
        ("many", {}, "--rows many: expected a whole number"),
        ("1e99999999", {}, "--rows 1e99999999: expected a whole number"),
        (5000, {"out": "log.gz"}, r"--out log.gz: ends in '.gz', expected .zip or .csv"),
        (5000, {"seed": -1}, "--seed -1: expected 0 or more"),
        (5000, {"workers": 0}, "--workers 0: expected 1 or more"),
        (5000, {"out": "folder.csv"}, "--out folder.csv: is a folder, expected a file"),
        (5000, {"out": "file/log.csv"}, "--out file/log.csv: cannot be written"),
    ],
)
def test_a_mistake_is_told_in_a_line(rows: str | int, options: dict[str, Any], message: str, log: Path) -> None:
    Path("folder.csv").mkdir()
    Path("file").write_text("no folder")
    call: dict[str, Any] = {"like": log, "rows": rows, "out": "out.csv"} | options
    with pytest.raises(UsageError, match=message):
        matinee.data.synth(**call)
    assert sorted(path.name for path in Path().iterdir()) == ["file", "folder.csv"]


def test_rows_as_people_write_them() -> None:
    assert [parse_rows(text) for text in ("192e6", "1_000_000", "1,000", 7)] == [192_000_000, 1_000_000, 1000, 7]


def test_the_source_is_not_overwritten(log: Path) -> None:
    with pytest.raises(UsageError, match="is the source itself"):
        synth(log, 5000, log, force=True)


def test_a_source_without_times_is_refused(tmp_path: Path) -> None:
    (tmp_path / "games.txt").write_text("1 2\n1 3\n")
    with pytest.raises(SourceFormatError, match=r"games\.txt: has no column of times"):
        synth(tmp_path / "games.txt", 10, tmp_path / "out.csv")


def test_too_small_a_disk_is_told_before_anything_is_written(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((real.f_bsize, 1000, 0, 0, 9, *real[5:])))
    with pytest.raises(DiskFullError, match=r"no space left for it, .* are free and some .* are needed; make room"):
        synth(log, 100_000, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.glob("*out*")] == []
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root can mount one."""
    with own_disk(tmp_path / "small") as disk:
        yield disk


def test_a_disk_that_fills_up_leaves_nothing(log: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.etl.synth_file._check_room", lambda *_: None)  # somebody else filled it meanwhile
    with pytest.raises(DiskFullError, match=r"no space left, some .* are needed; make room and run again"):
        synth(log, 200_000, small_disk / "out.csv")
    assert list(small_disk.iterdir()) == []


def test_what_a_killed_run_left_is_in_nobodys_way(log: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.csv.partial").write_bytes(b"x" * 10**6)
    assert len(read(synth(log, 2000, tmp_path / "out.csv").path)) == 2000
    assert not (tmp_path / ".out.csv.partial").exists()


def test_two_processes_do_not_write_one_file(log: Path, tmp_path: Path) -> None:
    with (tmp_path / ".out.csv.partial").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process is writing it"):
            synth(log, 2000, tmp_path / "out.csv")
    assert (tmp_path / ".out.csv.partial").exists()


def test_the_generator_is_a_source(log: Path, tmp_path: Path) -> None:
    source = source_text(str(log), "5e3", seed=4)
    assert source == f"synth:{log}?rows=5000&seed=4"
    archives = tmp_path / "archives"
    archive = matinee.extract(source, out=archives)
    assert (archive.path, archive.name) == (archives / "log-5000-4.zip", "log-5000-4")
    assert archive.fetched
    assert archive.origin == source
    again = matinee.extract(source, out=archives)
    assert (again.fetched, again.sha256) == (False, archive.sha256)
    version = matinee.transform(source, out=tmp_path / "version", archives=archives)
    assert version.manifest.name == "log-5000-4"
    assert version.manifest.source.sha256 == archive.sha256
    assert version.certificate.reading.events == 5000
    log.write_text(log.read_text() + "1,1,1,1000000000\n")  # another source now: its expansion is another one
    assert matinee.extract(source, out=archives).fetched
    assert [path.name for path in archives.glob("*.*")] == ["log-5000-4.zip"]


def test_a_file_of_somebody_else_is_not_replaced_by_an_expansion(log: Path, tmp_path: Path) -> None:
    (tmp_path / "log-5000.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="there already"):
        matinee.extract(f"synth:{log}?rows=5000", out=tmp_path)
    assert (tmp_path / "log-5000.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("text", ["synth:ml-100k", "synth:?rows=5", "synth:x?rows=5&sed=3", "synth:x?rows=5&seed=-3"])
def test_a_source_that_says_too_little_or_too_much(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected synth:SOURCE\?rows=N"):
        matinee.extract(text, out=tmp_path)


def test_a_group_of_users_without_events_tastes_like_everybody() -> None:
    """One user with nearly all events leaves the next group of users empty."""
    item = np.array([*range(20), 0, 1], np.int32)
    offsets = np.array([0, 20, 21, 22], np.int64)
    whole = np.zeros(22, np.int64)
    sequences = Sequences(offsets, item, item, whole, whole, whole, whole)
    plan = make_plan(Pattern(sequences, 20, np.ones(1), False, 0, 0, 0), 22 * 9, 0)
    assert plan.ways.tastes.shape == (3, 3)
    assert plan.ways.tastes[1].tolist() == pytest.approx([9 / 22, 16 / 22, 1])
    assert sum(piece.rows for piece in plan.pieces) == 22 * 9
