"""The smallest model there can be, for tests of what happens to any: a score for each item, a bonus for repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from matinee.model.checkpoint import CheckpointFacts
from matinee.model.recommender import Known, Prior, Recommender
from matinee.model.table import ModelEntry
from matinee.schema.manifest import IdMapEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["ENTRY", "ITEMS", "USERS", "Toy", "ToySettings", "facts_of", "make_toy"]

ENTRY = ModelEntry("toy", "toy_model:Toy", "ToySettings", "for tests")
USERS = IdMapEntry(4, "integer", "a" * 64)
ITEMS = IdMapEntry(6, "string", "b" * 64)


@dataclass(frozen=True, slots=True)
class ToySettings:
    """One of each kind of setting."""

    bonus: float = 0.5
    sides: tuple[int, ...] = (1, 2)
    mode: Literal["plain", "fancy"] = "plain"
    window_s: int | None = None


class Toy(Recommender):
    """Scores are learnt by heart."""

    name = "toy"

    def __init__(self, settings: ToySettings, known: Known, base: NDArray[np.float32]) -> None:
        super().__init__(settings, known)
        self.base = base

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """See Recommender."""
        scores = np.repeat(self.base[None], len(asked), axis=0)
        rows = np.repeat(np.arange(len(asked)), asked.lengths)
        scores[rows, asked.items] += self.settings.bonus
        return self.mask_unknown(scores)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See Recommender."""
        return {"base": self.base}

    @classmethod
    def from_arrays(cls, settings: ToySettings, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Recommender."""
        base = arrays["base"]
        if base.shape != known.items.shape or base.dtype != np.float32:
            raise ValueError(f"base is {base.dtype} {base.shape}")
        return cls(settings, known, base)


def make_toy(seed: int = 0) -> Toy:
    """A toy that knows all but the last user and the last item."""
    known = Known(np.arange(USERS.count + 1) % USERS.count > 0, np.arange(ITEMS.count + 1) % ITEMS.count > 0)
    toy = Toy(ToySettings(sides=(3,), mode="fancy"), known, np.random.default_rng(seed).random(7, np.float32))
    toy.prior = Prior(0.25, 86_400)
    return toy


def facts_of(model: Recommender, **more: Any) -> CheckpointFacts:
    """Facts as a training would give them."""
    return CheckpointFacts.of(
        model,
        dataset="toys",
        version="0123456789abcdef",
        manifest_sha256="c" * 64,
        users=USERS,
        items=ITEMS,
        **more,
    )
