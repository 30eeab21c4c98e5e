"""What tests of models share: a real version with a pattern in it that a model can learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.etl.stages import transform
from matinee.version import Version, open_version
from model_behaviour import planted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def planted_version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The planted log, each user's last two events held out; its events come in turn from all users."""
    folder: Path = tmp_path_factory.mktemp("planted")
    log = planted(people=120, noise=0.1, seed=5)
    lengths = np.diff(log.offsets)
    users = np.repeat(np.arange(lengths.size), lengths)
    times = np.arange(users.size) - np.repeat(log.offsets[:-1], lengths)
    rows = sorted(zip(times.tolist(), users.tolist(), log.items.tolist(), strict=True))
    text = "".join(f"{user},{item},{1_000_000 + 60 * time}\n" for time, user, item in rows)
    (folder / "planted.csv").write_text("user,item,timestamp\n" + text)
    transform(folder / "planted.csv", out=folder / "version", split="leave-one-out", workers=1)
    return open_version(folder / "version")
