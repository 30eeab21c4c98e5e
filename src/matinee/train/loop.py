"""The training loop: batches, steps, validation, early stopping; stopped at any step, it goes on as if it had not been.

for each epoch:
    for each batch of sequences of like length:
        loss of the batch, gradients, one step of Adam
    every few epochs: rank the validation events; keep the weights if they are the best so far, stop if they have
    not been for long
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from matinee.errors import ModelMismatchError, UsageError
from matinee.model.tensors_file import read_tensors, write_tensors
from matinee.train.average import Average
from matinee.train.batches import Batches
from matinee.train.interrupt import Interrupt
from matinee.train.objective import Objective
from matinee.train.optimiser import Optimiser
from matinee.train.processes import Group, group
from matinee.train.state import Reached, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.model.neural import NeuralRecommender
    from matinee.train.train_settings import TrainSettings
    from matinee.version import Version

__all__ = ["EpochFacts", "Fitted", "Observer", "fit"]


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


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of a training.

    Attributes:
        model: with the best weights.
        reached: how far it went, and why it ended.
        metrics: validation metrics of the best epoch.
    """

    model: NeuralRecommender
    reached: Reached
    metrics: dict[str, float]


def fit(
    model: NeuralRecommender,
    version: Version,
    plan: TrainSettings,
    *,
    folder: Path,
    validate: Callable[[NeuralRecommender], dict[str, float]],
    observer: Observer | None = None,
    resume: bool = True,
) -> Fitted:
    """Train `model` on the split `train`, and give it the best weights.

    Keeps in `folder`: `training.safetensors` (what a stopped training goes on from), `best.safetensors`,
    `epochs.jsonl` (a line an epoch). An interrupt writes the state after the step at hand, then passes on.

    Args:
        model: untrained, or with weights to start from.
        version: read by memory map, never as a whole.
        plan: how to train.
        folder: made where it is missing.
        validate: metrics of a model on the validation split; called by one process.
        observer: told of steps and epochs; in the process with rank 0 only.
        resume: go on where a training with the same words stopped; False starts anew.

    Raises:
        UsageError: no such device, or no such validation metric.
        ModelMismatchError: `folder` holds the state of another training.
        DiskFullError: no space left for a state.
    """
    with group(plan.device) as ours, Interrupt() as interrupt:
        training = _Training(model, version, plan, folder, validate, observer or Unobserved(), ours)
        if resume:
            training.restore()
        training.run(interrupt)
        return training.result()


