"""Remotes in rclone's configuration: what is written, what is left alone, and that no secret is shown."""

from __future__ import annotations

import configparser
import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matinee import stores
from matinee.cli import main
from matinee.errors import UsageError
from matinee.store.binary import rclone_path

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack.s3 import Endpoint
    from openstack_services import OpenStack

SECRET = "a-secret-that-nobody-may-see"


def written(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The user's own configuration file, with something in it."""
    path = tmp_path / "home" / ".config" / "rclone" / "rclone.conf"
    path.parent.mkdir(parents=True)
    path.write_text("[mine]\ntype = local\n\n# kept\n[other]\ntype = alias\nremote = /srv\n")
    path.chmod(0o644)
    return path


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def add_lab(secret_file: Path, **options: object) -> stores.Added:
    known = {"type": "s3", "endpoint": "https://s3.example.org", "key_id": "KEY", "no_check": True}
    return stores.add("lab", **{**known, "secret_file": secret_file, **options})  # type: ignore[arg-type]


def test_an_s3_is_written_beside_what_is_there(config: Path, secret_file: Path) -> None:
    added = add_lab(secret_file, region="north")
    assert (added.name, added.type, added.config, added.written) == ("lab", "s3", config, True)
    assert SECRET not in repr(added)
    found = written(config)
    assert found["mine"] == {"type": "local"}
    assert found["other"] == {"type": "alias", "remote": "/srv"}
    assert "# kept" in config.read_text()
    assert found["lab"] == {
        "type": "s3",
        "provider": "Other",
        "env_auth": "false",
        "endpoint": "https://s3.example.org",
        "region": "north",
        "access_key_id": "KEY",
        "secret_access_key": SECRET,
    }
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stores.list() == (
        stores.Remote("lab", "s3", "https://s3.example.org"),
        stores.Remote("mine", "local", ""),
        stores.Remote("other", "alias", "/srv"),
    )


def test_the_same_again_is_no_change_and_another_is_refused(config: Path, secret_file: Path) -> None:
    add_lab(secret_file)
    before = config.read_bytes()
    assert not add_lab(secret_file).written
    with pytest.raises(UsageError, match="another access_key_id; choose another name") as refused:
        add_lab(secret_file, key_id="OTHER")
    assert SECRET not in str(refused.value)
    assert config.read_bytes() == before
    assert add_lab(secret_file, key_id="OTHER", force=True).written
    assert written(config)["lab"]["access_key_id"] == "OTHER"


def test_a_dry_run_writes_nothing_and_shows_no_secret(
    config: Path, secret_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = config.read_bytes(), config.stat().st_mode
    words = ["store", "add", "lab", "--type", "s3", "--endpoint", "https://s3.example.org", "--key-id", "KEY"]
    assert main([*words, "--secret-file", str(secret_file), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "would be written" in out
    assert "***" in out
    assert SECRET not in out
    assert (config.read_bytes(), config.stat().st_mode) == before


def test_another_file_is_written_where_asked_for(config: Path, secret_file: Path, tmp_path: Path) -> None:
    before = config.read_bytes()
    added = add_lab(secret_file, config=tmp_path / "own.conf")
    assert added.config == tmp_path / "own.conf"
    assert stat.S_IMODE(added.config.stat().st_mode) == 0o600
    assert [remote.name for remote in stores.list(config=added.config)] == ["lab"]
    assert config.read_bytes() == before


def test_an_encrypted_file_stays_encrypted(secret_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encrypted.conf"
    path.write_text("[mine]\ntype = local\n")
    monkeypatch.setenv("RCLONE_CONFIG_PASS", "password")
    command = [rclone_path(), "config", "encryption", "set", "--config", path, "--password-command", "echo password"]
    subprocess.run(command, check=True, capture_output=True)
    add_lab(secret_file, config=path)
    assert path.read_text().startswith("# Encrypted rclone configuration File")
    assert [remote.name for remote in stores.list(config=path)] == ["lab", "mine"]


def test_a_remote_is_removed_and_the_others_stay(config: Path, secret_file: Path) -> None:
    add_lab(secret_file)
    assert stores.remove("lab").name == "lab"
    assert set(written(config)) == {"mine", "other"}
    with pytest.raises(UsageError, match="none of that name"):
        stores.remove("lab")


def test_a_remote_that_is_there_is_only_checked(config: Path, tmp_path: Path) -> None:
    before = config.read_text()
    added = stores.add(f"mine:{tmp_path}/store")
    assert (added.type, added.written) == ("local", False)
    assert added.checked is not None
    assert added.checked.ok
    assert config.read_text() == before
    with pytest.raises(UsageError, match="--type swift or --type s3"):
        stores.add("unheard-of")
    with pytest.raises(UsageError, match="is no remote"):
        stores.check("unheard-of")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"type": "s3"}, "--endpoint"),
        ({"type": "s3", "provider": "AWS"}, "--region"),
        ({"type": "s3", "endpoint": "https://s3.example.org"}, "--key-id"),
        ({"type": "s3", "endpoint": "https://s3.example.org", "key_id": "K"}, "--secret-file"),
        ({"type": "s3", "endpoint": "https://s3.example.org", "key_id": "K", "secret_file": "/none"}, "cannot be read"),
        ({"type": "s3", "cloud": "c"}, "--type swift"),
        ({"type": "swift"}, "--auth-url"),
        ({"type": "swift", "auth_url": "https://keystone.example.org"}, "application credential"),
        ({"type": "swift", "cloud": "unheard-of"}, "unheard-of"),
        ({"type": "swift", "endpoint": "https://s3.example.org"}, "--type s3"),
    ],
)
def test_what_is_missing_is_named(options: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=expected):
        stores.add("lab", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected letters"):
        stores.add("no/name", **options)  # type: ignore[arg-type]


def test_the_secret_is_asked_for_where_it_is_nowhere_else(config: Path) -> None:
    del config
    questions = []

    def ask(question: str) -> str:
        questions.append(question)
        return SECRET

    stores.add("lab", type="s3", endpoint="https://s3.example.org", key_id="K", no_check=True, ask=ask)
    assert questions == ["Secret: "]


@pytest.mark.xdist_group("s3")
def test_an_s3_from_the_environment_is_written_and_checked(on_s3: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "add", "lab:matinee", "--type", "s3", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["checked"]["ok"]
    assert on_s3.secret_key not in json.dumps(plain)
    assert main(["store", "check", "lab"]) == 0  # makes a bucket of its own, and removes it
    out = capsys.readouterr().out
    assert "write if new" in out
    assert on_s3.secret_key not in out


@pytest.mark.xdist_group("s3")
def test_a_failed_check_is_one_line_and_exit_code_1(on_s3: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        assert main(["store", "add", "wrong:matinee", "--type", "s3", "--endpoint", on_s3.url]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("matinee: wrong:matinee: refused while listing; check the keys")
    assert said.err.endswith("; failed: reach\n")
    assert said.err.count("\n") == 1
    assert SECRET not in said.err + said.out


CLOUDS = """
clouds:
  testbed:
    auth_type: v3applicationcredential
    region_name: RegionOne
    auth:
      auth_url: {auth_url}
      application_credential_id: {id}
  password:
    auth: {{auth_url: "{auth_url}", username: me, password: secret, project_name: p}}
"""


@pytest.mark.xdist_group("openstack")
def test_a_swift_from_clouds_yaml_is_written_checked_and_used(
    openstack: OpenStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openstack.config", reason="reading clouds.yaml needs openstacksdk (matinee[cloud])")
    auth_url = openstack.auth_url.removesuffix("/v3")
    (tmp_path / "clouds.yaml").write_text(CLOUDS.format(auth_url=auth_url, id=openstack.owner.id))
    (tmp_path / "secure.yaml").write_text(
        f"clouds: {{testbed: {{auth: {{application_credential_secret: '{openstack.owner.secret}'}}}}}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
        patch.setenv("OS_CLIENT_SECURE_FILE", str(tmp_path / "secure.yaml"))
        assert main(["store", "add", "chi:added", "--type", "swift", "--cloud", "testbed"]) == 0
        out = capsys.readouterr().out
        assert openstack.owner.secret not in out
        assert openstack.auth_url in out
        assert stores.check("chi").ok
        with pytest.raises(UsageError, match="a password is not copied"):
            stores.add("chi2", type="swift", cloud="password")


@pytest.mark.xdist_group("openstack")
def test_a_swift_from_the_usual_variables(openstack: OpenStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", openstack.auth_url)
    monkeypatch.setenv("OS_REGION_NAME", openstack.region)
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", openstack.owner.id)
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", openstack.owner.secret)
    added = stores.add("chi", type="swift")
    assert added.checked is not None
    assert added.checked.ok, added.checked


LOOK_AT_ARGUMENTS = """
import subprocess, sys, threading
from matinee import stores

seen, done = [], threading.Event()

def look():
    while not done.wait(0.002):
        seen.append(subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True).stdout)

thread = threading.Thread(target=look)
thread.start()
stores.add("lab", type="s3", endpoint="https://s3.example.org", key_id="KEY", secret_file=sys.argv[1], no_check=True)
done.set()
thread.join()
print("".join(seen))
"""


def test_no_secret_is_in_an_argument_while_it_is_written(secret_file: Path, config: Path) -> None:
    command = [sys.executable, "-c", LOOK_AT_ARGUMENTS, str(secret_file)]
    seen = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert written(config)["lab"]["secret_access_key"] == SECRET
    assert "rcd" in seen
    assert SECRET not in seen
