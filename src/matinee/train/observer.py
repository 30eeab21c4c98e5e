"""Who is told how a training goes, and what: a line of facts an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matinee.train.state import Reached

__all__ = ["EpochFacts", "Observer", "Unobserved"]


@dataclass(frozen=True, slots=True)
class EpochFacts:
    """One epoch of a training.

    Attributes:
        epoch: from 0.
        step: steps done in all.
        loss: mean over the epoch's positions.
        learning_rate: of its last step.
        sequences_per_s: in all so far, validation aside.
        seconds: spent on steps in all.
        metrics: of its validation; empty where there was none.
        best: whether its weights are the best so far.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    sequences_per_s: float
    seconds: float
    metrics: dict[str, float]
    best: bool


class Observer(Protocol):
    """Is told how training goes."""

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        """Training begins, or goes on where it stopped."""

    def on_step(self, sequences: int) -> None:
        """One step is done."""

    def on_epoch(self, facts: EpochFacts) -> None:
        """One epoch is done, and validated where it is its turn."""


class Unobserved:
    """Nobody is told."""

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        """Ignore."""

    def on_step(self, sequences: int) -> None:
        """Ignore."""

    def on_epoch(self, facts: EpochFacts) -> None:
        """Ignore."""
