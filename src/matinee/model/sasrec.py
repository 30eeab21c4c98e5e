"""SASRec: self-attentive sequential recommendation (Kang and McAuley, ICDM 2018); SSE-PT without the person.

- every position sees the item alone, so nobody is a stranger
- the published form is `norm='query'`, `loss='bce'`; the default is what trains better and faster
"""

from __future__ import annotations

from dataclasses import dataclass

from matinee.model.neural import NeuralRecommender
from matinee.model.personalized import NetworkSettings, PersonalizedTransformer

__all__ = ["SASRec", "SASRecSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SASRecSettings(NetworkSettings):
    """Nothing beyond `NetworkSettings`."""


class SASRec(NeuralRecommender):
    """SASRec, trained by `matinee.train.loop`."""

    name = "sasrec"
    network_type = PersonalizedTransformer
