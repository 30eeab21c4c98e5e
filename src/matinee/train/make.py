"""From a version and a plan to a model in its folder: trained or counted, given its prior, measured, saved."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matinee.model import checkpoint
from matinee.model.atomic import write_atomically
from matinee.model.recommender import CountedRecommender, Known
from matinee.train.evaluate import evaluate_split
from matinee.train.history import EPOCHS, read
from matinee.train.plots import epochs_plot
from matinee.train.prior import choose_prior

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.model.checkpoint import CheckpointFacts
    from matinee.model.neural import NeuralRecommender
    from matinee.model.recommender import Recommender
    from matinee.schema.progress import Progress
    from matinee.train.plan import Plan
    from matinee.train.state import Reached
    from matinee.train.targets import Protocol
    from matinee.train.watch import Watch
    from matinee.version import Version

__all__ = ["PLOT", "Made", "follows", "make"]

PLOT = "epochs.png"


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes:
        model: as it was saved.
        metrics: of the model with its prior, on the validation events.
        epochs, ended: how far training went, and why it ended; 0 and 'counted' without epochs.
        files: what the folder has of it now, the checkpoint's facts first.
    """

    model: Recommender
    metrics: dict[str, float]
    epochs: int
    ended: str
    files: tuple[str, ...]


def follows() -> bool:
    """Whether this process only lends a hand to a training that another one leads (torchrun numbers them)."""
    return int(os.environ.get("RANK", "0")) > 0


def make(plan: Plan, version: Version, folder: Path, *, watch: Watch, progress: Progress) -> Made:
    """Make the model; what an earlier call left undone is gone on with.

    Raises:
        UsageError: no such device or metric, or nobody to choose a prior by.
        VersionDamagedError, ModelError, DiskFullError: see the parts.
    """
    epochs = step = 0
    ended = "counted"
    model: Recommender
    if plan.entry.neural:
        fitted, reached = _train(plan, version, folder, watch)
        model, epochs, step, ended = fitted, reached.epoch, reached.steps, reached.ended
        progress.finish(f"{epochs} epochs, ended by {ended}; epoch {reached.best_epoch + 1} is kept")
        if follows():
            return Made(model, {}, epochs, ended, ())
    else:
        progress.start("count", None, "events")
        kind, _ = plan.entry.load()
        assert issubclass(kind, CountedRecommender)  # noqa: S101 - what `neural` means, for the type checker
        model = kind.fit(plan.settings, version.sequences("train"), Known(version.known_users, version.known_items))
        progress.finish()
    metrics = _settle_prior(plan, model, version, progress)
    facts = checkpoint.CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=version.manifest.users,
        items=version.manifest.items,
        seed=plan.training.seed,
        epoch=epochs,
        step=step,
        metrics=metrics,
        trained_until=_trained_until(plan, version),
        parent=plan.parent.sha256 if plan.parent else "",
    )
    facts = checkpoint.save(folder, model, facts)
    files = [checkpoint.CHECKPOINT, checkpoint.WEIGHTS]
    if plan.entry.neural:
        files += [*_pictured(plan, version, folder), _exported(model, facts, folder, progress)]
    return Made(model, metrics, epochs, ended, tuple(files))


def _train(plan: Plan, version: Version, folder: Path, watch: Watch) -> tuple[NeuralRecommender, Reached]:
    from matinee.model.neural import NeuralRecommender  # noqa: PLC0415 - counted models do without PyTorch
    from matinee.train.loop import fit  # noqa: PLC0415 - as above

    kind, _ = plan.entry.load()
    assert issubclass(kind, NeuralRecommender)  # noqa: S101 - what `neural` means, for the type checker
    if plan.parent is None:
        model = kind.initial(plan.settings, Known(version.known_users, version.known_items), plan.training.seed)
    else:
        model = plan.parent.grown(version)

    def validate(candidate: NeuralRecommender) -> dict[str, float]:
        return evaluate_split(
            candidate, version, protocol=_protocol(version), limit=plan.training.validation_events or None
        ).metrics

    parent = plan.parent.sha256 if plan.parent else ""
    fitted = fit(model, version, plan.training, folder=folder, validate=validate, observer=watch, parent=parent)
    return fitted.model, fitted.reached


def _trained_until(plan: Plan, version: Version) -> int | None:
    """The last moment that the model, or the one it started from, has seen."""
    last = version.certificate.train.last
    if plan.parent is None or last is None:
        return last
    before = plan.parent.facts.trained_until
    return None if before is None else max(before, last)


def _settle_prior(plan: Plan, model: Recommender, version: Version, progress: Progress) -> dict[str, float]:
    """Give the model its prior, and measure it with that on the validation events; what is measured."""
    limit, protocol = plan.training.validation_events or None, _protocol(version)
    fixed = plan.fixed_prior
    # A model that has a prior of its own is nothing without it.
    if fixed is None and not model.prior.weight:
        chosen = choose_prior(model, version, protocol=protocol, limit=limit, progress=progress)
        model.prior = chosen.prior
        return next(tried.metrics for tried in chosen.tried if tried.prior == chosen.prior)
    model.prior = fixed or model.prior
    return evaluate_split(model, version, protocol=protocol, limit=limit, progress=progress).metrics


def _protocol(version: Version) -> Protocol:
    return "leave-one-out" if version.certificate.split == "leave-one-out" else "time"


def _pictured(plan: Plan, version: Version, folder: Path) -> tuple[str, str]:
    """The course of the training, and the picture of it."""
    title = f"{plan.entry.name} on {version.name} {version.id}"
    write_atomically(folder / PLOT, epochs_plot(read(folder), f"eval/{plan.training.metric}", title))
    return EPOCHS, PLOT


def _exported(model: Recommender, facts: CheckpointFacts, folder: Path, progress: Progress) -> str:
    """The model as servers without PyTorch take it, compared with the original."""
    from matinee.train.export import write_onnx  # noqa: PLC0415 - counted models do without

    progress.start("export", None, "files")
    agreement = write_onnx(model, facts, folder / checkpoint.ONNX).agreement
    progress.finish(f"same top 10 for {agreement.same_lists:,} of {agreement.histories:,} random histories")
    return checkpoint.ONNX
