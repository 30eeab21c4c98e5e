"""What a store's message is taken for: texts that rclone gave for real, or that a store's makers publish."""

from __future__ import annotations

import pytest

from matinee.errors import DiskFullError, MatineeError, StoreCredentialError, StoreUnreachableError
from matinee.store.failures import failure


def test_a_clock_that_is_off_is_named() -> None:
    # What Amazon answers then; no server here can be made to disagree about the time.
    said = (
        "https response error StatusCode: 403, api error RequestTimeTooSkewed: The difference between the request time"
    )
    assert "timedatectl" in str(failure(said, "s3://bucket", "listing"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('Head "http://127.0.0.1:1/v1/AUTH_1/c/x": EOF', StoreUnreachableError),
        ("HTTP Error: 503: 503 Service Unavailable", StoreUnreachableError),
        ("Timeout when reading or writing data", StoreUnreachableError),
        ("HTTP Error: 413: 413 Request Entity Too Large", DiskFullError),
        ("api error ExpiredToken: the token has expired", StoreCredentialError),
    ],
)
def test_a_message_of_a_store_has_its_kind(said: str, expected: type[MatineeError]) -> None:
    assert type(failure(said, "store", "copying")) is expected
