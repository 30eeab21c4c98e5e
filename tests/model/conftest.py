"""What tests of models share: a real version with a pattern in it that a model can learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_behaviour import planted
from own_disk import own_disk
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matinee.version import Version


@pytest.fixture(scope="session")
def planted_version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The planted log, each user's last two events held out; its events come in turn from all users."""
    log = planted(people=120, noise=0.1, seed=5)
    lengths = np.diff(log.offsets)
    users = np.repeat(np.arange(lengths.size), lengths)
    turns = np.arange(users.size) - np.repeat(log.offsets[:-1], lengths)
    rows = sorted(zip((1_000_000 + 60 * turns).tolist(), users.tolist(), log.items.tolist(), strict=True))
    folder = tmp_path_factory.mktemp("planted")
    return small_version(folder, [(user, item, time) for time, user, item in rows], split="leave-one-out")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small network with its export, by the model's name; PyTorch takes seconds for each."""
    folders: dict[str, Path] = {}

    def export(name: str) -> Path:
        from exported_model import make_network, save_network  # PyTorch, which most tests here do without
        from matinee.model.export_onnx import export_onnx

        if name not in folders:
            folder, model = tmp_path_factory.mktemp(name), make_network(name)
            export_onnx(model, save_network(folder, model), folder / "model.onnx")
            folders[name] = folder
        return folders[name]

    return export


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; only root can mount one."""
    with own_disk(tmp_path / "tiny", "size=65536") as disk:
        yield disk
