"""Events as they are written and sent: OpenLineage's shape, whole lines, no secrets, no stage held up."""

from __future__ import annotations

import errno
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import DiskFullError, LineageError, StoreDeniedError
from matinee.lineage import Artifact, Recorder, journal

if TYPE_CHECKING:
    from collections.abc import Iterator

SHA = "ab" * 32
SOURCE = Artifact("source", "ml-100k", "https://me:pa55word@host/ml-100k.zip?sig=s3cr3t", SHA, size_bytes=9)
ARCHIVE = Artifact("archive", "ml-100k", "/data/ml-100k.zip", SHA, size_bytes=9)
VERSION = Artifact(
    "version", "ml-100k", "/data/v", "cd" * 32, 10, 5, 3, "0123456789abcdef", SHA, "ef" * 32, (("user", "int32"),)
)


def events_of(recorder: Recorder) -> list[dict[str, Any]]:
    assert recorder.path is not None
    return [json.loads(line) for line in recorder.path.read_bytes().splitlines()]


class Collector(http.server.ThreadingHTTPServer):
    """A collector that keeps what it is told."""

    def __init__(self, status: int = 201, delay: threading.Event | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.headers.append(dict(self.headers) | {"path": self.path})
                collector.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if delay is not None:
                    delay.wait(20)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return tmp_path / "lineage"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def test_a_stage_is_a_start_and_a_complete_event_that_the_client_can_rebuild(room: Path) -> None:
    recorder = Recorder(room)
    with recorder.stage("transform", inputs=[ARCHIVE]) as run:
        run.add_output(VERSION)
        run.add_output(VERSION)
    start, complete = events_of(recorder)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] == run.id
    assert start["outputs"] == []
    assert len(complete["outputs"]) == 1
    for event in (start, complete):
        _check_against_the_client(event)


def _check_against_the_client(event: dict[str, Any]) -> None:
    """Every object is built again by the client's own classes, which refuse unknown and missing fields."""
    from openlineage.client import event_v2
    from openlineage.client.serde import Serde

    UUID(event["run"]["runId"])
    assert datetime.fromisoformat(event["eventTime"]).utcoffset() is not None
    assert event["schemaURL"].startswith("https://openlineage.io/spec/")
    sides = {"inputs": event_v2.InputDataset, "outputs": event_v2.OutputDataset}
    rebuilt = event_v2.RunEvent(
        eventTime=event["eventTime"],
        eventType=event_v2.RunState(event["eventType"]),
        producer=event["producer"],
        run=event_v2.Run(runId=event["run"]["runId"], facets=_facets(event["run"]["facets"])),
        job=event_v2.Job(**{**event["job"], "facets": _facets(event["job"]["facets"])}),
        **{
            side: [
                kind(**{key: _facets(value) if key.endswith("acets") else value for key, value in dataset.items()})
                for dataset in event[side]
            ]
            for side, kind in sides.items()
        },
    )
    assert json.loads(Serde.to_json(rebuilt)) == event


def _facets(plain: dict[str, dict[str, Any]]) -> dict[str, Any]:
    from openlineage.client import facet_v2

    from matinee.lineage.events import DigestDatasetFacet

    classes = {"MatineeDigestDatasetFacet": DigestDatasetFacet}
    for name in facet_v2.__all__:
        module = getattr(facet_v2, name)
        classes |= {key: value for key, value in vars(module).items() if key.endswith("Facet")} if "_" in name else {}
    found = {}
    for key, fields in plain.items():
        kind = classes[fields["_schemaURL"].rpartition("/")[2]]
        assert kind._get_schema() == fields["_schemaURL"]
        own = {name: value for name, value in fields.items() if name not in {"_schemaURL", "_producer"}}
        found[key] = kind(**own, producer=fields["_producer"])
    return found


def test_our_own_facet_follows_its_own_schema(room: Path) -> None:
    schema = json.loads(files("matinee.lineage").joinpath("matinee_digest.json").read_text())
    definition = schema["$defs"]["MatineeDigestDatasetFacet"]
    recorder = Recorder(room)
    with recorder.stage("transform", [SOURCE, ARCHIVE], [VERSION]):
        pass
    event = events_of(recorder)[1]
    for dataset in event["inputs"] + event["outputs"]:
        facet = dataset["facets"]["matinee_digest"]
        assert set(definition["required"]) <= set(facet) <= set(definition["properties"])
        assert facet["kind"] in definition["properties"]["kind"]["enum"]
        assert facet["_schemaURL"] == schema["$id"] + "#/$defs/MatineeDigestDatasetFacet"


