"""Tells people and MLflow of a training while it goes on: a line an epoch, and what the tracker sends."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matinee.schema.progress import Progress
    from matinee.train.history import SystemLog
    from matinee.train.observer import EpochFacts
    from matinee.train.state import Reached
    from matinee.train.track_training import Tracker

__all__ = ["Watch"]


class Watch:
    """The loop's observer.

    Args:
        progress: told of each step, and in a line of each epoch.
        metric: the validation metric that decides.
        batch_size: sequences a step.
        tracker: sends each epoch to MLflow, where it is tracked.
        system: notes how the machine was, where it is tracked.
    """

    def __init__(
        self,
        progress: Progress,
        metric: str,
        batch_size: int,
        tracker: Tracker | None = None,
        system: SystemLog | None = None,
    ) -> None:
        self._progress, self._metric, self._batch_size = progress, metric, batch_size
        self._tracker, self._system = tracker, system
        self._epochs = self._begun_at = 0
        self._begun_s = 0.0

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        """Say where it goes on, if it does; begin the phase."""
        self._epochs, self._begun_at, self._begun_s = epochs, reached.epoch, time.monotonic()
        if reached.steps and not reached.ended:
            self._progress.say(f"training goes on after step {reached.steps:,}, in epoch {reached.epoch + 1}")
        if self._tracker is not None:
            self._tracker.flush()
        steps = 0 if reached.ended else epochs * steps_per_epoch - reached.steps
        self._progress.start("train", steps * self._batch_size, "sequences")

    def on_step(self, sequences: int) -> None:
        """Count."""
        self._progress.advance(sequences)

    def on_epoch(self, facts: EpochFacts) -> None:
        """One line for people; the machine's numbers and MLflow's copy."""
        done = facts.epoch + 1
        told = f"epoch {done}/{self._epochs}: loss {facts.loss:.4f}"
        if facts.metrics:
            told += f", {self._metric} {facts.metrics[self._metric]:.4f}{' (best so far)' if facts.best else ''}"
        told += f", {facts.sequences_per_s:,.0f} sequences/s"
        left_s = (time.monotonic() - self._begun_s) / (done - self._begun_at) * (self._epochs - done)
        if left_s >= 1:
            told += f", at most {timedelta(seconds=round(left_s))} left"
        self._progress.say(told)
        if self._system is not None:
            self._system.note(facts.epoch)
        if self._tracker is not None:
            self._tracker.flush()
