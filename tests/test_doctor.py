"""`matinee doctor`: each finding in both its moods, against the real machine or a real stand-in for the broken part."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

import matinee
from matinee.checkup import folders, machine, packages, programs, reach, services
from matinee.cli import main
from matinee.etl.catalogue import Dataset, Mirror
from matinee.processes import birth_of
from matinee.stack.folders import Folders
from matinee.stack.state import StackState
from own_disk import own_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.stack import Stack

GB = 10**9


def by_check(findings: object) -> dict[str, tuple[str, str, str]]:
    return {found.check: (found.level, found.found, found.advice) for found in findings}  # type: ignore[attr-defined]


def test_this_machine_is_fit_and_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path.cwd().rglob("*"))
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["healthy"] is True
    checks = {finding["check"]: finding for finding in told["findings"]}
    for check in ("Python", "C library", "matinee", "rclone", "memory", "disk", "data folder", "kernel cache"):
        assert checks[check]["level"] in {"ok", "note"}, checks[check]
    assert "mirror" not in checks
    assert sorted(Path.cwd().rglob("*")) == before
    assert all(finding["advice"] for finding in told["findings"] if finding["level"] != "ok")
    assert all("\n" not in finding["found"] + finding["advice"] for finding in told["findings"])


def test_a_problem_is_the_exit_code_and_stands_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("")
    assert main(["doctor", "--data-dir", "taken"]) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("data folder")]
    assert line.split()[2] == "problem"
    assert "is a file, not a folder" in line
    assert "--data-dir" in line
    assert re.fullmatch(r"[1-9] problems?, (no|[1-9]) notes?", out.splitlines()[-1])


@pytest.mark.parametrize(
    ("line", "level", "found"),
    [
        ("pytest>=1", "ok", "pytest "),
        ("pytest<1", "problem", "(asked for <1)"),
        ("no-such-package-as-this>=1", "note", "not installed: no-such-package-as-this"),
    ],
)
def test_an_extra_is_held_against_its_metadata(line: str, level: str, found: str) -> None:
    core, extra = packages.extras({"": [Requirement(line)], "stack": [Requirement(line)]})
    assert (extra.check, extra.level) == ("extra stack", level)
    assert found in extra.found
    assert core.level == ("problem" if level == "note" else level)  # what the core lacks, everybody lacks


def test_every_extra_of_the_project_is_explained() -> None:
    told = {finding.check for finding in packages.packages()}
    assert {f"extra {extra}" for extra in ("stack", "cloud", "train", "serve", "spark")} <= told


def test_what_trains_and_asks_models_is_loaded() -> None:
    found = by_check(packages.engines())
    assert {name: level for name, (level, _, _) in found.items()} == {"PyTorch": "ok", "ONNX Runtime": "ok"}
    assert re.match(r"2\.\d+.*(CPU, \d+ threads|NVIDIA)", found["PyTorch"][1])
    assert "CPU" in found["ONNX Runtime"][1]


def test_a_package_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (("torch", "PyTorch", "raise OSError('libgomp.so.1: cannot open shared object file')"),)
    monkeypatch.setattr(packages, "_ENGINES", broken)
    level, text, advice = by_check(packages.engines())["PyTorch"]
    assert level == "problem"
    assert "OSError: libgomp.so.1" in text
    assert advice == "install torch again"


@pytest.mark.parametrize(
    ("usable", "available", "level"),
    [(16 * GB, 8 * GB, "ok"), (16 * GB, 2 * GB, "note"), (16 * GB, GB // 2, "problem")],
)
def test_memory(usable: int, available: int, level: str) -> None:
    found = machine.memory(usable, available)
    assert found.level == level
    assert "free of 16.0 GB" in found.found


@pytest.mark.parametrize(
    ("steps_s", "kept", "level", "word"),
    [
        (0.0, True, "ok", "kept in time"),
        (0.0, None, "ok", "does not say"),
        (0.0, False, "note", "by nobody"),
        (1.5, True, "note", "steps by +1.500 s"),
    ],
)
def test_clock(steps_s: float, kept: bool | None, level: str, word: str) -> None:
    found = machine.clock(steps_s, datetime.now(UTC), kept)
    assert found.level == level
    assert word in found.found


def test_a_clock_from_before_the_installation() -> None:
    found = machine.clock(0.0, datetime(1970, 1, 2, tzinfo=UTC), True)
    assert found.level == "problem"
    assert "before Matinee was installed" in found.found


def test_a_folder_that_is_not_made_yet_is_not_made(tmp_path: Path) -> None:
    found = folders.writable("data folder", tmp_path / "a" / "b")
    assert found.level == "ok"
    assert found.found.endswith("not made yet")
    assert not (tmp_path / "a").exists()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB with room for few files; only root can mount one."""
    with own_disk(tmp_path / "tiny", "size=1m,nr_inodes=50000") as disk:
        yield disk


def test_a_disk_is_judged_by_bytes_by_share_and_by_files(tiny_disk: Path) -> None:
    assert folders.disk("disk", tiny_disk).level == "problem"
    few = {"problem_bytes": 1, "note_bytes": 1}
    assert folders.disk("disk", tiny_disk / "not" / "yet", **few).level == "ok"
    assert folders.disk("disk", tiny_disk, problem_bytes=1).level == "note"
    (tiny_disk / "filler").write_bytes(bytes(1_040_384))  # all but two pages
    assert "less than 1%" in folders.disk("disk", tiny_disk, **few).advice
    subprocess.run(["mount", "-o", "remount,nr_inodes=500", str(tiny_disk)], check=True)
    assert "more files" in folders.disk("disk", tiny_disk, **few).found