@pytest.mark.parametrize(
    ("location", "namespace", "path"),
    [
        ("/data/v", "file", "/data/v"),
        ("file:///data/v", "file", "/data/v"),
        ("s3://bucket/a/b/", "s3://bucket", "a/b"),
        ("s3a://bucket/a", "s3://bucket", "a"),
        ("https://host:1/a/b.zip", "https://host:1", "/a/b.zip"),
        ("chi_tacc:container/a", "rclone://chi_tacc", "container/a"),
        (":s3:bucket/a", "rclone://s3", "bucket/a"),
    ],
)
def test_names_follow_the_naming_of_openlineage(location: str, namespace: str, path: str) -> None:
    from openlineage.client.naming.dataset import S3, LocalFileSystem

    artifact = Artifact("version", "x", location, SHA)
    assert (artifact.namespace, artifact.path) == (namespace, path)
    theirs = S3("bucket", path) if namespace == "s3://bucket" else LocalFileSystem(path)
    if namespace in {"file", "s3://bucket"}:
        assert (theirs.get_namespace(), theirs.get_name()) == (namespace, path)


def test_a_relative_folder_is_named_in_full() -> None:
    assert Artifact("version", "x", "v", SHA).path == str(Path.cwd() / "v")


def test_what_is_written_is_read_back_alike(room: Path) -> None:
    recorder = Recorder(room)
    with recorder.stage("transform", [ARCHIVE], [VERSION]) as run:
        pass
    assert recorder.path is not None
    (found,) = journal.read(recorder.path)
    assert (found.id, found.job, found.state, found.error) == (run.id, "transform", "COMPLETE", "")
    assert found.started <= found.ended
    assert found.outputs == (VERSION,)
    assert [artifact.sha256 for artifact in found.inputs] == [SHA]


def test_a_failure_is_recorded_without_secrets_and_passes_through(room: Path) -> None:
    recorder = Recorder(room, secrets=["gen3rated"])
    message = "no access to https://me:pa55word@host/x?sig=s3cr3t with gen3rated; secret_access_key=k3y"
    with pytest.raises(StoreDeniedError, match="pa55word"), recorder.stage("load", [SOURCE]):
        raise StoreDeniedError(message)
    start, fail = events_of(recorder)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert fail["run"]["facets"]["errorMessage"]["message"].startswith("StoreDeniedError: no access to https://host/x")
    _check_against_the_client(fail)
    assert recorder.path is not None
    text = recorder.path.read_text()
    for secret in ("pa55word", "s3cr3t", "gen3rated", "k3y"):
        assert secret not in text
    (found,) = journal.read(recorder.path)
    assert found.state == "FAIL"
    assert "no access" in found.error


def test_ctrl_c_is_recorded_too(room: Path) -> None:
    recorder = Recorder(room)
    with pytest.raises(KeyboardInterrupt), recorder.stage("load"):
        raise KeyboardInterrupt
    assert [event["eventType"] for event in events_of(recorder)] == ["START", "FAIL"]


def test_without_folder_and_collector_nothing_is_imported_or_written() -> None:
    code = (
        "import sys\nfrom matinee.lineage import Recorder\n"
        "with Recorder(None).stage('transform'): pass\n"
        "sys.exit('openlineage' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_no_setting_of_the_environment_changes_or_redirects_an_event(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    monkeypatch.setenv("OPENLINEAGE__FACETS__ENVIRONMENT_VARIABLES", '["MY_SECRET"]')
    monkeypatch.setenv("MY_SECRET", "s3cr3t")
    recorder = Recorder(room)
    with recorder.stage("transform"):
        pass
    assert len(events_of(recorder)) == 2
    assert "s3cr3t" not in json.dumps(events_of(recorder))


GARBAGE = [b"", b"\xff\xfe", b"[1]\n", b"{}\n", b"null\n", b'{"job": 1}\n']


@given(torn=st.integers(2, 400), garbage=st.sampled_from(GARBAGE))
def test_a_torn_last_line_is_passed_over_and_closed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, torn: int, garbage: bytes
) -> None:
    recorder = Recorder(tmp_path_factory.mktemp("torn"))
    assert recorder.path is not None
    with recorder.stage("extract"):
        pass
    content = recorder.path.read_bytes()
    recorder.path.write_bytes(content[: len(content) - torn] + garbage)
    assert [run.state for run in journal.read(recorder.path)] == ["START"]
    with recorder.stage("transform", [], [VERSION]):
        pass
    assert [(run.job, run.state) for run in journal.read(recorder.path)] == [
        ("extract", "START"),
        ("transform", "COMPLETE"),
    ]


