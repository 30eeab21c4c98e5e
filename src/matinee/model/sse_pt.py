"""SSE-PT: personalised transformer with stochastic shared embeddings (Wu, Li, Hsieh, Sharpnack, RecSys 2020).

- every position sees the item and the person; the person's half of a score is the same for all items, so ranking
  needs the item half only
- SSE: with some probability a person's id is another's for the whole sequence, an item's another's at one position;
  the published flags are the probabilities to *keep* an id
- a share of those replacements goes to row 0, so that the stand-ins for cold people and items are trained too
- faithful form: `matinee train --model sse-pt` with the settings of `SSEPTSettings.published()`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, get_args

from matinee.model.neural import NeuralRecommender
from matinee.model.personalized import NetworkSettings, PersonalizedTransformer, Stranger
from matinee.model.ranges import among, within

__all__ = ["SSEPT", "SSEPTSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SSEPTSettings(NetworkSettings):
    """What SSE-PT has beyond `NetworkSettings`.

    Attributes:
        user_dim: dimensions of a person's vector.
        user_keep: probability that SSE leaves a person's id as it is.
        stranger: who stands in for a cold user: 'mean', 'unk' or 'clip'.
    """

    user_dim: int = 50  # type: ignore[misc]  # a constant where people have no vectors
    user_keep: float = 0.2  # type: ignore[misc]  # as above
    stranger: Stranger = "mean"  # type: ignore[misc]  # as above

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        NetworkSettings.__post_init__(self)  # a dataclass with slots is another class than the one super() would mean
        within("user_dim", self.user_dim, least=1)
        within("user_keep", self.user_keep, least=0, most=1)
        among("stranger", self.stranger, get_args(Stranger))

    @classmethod
    def published(cls) -> Self:
        """The paper's form with the flags its repository gives for ML-1M."""
        return cls(
            maxlen=200,
            dropout=0.2,
            norm="query",
            loss="bce",
            negatives=1,
            user_keep=0.08,
            item_keep=0.9,
            target_keep=0.9,
            unk_share=0.0,
            stranger="clip",
            random_window=0.0,
        )


class SSEPT(NeuralRecommender):
    """SSE-PT, trained by `matinee.train.loop`."""

    name = "sse-pt"
    network_type = PersonalizedTransformer
