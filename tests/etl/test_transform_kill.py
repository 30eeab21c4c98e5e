"""SIGKILL at any moment of a transform: no half version is visible, and the next run ends as if nothing had been."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import signal
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.etl.transform import transform
from matinee.schema.layout import MANIFEST, RUN
from matinee.schema.manifest import Manifest
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.etl.transform import LocalVersion

KILLS = 20
ROWS = 300_000
SETTINGS = TransformSettings(name="log", ties="shuffle", min_item_events=2)
LIMIT_BYTES = 4_000_000

# A server that has imported everything forks the children, so that each begins at once: a kill falls into transform.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["matinee.etl.transform"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    columns = rng.integers(0, 20_000, ROWS), rng.zipf(1.3, ROWS) % 7_000, rng.integers(10**9, 10**9 + 10**6, ROWS)
    path = tmp_path / "source" / "log.csv"
    path.parent.mkdir()
    rows = zip(*(column.tolist() for column in columns), strict=True)
    path.write_bytes(b"user,item,time\n" + b"".join(b"%d,%d,%d\n" % row for row in rows))
    return path


def run(source: Path, out: Path, temp: Path) -> LocalVersion:
    return transform(source, out, SETTINGS, memory_limit_bytes=LIMIT_BYTES, temp_dir=temp)


def test_killed_and_run_again(source: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**9)
    moments = random.Random(seed)
    place, temp = tmp_path / "place", tmp_path / "temp"
    place.mkdir()
    temp.mkdir()
    out = place / "log"
    reference = run(source, tmp_path / "reference", temp).manifest
    duration_s = uninterrupted_s(source, tmp_path / "timed", temp)
    killed = 0
    for kill in range(KILLS * 3):
        delay_s = moments.uniform(0, duration_s)
        story = f"seed {seed}, kill {kill} after {delay_s:.4f} s of {duration_s:.2f} s"
        finished = start_and_kill(source, out, temp, delay_s)
        if finished or out.exists():
            assert_complete(out, reference, story)
        killed += not finished
        # The next run takes up after one kill, or after a few in a row.
        if moments.random() < 0.5 or finished or killed == KILLS:
            assert run(source, out, temp).manifest.id == reference.id, story
            assert_complete(out, reference, story)
            assert [path.name for path in place.iterdir()] == ["log"], story
            assert not list(temp.iterdir()), story
            remove(out)
        if killed == KILLS:
            return
    pytest.fail(f"only {killed} of {KILLS * 3} runs were killed before their end; seed {seed}")


def uninterrupted_s(source: Path, out: Path, temp: Path) -> float:
    start_and_kill(source, out.with_name("first"), temp, delay_s=60)  # the server starts, kernels are compiled
    began = time.monotonic()
    assert start_and_kill(source, out, temp, delay_s=60)
    return time.monotonic() - began


def start_and_kill(source: Path, out: Path, temp: Path, delay_s: float) -> bool:
    """Whether the child was done before the kill."""
    options = {"memory_limit_bytes": LIMIT_BYTES, "temp_dir": temp}
    child = FORKS.Process(target=transform, args=(source, out, SETTINGS), kwargs=options)
    child.start()
    child.join(delay_s)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    finished = child.exitcode == 0
    child.close()
    return finished


def assert_complete(out: Path, reference: Manifest, story: str) -> None:
    assert Manifest.read(out).to_json() == reference.to_json(), story
    found = {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, RUN)
    }
    assert found == {file.path: file.sha256 for file in reference.files}, story


def remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
