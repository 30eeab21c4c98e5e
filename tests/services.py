"""Fixtures that start real services, imported where they are used; `xdist_group("s3")` keeps it at one service."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from matinee.stack.s3 import Endpoint, running_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["bucket", "on_s3", "s3_service"]

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def s3_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A real SeaweedFS for all tests of a worker."""
    with running_s3(tmp_path_factory.mktemp("s3") / "data") as endpoint:
        yield endpoint


@pytest.fixture
def on_s3(s3_service: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The same, with its address and keys in the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_service.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_service.secret_key)
    return s3_service


@pytest.fixture
def bucket(on_s3: Endpoint) -> Callable[[], str]:
    """Gives s3:// addresses that nobody else uses."""
    del on_s3
    return lambda: f"s3://matinee/test-{next(_NUMBERS)}"
