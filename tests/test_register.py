"""Registering in a real stack: Postgres and MLflow know the version, once, and the lineage tells of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import matinee
from database_contents import held, ought
from matinee import database
from matinee.cli import main
from matinee.errors import VersionDamagedError, VersionNotFoundError
from matinee.lineage import Recorder, trace
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def version(small_logs: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A version of a data set of the test's own."""
    name = request.node.name.removeprefix("test_")
    return matinee.transform(small_logs["ratings.csv"], out=tmp_path / "version", name=name).folder


def test_both_services_know_it_once(stack_service: Stack, version: Path) -> None:
    first = matinee.register(version, data_dir=stack_service.data_dir, location="s3://matinee/x")
    again = matinee.register(str(version), data_dir=stack_service.data_dir)
    assert not first.unchanged
    assert again.unchanged
    assert (again.id, again.run, again.page) == (first.id, first.run, first.page)
    assert held(stack_service.postgres_url, first.id) == ought(version)
    assert database.version(stack_service.postgres_url, first.id).location == "s3://matinee/x"
    assert (first.users, first.items) == (4, 4)
    assert first.database == f"{stack_service.postgres_address}/matinee"


def test_the_lineage_tells_of_it_without_passwords(stack_service: Stack, version: Path, tmp_path: Path) -> None:
    registered = matinee.register(
        version,
        data_dir=stack_service.data_dir,
        location="https://me:secret-word@store.example.org/x",
        lineage=Recorder(tmp_path / "lineage"),
    )
    events = tmp_path / "lineage" / "events.jsonl"
    chain = trace(events=events)
    links = [link for link in chain.links if link.kind == "registered"]
    assert [(link.what, link.state) for link in links] == [(registered.id, "ok")] * 2
    assert links[0].where == registered.database
    assert links[1].where.endswith(f"/experiments/{registered.experiment}/runs/{registered.run}")
    password = stack_service.postgres_url.split("@")[0].rpartition(":")[2]
    assert password not in events.read_text()
    assert "secret-word" not in events.read_text()
    location = database.version(stack_service.postgres_url, registered.id).location
    assert location == "https://store.example.org/x"


def test_a_changed_byte_is_not_registered(stack_service: Stack, version: Path, tmp_path: Path) -> None:
    path = version / "training" / f"{Manifest.read(version).name}_train.txt"
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(VersionDamagedError, match=r"_train.txt has [0-9a-f]{64}, expected .*; pull or transform"):
        matinee.register(version, data_dir=stack_service.data_dir, lineage=Recorder(tmp_path / "lineage"))
    assert database.versions(stack_service.postgres_url, Manifest.read(version).name) == []
    last = json.loads((tmp_path / "lineage" / "events.jsonl").read_text().splitlines()[-1])
    assert (last["job"]["name"], last["eventType"]) == ("register", "FAIL")


def test_no_version_starts_no_stack(tmp_path: Path) -> None:
    with pytest.raises(VersionNotFoundError, match=r"no manifest.json"):
        matinee.register(tmp_path / "nothing", data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_two_at_once_register_once(stack_service: Stack, version: Path) -> None:
    code = (
        f"import matinee; done = matinee.register({str(version)!r}, data_dir={str(stack_service.data_dir)!r});"
        "print(done.run)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    runs = {process.communicate(timeout=120)[0] for process in both}
    assert len(runs) == 1
    assert runs != {""}


def test_the_command_tells_what_it_did(stack_service: Stack, version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["register", str(version), "--data-dir", str(stack_service.data_dir)]
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "is registered." in out
    assert "4 users, 4 items" in out
    assert main([*call, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["unchanged"]
    assert told["page"].startswith(stack_service.mlflow_url)
    assert told["id"] == Manifest.read(version).id


def test_a_rehearsal_registers_what_it_publishes(stack_service: Stack, small_logs: dict[str, Path]) -> None:
    log = small_logs["ratings.csv"].rename(small_logs["ratings.csv"].with_name("rehearsed.csv"))
    first = matinee.rehearse(log, data_dir=stack_service.data_dir, train=False)
    assert held(stack_service.postgres_url, first.version) == ought(first.folder)
    assert database.version(stack_service.postgres_url, first.version).location == first.location
    registered = matinee.register(first.folder, data_dir=stack_service.data_dir)
    assert registered.unchanged
    kinds = [link.kind for link in matinee.trace(first.version, data_dir=stack_service.data_dir).links]
    assert kinds == ["source", "archive", "version", "published", "registered", "registered"]
    receipts = [json.loads(path.read_text()) for path in (stack_service.data_dir / "receipts").iterdir()]
    assert [receipt["registered"] for receipt in receipts if receipt["version"] == first.version] == [True]
    assert not matinee.rehearse(log, data_dir=stack_service.data_dir, train=False).worked
