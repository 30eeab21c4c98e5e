"""The models of a rehearsal: trained in a minute or two on what was published, compared on its test split."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from matinee.train.trained import Trained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.lineage import Recorder
    from matinee.schema.progress import Progress
    from matinee.stack import Stack
    from matinee.train.report import Evaluated

__all__ = ["TRIALS", "Trial", "can_train", "fingerprint", "rehearse_models"]

_QUICK: Final = {
    "loss": "softmax",
    "blocks": 1,
    "batch_size": 32,
    "learning_rate": 0.002,
    "epochs": 20,
    "validate_every": 4,
    "validation_events": 5000,
}
# Model -> settings. What a longer training reaches is in docs/benchmarks.md.
TRIALS: dict[str, dict[str, object]] = {
    "sse-pt": _QUICK,
    "sasrec": _QUICK,
    "item-knn": {},
    "markov": {},
    "recent-popularity": {},
    "popularity": {},
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One trained model on the split `test`, every event in order of time, ranked among the whole catalogue.

    Attributes:
        model: which kind.
        folder: where it lies.
        registered: its address in MLflow's registry; empty where MLflow was not told.
        metrics: 'hr@10' and so on.
        low, high: ends of the 95% confidence interval of NDCG@10.
        warm_users, cold_users: NDCG@10 of events by each; None where there are none.
        coverage: share of the catalogue that was in at least one list.
    """

    model: str
    folder: Path
    registered: str
    metrics: dict[str, float]
    low: float
    high: float
    warm_users: float | None
    cold_users: float | None
    coverage: float

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """As `as_json` gave it."""
        return cls(**plain | {"folder": Path(plain["folder"])})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"folder": str(self.folder)}

    @property
    def is_there(self) -> bool:
        """Whether the model is still in its folder, whole."""
        return Trained.read(self.folder) is not None


def can_train() -> bool:
    """Whether what training needs is installed."""
    return importlib.util.find_spec("torch") is not None


def fingerprint() -> str:
    """Of what a rehearsal trains: other models or settings are not done because these are."""
    return hashlib.sha256(json.dumps(TRIALS, sort_keys=True).encode()).hexdigest()[:12]


def rehearse_models(
    stack: Stack | None, folder: Path, *, data_dir: Path, lineage: Recorder, progress: Progress
) -> tuple[Trial, ...]:
    """Train the models on the version in `folder`, tell the stack, rank its test split with each; what is done stays.

    Raises:
        UsageError: the version has too few events to learn from.
        VersionError, ModelError, DiskFullError: see `train` and `evaluate`.
    """
    from matinee.train.plan import Plan  # noqa: PLC0415 - a rehearsal without training reads this module's names alone
    from matinee.train.report import evaluate  # noqa: PLC0415 - as above
    from matinee.train.stage import train_in  # noqa: PLC0415 - as above

    trained: list[Trained] = []
    for model, settings in TRIALS.items():
        services = nullcontext(stack) if stack is not None else None
        plan = Plan.of(model, settings, "auto")
        progress.say(f"model {model}")
        trained.append(train_in(services, folder, plan, data_dir=data_dir, lineage=lineage, progress=progress))
    report = evaluate(
        *(each.folder for each in trained), version=folder, data_dir=data_dir, lineage=lineage, progress=progress
    )
    return _trials(report.models, trained)


def _trials(evaluated: Sequence[Evaluated], trained: Sequence[Trained]) -> tuple[Trial, ...]:
    found = []
    for one, model in zip(evaluated, trained, strict=True):
        parts = one.evaluation.segments
        low, high = parts["all"].intervals["ndcg@10"]
        found.append(
            Trial(
                model=model.model,
                folder=model.folder,
                registered=model.registered,
                metrics=parts["all"].metrics,
                low=low,
                high=high,
                warm_users=parts["warm users"].metrics["ndcg@10"] if parts["warm users"].events else None,
                cold_users=parts["cold users"].metrics["ndcg@10"] if parts["cold users"].events else None,
                coverage=one.evaluation.coverage or 0.0,
            )
        )
    return tuple(found)
