"""The table of models: name, where it lies, one line; nothing here imports a model's module.

Adding one is a file with a settings dataclass and a `Recommender`, and a row here (docs/models.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.model.recommender import Recommender

__all__ = ["MODELS", "ModelEntry", "find_model"]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One kind of model.

    Attributes:
        name: as in `matinee train --model NAME`.
        model: 'module:class' of the `Recommender`.
        settings: the name of its settings dataclass in the same module.
        summary: one line.
        neural: trained by gradient descent, epoch after epoch (needs the extra `train`); otherwise counted in one
            go by `fit(settings, version.sequences('train'), known)`.
    """

    name: str
    model: str
    settings: str
    summary: str
    neural: bool = False

    def load(self) -> tuple[type[Recommender], type[Any]]:
        """The model's class and the class of its settings; imports the module."""
        module, _, name = self.model.partition(":")
        found = import_module(module)
        return getattr(found, name), getattr(found, self.settings)


MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            "sse-pt",
            "matinee.model.sse_pt:SSEPT",
            "SSEPTSettings",
            "SSE-PT: a transformer over histories with user vectors, made robust to strangers (Wu et al. 2020)",
            neural=True,
        ),
        ModelEntry(
            "sasrec",
            "matinee.model.sasrec:SASRec",
            "SASRecSettings",
            "SASRec: the same without user vectors (Kang and McAuley 2018)",
            neural=True,
        ),
        ModelEntry(
            "popularity",
            "matinee.model.popularity:Popularity",
            "PopularitySettings",
            "what most people have taken so far",
        ),
        ModelEntry(
            "recent-popularity",
            "matinee.model.recent_popularity:RecentPopularity",
            "RecentPopularitySettings",
            "what most people have taken in the last days",
        ),
        ModelEntry(
            "markov",
            "matinee.model.markov:Markov",
            "MarkovSettings",
            "what most often followed the last item: a first-order chain",
        ),
        ModelEntry(
            "item-knn",
            "matinee.model.item_knn:ItemKNN",
            "ItemKNNSettings",
            "what is taken by the same people as the items of the history",
        ),
    )
}


def find_model(name: str) -> ModelEntry:
    """The entry of `name`.

    Raises:
        UsageError: there is no such model.
    """
    if name not in MODELS:
        raise UsageError(f"model {name!r} is unknown; known are {', '.join(MODELS)}")
    return MODELS[name]