class _Training:
    """A training under way."""

    def __init__(
        self,
        model: NeuralRecommender,
        version: Version,
        plan: TrainSettings,
        folder: Path,
        validate: Callable[[NeuralRecommender], dict[str, float]],
        observer: Observer,
        ours: Group,
    ) -> None:
        self.model, self.plan, self.folder = model, plan, folder
        self.validate, self.observer, self.group = validate, observer, ours
        self.what: dict[str, Any] = {
            "model": model.name,
            "settings": asdict(model.settings),
            "version": version.sha256,
            "batch size": plan.batch_size,
            "seed": plan.seed,
        }
        self.network = model.network.to(ours.device)
        if ours.world > 1 and ours.device.type == "cuda":
            for table in (self.network.items, self.network.users):
                if table is not None:
                    table.sparse = False  # NCCL reduces dense gradients only
        self.batches = Batches(
            version.sequences("train"),
            model.known,
            model.settings,
            plan.batch_size,
            plan.seed,
            ours.rank,
            ours.world,
        )
        if not self.batches.per_epoch:
            raise UsageError(
                f"version {version.id}: nobody in its split train has two events, so nothing can be learnt"
            )
        self.optimiser = Optimiser(self.network, plan, plan.epochs * self.batches.per_epoch)
        self.average = Average(self.network, plan.average, self.batches.per_epoch) if plan.average else None
        self.objective = ours.wrap(Objective(self.network, model.settings))
        self.reached = Reached()
        self.loss = torch.zeros((), dtype=torch.float64, device=ours.device)
        self.history: list[EpochFacts] = []
        torch.manual_seed(plan.seed + ours.rank)

    @property
    def _state_path(self) -> Path:
        return self.folder / ("training.safetensors" if self.group.leads else f"training-{self.group.rank}.safetensors")

    def run(self, interrupt: Interrupt) -> None:
        """Epochs from where we are to the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.group.leads:
            self._write_history()
            self.observer.on_start(self.plan.epochs, self.batches.per_epoch, self.reached)
        while not self.reached.ended:
            self._epoch(interrupt)
            self._end_epoch()
            self._save()

    def _epoch(self, interrupt: Interrupt) -> None:
        """The steps of one epoch that are not done yet."""
        self.network.train()
        saved = time.monotonic()
        order = self.batches.epoch(self.reached.epoch)
        for step in range(self.reached.step, len(order)):
            begun = time.monotonic()
            self._step(order[step], step)
            now = time.monotonic()
            self.reached.seconds += now - begun
            stop = self.group.agree(interrupt.asked)
            if stop or now - saved > self.plan.save_every_s:
                self._save()
                saved = now
            if stop:
                raise KeyboardInterrupt

    def _step(self, users: Any, step: int) -> None:
        batch = self.batches.build(users, self.reached.epoch, step)
        tensors = [torch.from_numpy(array).to(self.group.device) for array in batch[:5]]
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.plan.amp):
            loss = self.objective(*tensors)
        # Each process has a share of the batch, and gradients are averaged over processes.
        (loss * self.group.world / batch.positions).backward()
        self.optimiser.step(self.reached.steps)
        self.loss += loss.detach()
        self.reached.step, self.reached.steps = step + 1, self.reached.steps + 1
        self.reached.positions += batch.positions
        self.reached.sequences += users.size
        if self.average is not None:
            self.average.update(self.reached.steps)
        if self.group.leads:
            self.observer.on_step(users.size)

    def _end_epoch(self) -> None:
        """Validate where it is time to, keep what is best, and see whether it is enough."""
        reached, plan = self.reached, self.plan
        loss = float(self.group.sum(self.loss.clone())) / reached.positions
        turn = (reached.epoch + 1) % plan.validate_every == 0 or reached.epoch + 1 == plan.epochs
        metrics = self.group.agree(self._validated() if turn and self.group.leads else {})
        better = bool(metrics) and metrics[plan.metric] > reached.best
        if better:
            reached.best, reached.best_epoch, reached.since = metrics[plan.metric], reached.epoch, 0
            if self.group.leads:
                self._keep(metrics)
        elif metrics:
            reached.since += 1
        facts = EpochFacts(
            epoch=reached.epoch,
            step=reached.steps,
            loss=loss,
            learning_rate=self.optimiser.rate(reached.steps - 1),
            sequences_per_s=reached.sequences / reached.seconds,
            seconds=reached.seconds,
            metrics=metrics,
            best=better,
        )
        self.history.append(facts)
        reached.epoch, reached.step, reached.positions = reached.epoch + 1, 0, 0
        self.loss.zero_()
        reached.ended = self.group.agree(self._end())
        if self.group.leads:
            self._write_history()
            self.observer.on_epoch(facts)

    def _end(self) -> str:
        if self.reached.since >= self.plan.patience:
            return "patience"
        if self.plan.time_limit_s and self.reached.seconds >= self.plan.time_limit_s:
            return "time"
        return "epochs" if self.reached.epoch >= self.plan.epochs else ""

    def _validated(self) -> dict[str, float]:
        metrics = self.validate(self._candidate())
        if self.plan.metric not in metrics:
            raise UsageError(f"validation metric {self.plan.metric!r} is unknown; known are {', '.join(metrics)}")
        return metrics

    def _candidate(self) -> NeuralRecommender:
        """The model as it would be kept now."""
        network = self.network if self.average is None else self.average.network
        return type(self.model)(self.model.settings, self.model.known, network)

    def _keep(self, metrics: dict[str, float]) -> None:
        write_tensors(self.folder / "best.safetensors", self._candidate().arrays(), {"metrics": json.dumps(metrics)})

    def _save(self) -> None:
        """The state after the step just done. Each process has random numbers of its own, the rest is the same."""
        arrays = {"random.cpu": torch.get_rng_state().numpy(), "loss": self.loss.cpu().numpy()}
        if self.group.device.type == "cuda":
            arrays["random.cuda"] = torch.cuda.get_rng_state(self.group.device).numpy()
        if self.group.leads:
            arrays |= {f"weights.{name}": array for name, array in self.model.arrays().items()}
            arrays |= {f"optimiser.{name}": array for name, array in self.optimiser.arrays().items()}
            if self.average is not None:
                arrays |= {f"average.{name}": array for name, array in self._candidate().arrays().items()}
        TrainingState(self.what, self.reached, arrays).write(self._state_path)

    def restore(self) -> None:
        """Go on from the state in the folder, if there is one."""
        own = TrainingState.read(self._state_path)
        shared = own if self.group.leads else TrainingState.read(self.folder / "training.safetensors")
        if own is None or shared is None:
            return
        if shared.what != self.what:
            differs = sorted(key for key in self.what if shared.what.get(key) != self.what[key])
            raise ModelMismatchError(
                f"{self.folder}: holds a training with another {' and '.join(differs)}; choose another folder, or "
                "start anew"
            )
        weights = {name: torch.from_numpy(array) for name, array in shared.part("weights").items()}
        self.network.load_state_dict(weights)
        if self.average is not None:
            averaged = {name: torch.from_numpy(array) for name, array in shared.part("average").items()}
            self.average.network.load_state_dict(averaged)
        self.optimiser.restore(shared.part("optimiser"))
        self.reached = shared.reached
        self.loss.copy_(torch.from_numpy(own.arrays["loss"]))
        torch.set_rng_state(torch.from_numpy(own.arrays["random.cpu"]))
        if "random.cuda" in own.arrays:
            torch.cuda.set_rng_state(torch.from_numpy(own.arrays["random.cuda"]), self.group.device)
        lines = (self.folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
        self.history = [EpochFacts(**json.loads(line)) for line in lines[: self.reached.epoch]]

    def _write_history(self) -> None:
        """`epochs.jsonl`, anew each time: a killed epoch must not be told twice."""
        text = "".join(json.dumps(asdict(facts)) + "\n" for facts in self.history)
        beside = self.folder / "epochs.jsonl.partial"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.folder / "epochs.jsonl")

    def result(self) -> Fitted:
        """The best of it."""
        arrays, texts = read_tensors(self.folder / "best.safetensors")
        best = self.model.from_arrays(self.model.settings, self.model.known, arrays)
        return Fitted(best, self.reached, json.loads(texts["metrics"]))
