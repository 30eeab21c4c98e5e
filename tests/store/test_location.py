"""What STORE may be, and what is said where it is nothing of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matinee.errors import StoreError, UsageError
from matinee.store import list_versions, open_store, parse_location, publish
from matinee.store.failures import failure, is_missing
from toy_version import make_version

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {"AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_ACCESS_KEY_ID": "ID", "AWS_SECRET_ACCESS_KEY": "SECRET"}


def test_a_folder(tmp_path: Path) -> None:
    location = parse_location("versions/of mine")
    assert (location.kind, location.display) == ("folder", str(tmp_path / "work" / "versions" / "of mine"))
    assert parse_location("~/store").folder == tmp_path / "home" / "store"
    (tmp_path / "work" / "a:b").mkdir()
    assert parse_location("a:b").kind == "folder"
    assert parse_location("./c:d").kind == "folder"


@pytest.mark.parametrize("text", ["chi_tacc:container", "chi_tacc:container/deep", "remote:", "my remote:/abs"])
def test_a_remote(text: str) -> None:
    location = parse_location(text)
    assert (location.kind, location.display, location.user_config) == ("remote", text, True)
    assert location.show("toy/LATEST") == text + ("toy/LATEST" if text.endswith(":") else "/toy/LATEST")


def test_s3_takes_what_is_given_before_the_environment() -> None:
    location = parse_location("s3://bucket/deep/", environment=KEYS | {"AWS_REGION": "eu", "AWS_SESSION_TOKEN": "T"})
    assert (location.kind, location.display) == ("s3", "s3://bucket/deep")
    said = {name.rpartition("STORE_")[2]: value for name, value in location.environment.items()}
    assert (said["ENDPOINT"], said["ACCESS_KEY_ID"], said["SECRET_ACCESS_KEY"]) == tuple(KEYS.values())
    assert (said["REGION"], said["SESSION_TOKEN"]) == ("eu", "T")
    own = parse_location(
        "s3://bucket",
        endpoint="http://127.0.0.1:1",
        access_key="A",
        secret_key="S",
        environment=KEYS | {"AWS_SESSION_TOKEN": "T"},
    )
    said = {name.rpartition("STORE_")[2]: value for name, value in own.environment.items()}
    assert (said["ENDPOINT"], said["ACCESS_KEY_ID"], said["SECRET_ACCESS_KEY"]) == ("http://127.0.0.1:1", "A", "S")
    assert said["SESSION_TOKEN"] == ""
    assert "SECRET" not in repr(location)


@pytest.mark.parametrize("missing", list(KEYS))
def test_s3_says_what_to_set(missing: str) -> None:
    with pytest.raises(UsageError, match=f"set {missing}"):
        parse_location("s3://bucket", environment={name: value for name, value in KEYS.items() if name != missing})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3://",
        "s3://B",
        "s3://key:secret@bucket",
        "s3://bucket/../x",
        "https://host/x",
        ":s3,secret_access_key=hush:b",
        "r,pass=hush:b",
    ],
)
def test_other_things_are_refused_without_their_secrets(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_location(text, environment=KEYS)
    assert "hush" not in str(refused.value)
    assert "secret@" not in str(refused.value)


def test_an_endpoint_with_a_password_is_refused() -> None:
    with pytest.raises(UsageError) as refused:
        parse_location("s3://bucket", environment=KEYS | {"AWS_ENDPOINT_URL": "https://me:hush@host"})
    assert "hush" not in str(refused.value)


def test_a_remote_that_nobody_configured(tmp_path: Path) -> None:
    del tmp_path
    with open_store("nobody:container") as store, pytest.raises(StoreError, match="matinee store add"):
        list_versions(store)


def test_a_configured_remote_works(tmp_path: Path) -> None:
    config = tmp_path / "home" / ".config" / "rclone" / "rclone.conf"
    config.parent.mkdir(parents=True)
    config.write_text(f"[mine]\ntype = alias\nremote = {tmp_path / 'there'}\n")
    manifest = make_version(tmp_path / "v1")
    with open_store("mine:deep") as store:
        assert publish(tmp_path / "v1", store).location == f"mine:deep/toy/versions/{manifest.id}"
        assert publish(tmp_path / "v1", store).unchanged
    assert (tmp_path / "there" / "deep" / "toy" / "LATEST").read_text() == f"{manifest.id}\n"


def test_a_file_in_the_place_of_a_store(tmp_path: Path) -> None:
    make_version(tmp_path / "v1")
    (tmp_path / "file").write_text("x")
    with open_store(str(tmp_path / "file")) as store, pytest.raises(StoreError, match="file"):
        publish(tmp_path / "v1", store)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mkdir /x: permission denied", "StoreDeniedError"),
        ("api error AccessDenied: Access Denied.", "StoreDeniedError"),
        ("write /x: no space left on device", "DiskFullError"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "StoreUnreachableError"),
        ("lookup nowhere: no such host", "StoreUnreachableError"),
        ("something else", "StoreError"),
    ],
)
def test_messages_become_errors(text: str, name: str) -> None:
    error = failure(f"{text}\nsecond line " + "x" * 1000 + text, "s3://bucket", "copying a")
    assert type(error).__name__ == name
    assert "\n" not in str(error)
    assert str(error).startswith("s3://bucket: ")
    assert len(str(error)) < 600


def test_missing_is_told_from_refused() -> None:
    assert is_missing("error in ListJSON: directory not found")
    assert not is_missing("api error AccessDenied: NoSuchBucket or not yours")
