"""What servers are measured on: a log in which every history is full, its version, and a network of the usual size.

The network is untrained, as its speed does not depend on what it has learnt: 50 + 50 dimensions, 2 blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import matinee
from matinee.model import checkpoint
from matinee.model.checkpoint import ONNX, CheckpointFacts
from matinee.model.export_onnx import export_onnx
from matinee.model.recommender import Known, Prior
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from matinee.version import open_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version

__all__ = ["ITEMS", "POSITIONS", "USERS", "prepare"]

USERS, ITEMS, POSITIONS = 3_200, 24_000, 50
_EVENTS_A_USER = 120  # half of them in train, so more than the model looks at


def prepare(folder: Path, prior: Prior) -> tuple[Version, Path]:
    """The version, and the folder of a model with this prior."""
    version = open_version(matinee.transform(_log(folder), out=folder / "version", archives=folder).folder)
    known = Known(version.known_users, version.known_items)
    model = SSEPT.initial(SSEPTSettings(maxlen=POSITIONS, item_dim=50, user_dim=50, blocks=2), known, 0)
    model.prior = prior
    facts = CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=version.manifest.users,
        items=version.manifest.items,
    )
    facts = checkpoint.save(folder / "model", model, facts)
    export_onnx(model, facts, folder / "model" / ONNX)
    return version, folder / "model"


def _log(folder: Path) -> Path:
    """All items are in train; people take turns, so that all have equally many events behind them."""
    chance = np.random.default_rng(0)
    events = USERS * _EVENTS_A_USER
    shares = 1 / (np.arange(ITEMS) + 20.0)
    items = np.concatenate([np.arange(ITEMS), chance.choice(ITEMS, events - ITEMS, p=shares / shares.sum())])
    users = np.tile(np.arange(USERS), _EVENTS_A_USER)
    log = folder / "log.csv"
    rows = (
        f"{user},{item},{10**9 + 60 * place}\n" for place, (user, item) in enumerate(zip(users, items, strict=True))
    )
    log.write_text("user,item,time\n" + "".join(rows))
    return log