def test_a_read_only_disk(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    found = folders.writable("data folder", tiny_disk / "data")
    assert found.level == "problem"
    assert "Read-only" in found.found


def test_the_kernel_cache_is_where_numba_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert folders.kernel_cache().found == str(tmp_path)


def test_no_place_for_kernels_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(folders, "find_spec", lambda _name: None)
    found = folders.kernel_cache()
    assert found.level == "problem"
    assert "NUMBA_CACHE_DIR" in found.advice


def test_without_fuse_and_java_there_are_hints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install fuse3" in programs.fuse().advice
    assert programs.java().found.startswith("none")


def test_a_fuse_program_without_its_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_program(tmp_path / "fusermount3", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = programs.fuse(tmp_path / "no-fuse")
    assert found.level == "note"
    assert "--device /dev/fuse" in found.advice


@pytest.mark.parametrize(
    ("says", "level"),
    [
        ("echo 'openjdk version \"17.0.15\" 2025-04-15' >&2", "ok"),
        ("echo 'java version \"1.8.0_402\"' >&2", "note"),
        ("echo broken; exit 3", "note"),
    ],
)
def test_java_tells_its_version(says: str, level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    make_program(tmp_path / "bin" / "java", says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert programs.java().level == level


@pytest.mark.xdist_group("s3")
def test_a_store_that_answers_and_one_that_does_not(
    bucket: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = os.environ["AWS_ENDPOINT_URL"]
    assert main(["doctor", "--json", "--store", bucket(), "--endpoint", url]) == 0
    there = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert there["store"]["level"] == there["store's clock"]["level"] == "ok"
    report = matinee.doctor(store="s3://matinee/x", endpoint="http://127.0.0.1:9")
    (found,) = report.problems
    assert found.check == "store"
    assert "127.0.0.1:9" in found.advice or "no answer" in found.advice


@contextmanager
def site(status: int, date: datetime) -> Iterator[str]:
    """A real web server that answers every HEAD with a status and a date."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return super().date_time_string(date.timestamp())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def catalogue(*addresses: str) -> dict[str, Dataset]:
    mirrors = tuple(Mirror("http", address, "log.zip", "log.csv", (), ",") for address in addresses)
    return {"log": Dataset("log", 1, "2000", "free", "page", mirrors)}


def test_each_mirror_is_asked_once() -> None:
    with site(200, datetime.now(UTC)) as url:
        (found,) = reach.mirrors(catalogue(f"{url}/a.zip", f"{url}/b.zip"))
    assert (found.level, found.found) == ("ok", url.removeprefix("http://"))


@pytest.mark.parametrize(
    ("status", "hours_off", "level", "word"),
    [(503, 0, "note", "answers 503"), (200, 1, "problem", "our clock is -3"), (200, -1, "problem", "our clock is +3")],
)
def test_a_mirror_that_is_ill_or_has_another_time(status: int, hours_off: int, level: str, word: str) -> None:
    with site(status, datetime.now(UTC) + timedelta(hours=hours_off)) as url:
        (found,) = reach.mirrors(catalogue(url))
    assert found.level == level
    assert word in found.found


def test_a_mirror_that_is_not_there() -> None:
    (found,) = reach.mirrors(catalogue("http://127.0.0.1:9/a.zip"))
    assert found.level == "note"
    assert "refused" in found.found


def test_a_stack_that_does_not_run_and_one_whose_port_is_taken(tmp_path: Path) -> None:
    state = StackState.make().write(tmp_path / "stack.json")
    with socket.create_server(("127.0.0.1", state.mlflow_port)):
        found = by_check(services.services(tmp_path))
    assert found["service jupyter"][0] == found["service postgres"][0] == found["service s3"][0] == "note"
    level, told, advice = found["service mlflow"]
    assert level == "problem"
    assert f"another program has its port {state.mlflow_port}" in told
    assert "matinee up mlflow" in advice


def test_a_service_that_runs_but_does_not_answer(tmp_path: Path) -> None:
    StackState.make().write(tmp_path / "stack.json")
    record = Folders(tmp_path).process("jupyter")
    record.parent.mkdir()
    record.write_text(json.dumps({"pid": os.getpid(), "birth": birth_of(os.getpid())}))
    level, told, _ = by_check(services.services(tmp_path))["service jupyter"]
    assert (level, told) == ("problem", "JupyterLab runs, but does not answer")


@pytest.mark.xdist_group("stack")
def test_a_stack_that_is_well(stack_service: Stack) -> None:
    found = by_check(services.services(stack_service.data_dir))
    assert {check: level for check, (level, _, _) in found.items()} == {
        f"service {name}": "ok" for name in ("s3", "postgres", "mlflow", "jupyter")
    }


def test_a_stack_of_a_newer_matinee(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"format": 1000}')
    assert "upgrade Matinee" in by_check(services.services(tmp_path))["stack"][2]


def make_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
