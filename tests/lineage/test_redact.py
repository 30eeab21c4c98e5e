"""No credential passes into an address or a message that is written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.lineage.redact import scrub, without_credentials


@pytest.mark.parametrize(
    ("given_location", "expected"),
    [
        ("https://me:pw@host:8443/a.zip", "https://host:8443/a.zip"),
        ("https://host/a.zip?id=7&X-Amz-Signature=f00&X-Amz-Credential=AKIA", "https://host/a.zip?id=7"),
        ("https://host/a.zip?sig=f00#token=abc", "https://host/a.zip"),
        ("https://host/pkg@1.0/a.zip", "https://host/pkg@1.0/a.zip"),
        ("s3://AKIA:SE/CR+ET@bucket/x", "s3://bucket/x"),
        ("s3://bucket/x/y", "s3://bucket/x/y"),
        ("http://[::1]:9000/x", "http://[::1]:9000/x"),
        (":s3,access_key_id=AKIA,secret_access_key=abc:bucket/x", ":s3:bucket/x"),
        (':s3,secret_access_key="a:b,c":bucket/x', ":s3:bucket/x"),
        ("chi_tacc,env_auth=true:container", "chi_tacc:container"),
        ("chi_tacc:container/x", "chi_tacc:container/x"),
        ("/mnt/a,b:c/x", "/mnt/a,b:c/x"),
        ("/data/ratings.csv", "/data/ratings.csv"),
        ("", ""),
    ],
)
def test_a_location_keeps_the_place_and_loses_the_credentials(given_location: str, expected: str) -> None:
    assert without_credentials(given_location) == expected
    assert without_credentials(expected) == expected


@given(st.text("abcXYZ019+/=-_", min_size=12, max_size=40))
def test_no_password_survives_in_a_url(password: str) -> None:
    for place in (
        f"https://user:{password.replace('/', '.')}@host/x",
        f"s3://KEY:{password}@bucket/x",
        f"https://host/x?token={password}",
    ):
        for text in (without_credentials(place), scrub(f"cannot reach {place}, giving up")):
            assert password not in text
            assert password.replace("/", ".") not in text


@pytest.mark.parametrize(
    "message",
    [
        "denied: secret_access_key=hunter2hunter2 for bucket",
        'config {"password": "hunter2hunter2"}',
        "Authorization: Bearer hunter2hunter2",
        "GET https://a:hunter2hunter2@host/x failed",
        "rclone: :s3,secret_access_key=hunter2hunter2:bucket: not found",
        "AWS_SECRET_ACCESS_KEY=hunter2hunter2",
        "nothing that looks like it, and yet hunter2hunter2",
    ],
)
def test_a_message_loses_what_looks_like_a_secret_and_every_known_one(message: str) -> None:
    assert "hunter2hunter2" not in scrub(message, ["hunter2hunter2"])
    if "and yet" not in message:
        assert "hunter2hunter2" not in scrub(message)


def test_an_ordinary_message_stays_as_it_is() -> None:
    message = "ml-100k.zip has SHA-256 9f2c, expected 50d2; delete it, then: run 'matinee extract ml-100k' again"
    assert scrub(message) == message
