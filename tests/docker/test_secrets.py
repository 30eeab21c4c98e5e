"""`docker/make-secrets.sh`, run for real."""

from __future__ import annotations

import configparser
import json
import stat
import subprocess
from typing import TYPE_CHECKING

from compose_file import FOLDER, load

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path) -> str:
    done = subprocess.run(
        ["bash", FOLDER / "make-secrets.sh", folder], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_all_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    said = make(folder)
    plain = load("docker-compose-block.yaml", {"SECRETS": str(folder)})
    wanted = {secret["file"] for secret in plain["secrets"].values()}
    assert {str(path) for path in folder.iterdir()} == wanted
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert texts["postgres_password"] not in said
    assert "nothing is changed" in make(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == texts
    assert [path.name for path in tmp_path.glob("secrets*")] == ["secrets"]


def test_what_belongs_together_agrees_and_two_runs_do_not(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    a, b = ({path.name: path.read_text() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert not [name for name in a if a[name] == b[name]]
    assert a["pgpass"] == f"postgres:5432:*:matinee:{a['postgres_password']}\n"
    (identity,) = json.loads(a["s3_identities"])["identities"]
    (keys,) = identity["credentials"]
    told = configparser.ConfigParser()
    told.read_string(a["s3_credentials"] + a["rclone_config"])
    assert told["default"]["aws_access_key_id"] == told["block"]["access_key_id"] == keys["accessKey"]
    assert told["default"]["aws_secret_access_key"] == told["block"]["secret_access_key"] == keys["secretKey"]
    for name, long in (("postgres_password", 48), ("jupyter_token", 48)):
        assert len(a[name]) == long
        assert a[name].strip() == a[name]
