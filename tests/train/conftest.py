"""A version that models can learn something from in a second, and settings that small."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from matinee.model.agreement import Agreement
from matinee.train import export
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.model.recommender import Recommender
    from matinee.version import Version

TINY = {"item_dim": 4, "user_dim": 4, "blocks": 1, "maxlen": 6, "negatives": 4, "epochs": 3, "batch_size": 8}


@pytest.fixture
def tiny() -> dict[str, object]:
    """Settings of an sse-pt that trains in no time."""
    return dict(TINY)


@pytest.fixture(scope="session")
def walks() -> list[tuple[int, int, int]]:
    """Events of 40 people who walk along 20 items, each from a place of their own."""
    chance = random.Random(7)
    rows = []
    for user in range(1, 41):
        item, begun = chance.randrange(20), chance.randrange(3000)
        for step in range(chance.randrange(6, 12)):
            rows.append((user, 100 + item % 20, 1_000_000_000 + begun + 40 * step))
            item += chance.choice((1, 1, 1, 2))
    return sorted(rows, key=lambda row: row[2])


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory, walks: list[tuple[int, int, int]]) -> Version:
    """The version of these walks; not to be changed."""
    return small_version(tmp_path_factory.mktemp("walked"), walks, name="walks")


@pytest.fixture
def walked_as(tmp_path: Path, walks: list[tuple[int, int, int]]) -> Callable[[str], Version]:
    """A version of the walks under a name of the test's own, for what all tests share."""
    return lambda name: small_version(tmp_path / name, walks, name=name)


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves PyTorch's exporter out, seconds a model, where a test is about something else."""

    def write(model: Recommender, _: object, path: Path) -> SimpleNamespace:
        path.write_bytes(b"an export of " + model.name.encode())
        return SimpleNamespace(agreement=Agreement(0, 0.0, 0.0, 0))

    monkeypatch.setattr(export, "write_onnx", write)
