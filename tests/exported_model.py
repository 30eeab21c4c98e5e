"""Networks with weights that leave nothing at its initial value, saved as checkpoints and exported, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matinee.model import checkpoint
from matinee.model.checkpoint import CheckpointFacts
from matinee.model.neural import NeuralRecommender
from matinee.model.options import settings_from
from matinee.model.recommender import Known, Prior
from matinee.model.table import find_model
from matinee.schema.manifest import IdMapEntry

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_network", "save_network"]

SMALL = {"maxlen": 6, "item_dim": 16}


def make_network(name: str, *, users: int = 60, items: int = 24, seed: int = 0, **settings: Any) -> NeuralRecommender:
    """A network that knows most of its ids: not the last user, not the last two items, not every seventh of both."""
    known = Known(np.arange(users + 1) % 7 > 0, np.arange(items + 1) % 7 > 0)
    known.users[-1:] = known.items[-2:] = False
    entry = find_model(name)
    kind, _ = entry.load()
    assert issubclass(kind, NeuralRecommender)
    model = kind.initial(settings_from(entry, settings or SMALL), known, seed)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.add_(torch.randn(weight.shape, generator=chance), alpha=0.1)
    model.prior = Prior(0.5, 86_400)
    return model


def save_network(folder: Path, model: NeuralRecommender) -> CheckpointFacts:
    """The checkpoint of `model`, as if it had been trained on a version whose id maps are of its size."""
    facts = CheckpointFacts.of(
        model,
        dataset="toys",
        version="0123456789abcdef",
        manifest_sha256="c" * 64,
        users=IdMapEntry(model.known.users.size - 1, "integer", "a" * 64),
        items=IdMapEntry(model.known.items.size - 1, "string", "b" * 64),
        seed=1,
        epoch=2,
        step=3,
        metrics={"ndcg@10": 0.25},
    )
    return checkpoint.save(folder, model, facts)
