"""How a network is trained, whichever it is: one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from matinee.model.ranges import among, within

__all__ = ["Schedule", "TrainSettings"]

Schedule = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a network is trained.

    Attributes:
        epochs: the most passes over all users.
        batch_size: sequences a step, of all processes together.
        learning_rate: of Adam, after the warm-up.
        beta2: of Adam; .98 as published.
        schedule: of the learning rate over all steps: 'constant', or 'linear' or 'cosine' down to a twentieth.
        warmup_steps: steps in which the learning rate rises from 0.
        clip_norm: the largest norm of a gradient; 0 leaves gradients as they are.
        average: decay an epoch of a running average of the weights, which is what is validated and kept; 0 keeps the
            weights themselves.
        patience: validations without improvement before training stops.
        validate_every: epochs between validations.
        validation_events: so many events of the validation split, evenly spread over it; 0 takes all.
        metric: the validation metric, the larger the better.
        time_limit_s: training ends after the epoch in which so many seconds have passed; 0 is no limit.
        save_every_s: seconds between states that a killed training goes on from.
        seed: every draw follows from it.
        device: 'auto' takes a GPU where there is one; 'cpu', 'cuda', 'cuda:1'.
        amp: automatic mixed precision (bfloat16); for GPUs.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 1e-3
    beta2: float = 0.98
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    clip_norm: float = 5.0
    average: float = 0.5
    patience: int = 5
    validate_every: int = 1
    validation_events: int = 10_000
    metric: str = "ndcg@10"
    time_limit_s: float = 0.0
    save_every_s: float = 60.0
    seed: int = 0
    device: str = "auto"
    amp: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("epochs", "batch_size", "patience", "validate_every"):
            within(name, getattr(self, name), least=1)
        for name in ("learning_rate", "warmup_steps", "clip_norm", "validation_events", "time_limit_s", "save_every_s"):
            within(name, getattr(self, name), least=0)
        within("beta2", self.beta2, least=0, most=0.999999)
        within("average", self.average, least=0, most=1)
        within("seed", self.seed, least=0, most=2**62)
        among("schedule", self.schedule, get_args(Schedule))