def test_a_process_killed_in_a_stage_leaves_a_start_and_whole_lines(room: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\nfrom matinee.lineage import Recorder\n"
        "with Recorder(pathlib.Path(sys.argv[1])).stage('transform'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, room], check=False, timeout=60)
    assert done.returncode == -9
    (found,) = journal.read(room / journal.EVENTS)
    assert (found.state, found.ended) == ("START", "")


def test_writers_at_the_same_time_never_split_a_line(room: Path) -> None:
    lines = [json.dumps({"n": n, "text": "x" * (n * 37 % 9_000)}).encode() + b"\n" for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda line: journal.append(room / "events.jsonl", line), lines))
    assert sorted((room / "events.jsonl").read_bytes().splitlines(keepends=True)) == sorted(lines)


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_is_said_and_leaves_the_file_as_before(
    room: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(room)
    with recorder.stage("extract"):
        pass
    assert recorder.path is not None
    before = recorder.path.read_bytes()
    real = os.write

    def full(file: int, data: bytes) -> int:
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:written])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError, match=r"events\.jsonl: no space left"):
        journal.append(recorder.path, b'{"more": "than fits"}\n')
    assert recorder.path.read_bytes() == before


def test_a_folder_that_is_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LineageError, match=r"cannot be written .*; make the folder writable"):
        journal.append(tmp_path / "file" / "events.jsonl", b"{}\n")


def test_a_failure_that_cannot_be_recorded_does_not_hide_the_failure(room: Path) -> None:
    warnings: list[str] = []
    recorder = Recorder(room, warn=warnings.append)
    with pytest.raises(ValueError, match="the real one"), recorder.stage("load"):
        _spoil(recorder.path)
    assert len(warnings) == 1
    assert "'load' is not recorded" in warnings[0]


def _spoil(path: Path | None) -> None:
    assert path is not None
    path.unlink()
    path.mkdir()
    raise ValueError("the real one")


def test_a_collector_is_told_the_same_events(room: Path, collector: Collector) -> None:
    warnings: list[str] = []
    recorder = Recorder(room, collector.url, api_key="t0ken", warn=warnings.append)
    with recorder.stage("transform", [SOURCE], [VERSION]):
        pass
    assert collector.events == events_of(recorder)
    assert {header["path"] for header in collector.headers} == {"/api/v1/lineage"}
    assert {header["Authorization"] for header in collector.headers} == {"Bearer t0ken"}
    assert "t0ken" not in json.dumps(collector.events)
    assert warnings == []


def test_a_collector_that_is_down_costs_one_warning_without_credentials(room: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else takes the port
        warnings: list[str] = []
        url = f"http://me:pa55word@127.0.0.1:{taken.getsockname()[1]}/?token=s3cr3t"
        recorder = Recorder(room, url, warn=warnings.append)
        for _ in range(2):
            with recorder.stage("transform"):
                pass
    assert len(warnings) == 1
    assert re.search(r"lineage collector http://127\.0\.0\.1:\d+/: does not answer", warnings[0])
    assert "pa55word" not in warnings[0]
    assert "s3cr3t" not in warnings[0]
    assert len(events_of(recorder)) == 4


def test_a_collector_that_says_no_costs_one_warning(room: Path) -> None:
    warnings: list[str] = []
    with Collector(status=500) as refusing:
        recorder = Recorder(room, refusing.url, warn=warnings.append)
        with recorder.stage("transform"):
            pass
        assert len(refusing.events) == 1
    assert len(warnings) == 1
    assert "500" in warnings[0]


def test_a_collector_that_hangs_delays_a_stage_once_and_briefly(room: Path) -> None:
    warnings: list[str] = []
    with Recorder(room / "warm").stage("import"):
        pass  # the client is imported before the clock starts
    release = threading.Event()
    with Collector(delay=release) as hanging:
        recorder = Recorder(room, hanging.url, warn=warnings.append)
        start = time.monotonic()
        with recorder.stage("transform"):
            pass
        took_s = time.monotonic() - start
        release.set()
    assert 1.5 < took_s < 4
    assert len(warnings) == 1
    assert len(events_of(recorder)) == 2


def test_an_address_that_is_none_is_one_warning(room: Path) -> None:
    warnings: list[str] = []
    with Recorder(room, "not a url", warn=warnings.append).stage("transform"):
        pass
    assert len(warnings) == 1
