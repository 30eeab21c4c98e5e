"""The training loop: batches, steps, validation, early stopping; stopped at any step, it goes on as if it had not been.

for each epoch:
    for each batch of sequences of like length:
        loss of the batch, gradients, one step of Adam
    every few epochs: rank the validation events; keep the weights if they are the best so far, stop if they have
    not been for long
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from matinee.errors import ModelDamagedError, ModelError, ModelMismatchError, UsageError
from matinee.model.atomic import write_atomically
from matinee.model.tensors_file import read_tensors, write_tensors
from matinee.train.average import Average
from matinee.train.batches import Batches
from matinee.train.interrupt import Interrupt
from matinee.train.objective import Objective
from matinee.train.observer import EpochFacts, Observer, Unobserved
from matinee.train.optimiser import Optimiser
from matinee.train.processes import Group, group
from matinee.train.state import Reached, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.model.neural import NeuralRecommender
    from matinee.train.batches import Windows
    from matinee.train.train_settings import TrainSettings
    from matinee.version import Version

__all__ = ["EpochFacts", "Fitted", "Observer", "fit"]

_STATE = "training.safetensors"
_BEST = "best.safetensors"

# What may change between a stop and going on: where and how long, not what comes of each step.
_FREE: Final = frozenset({"epochs", "patience", "validate_every", "time_limit_s", "save_every_s", "device"})


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
    parent: str = "",
) -> Fitted:
    """Train `model` on the split `train`, and give it the best weights.

    Keeps in `folder`: `training.safetensors` (what a stopped training goes on from), `best.safetensors`,
    `epochs.jsonl` (a line an epoch). An interrupt writes the state after the step at hand, then passes on as
    KeyboardInterrupt.

    Args:
        model: untrained, or with weights to start from.
        version: read by memory map, never as a whole.
        plan: how to train.
        folder: made where it is missing; of several processes the first writes there, and all must see it.
        validate: metrics of a model on the validation split; called by one process.
        observer: told of steps and epochs; in the process with rank 0 only.
        resume: go on where the same training stopped; False forgets that one.
        parent: what names the model whose weights `model` has at the start; empty where it is untrained.

    Raises:
        UsageError: no such device, or no such validation metric.
        ModelMismatchError: `folder` holds the state of another training.
        ModelDamagedError: `folder` holds something that is no such state.
        ModelError: training diverged: its loss is no number.
        DiskFullError: no space left for a state; the last one is there still.
    """
    with group(plan.device) as ours, Interrupt() as interrupt:
        training = _Training(model, version, plan, folder, validate, observer or Unobserved(), ours, parent)
        try:
            if resume:
                training.restore()
            else:
                training.forget()
            training.run(interrupt)
            return training.result()
        finally:
            # An exception keeps `training` alive beyond the group, and a process whose last hold on PyTorch's data
            # parallelism goes after the group has gone hangs at its end, one time in two.
            del training.objective


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
        parent: str,
    ) -> None:
        self.model, self.plan, self.folder = model, plan, folder
        self.validate, self.observer, self.group = validate, observer, ours
        self.what: dict[str, Any] = {
            "model": model.name,
            "settings": asdict(model.settings),
            "version": version.sha256,
            "number of processes": ours.world,
            **{name: value for name, value in asdict(plan).items() if name not in _FREE},
        }
        if parent:
            self.what["parent"] = parent
        if plan.schedule != "constant":
            self.what["epochs"] = plan.epochs  # a falling rate depends at each step on how many there will be
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
            if self.group.agree(interrupt.asked):
                raise KeyboardInterrupt

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
            stop, save = self.group.agree((interrupt.asked, now - saved > self.plan.save_every_s))
            if stop or save:
                self._save()
                saved = now
            if stop:
                raise KeyboardInterrupt

    def _step(self, windows: Windows, step: int) -> None:
        batch = self.batches.build(windows, self.reached.epoch, step)
        tensors = [torch.from_numpy(array).to(self.group.device) for array in batch[:5]]
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.plan.amp):
            loss = self.objective(*tensors)
        # Each process has a share of the batch, and gradients are averaged over processes.
        (loss * self.group.world / batch.positions).backward()
        self.optimiser.step(self.reached.steps)
        self.loss += loss.detach()
        self.reached.step, self.reached.steps = step + 1, self.reached.steps + 1
        self.reached.positions += batch.positions
        self.reached.sequences += windows.users.size
        if self.average is not None:
            self.average.update(self.reached.steps)
        if self.group.leads:
            self.observer.on_step(windows.users.size)

    def _end_epoch(self) -> None:
        """Validate where it is time to, keep what is best, and see whether it is enough."""
        reached, plan = self.reached, self.plan
        loss = self._mean_loss()
        done = reached.epoch + 1
        # An epoch that is the last one has its turn, so that there always is a best one.
        turn = self.group.agree(done % plan.validate_every == 0 or bool(self._spent(done)))
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
        reached.epoch, reached.step, reached.positions = done, 0, 0
        self.loss.zero_()
        reached.ended = self.group.agree(self._end())
        if self.group.leads:
            self._write_history()
            self.observer.on_epoch(facts)

    def _mean_loss(self) -> float:
        """Of the epoch just done, over the positions of all processes."""
        loss = float(self.group.sum(self.loss.clone())) / self.reached.positions
        if not math.isfinite(loss):
            raise ModelError(
                f"{self.folder}: training diverged, the mean loss of epoch {self.reached.epoch + 1} is {loss}; lower "
                f"learning_rate ({self.plan.learning_rate:g}) or set clip_norm ({self.plan.clip_norm:g})"
            )
        return loss

    def _end(self) -> str:
        """Why training is over after the epochs done, or an empty text."""
        return "patience" if self.reached.since >= self.plan.patience else self._spent(self.reached.epoch)

    def _spent(self, epochs: int) -> str:
        """Which limit so many epochs have reached, or an empty text."""
        if self.plan.time_limit_s and self.reached.seconds >= self.plan.time_limit_s:
            return "time"
        return "epochs" if epochs >= self.plan.epochs else ""

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
        write_tensors(self.folder / _BEST, self._candidate().arrays(), {"metrics": json.dumps(metrics)})

    def _save(self) -> None:
        """The state after the step just done, in one file, so that all of it is of the same moment."""
        own = {"loss": self.loss.cpu().numpy(), "random.cpu": torch.get_rng_state().numpy()}
        if self.group.device.type == "cuda":
            own["random.cuda"] = torch.cuda.get_rng_state(self.group.device).numpy()
        each = self.group.gather(own)
        if not self.group.leads:
            return
        arrays = {f"process.{rank}.{name}": array for rank, said in enumerate(each) for name, array in said.items()}
        arrays |= {f"weights.{name}": array for name, array in self.model.arrays().items()}
        arrays |= {f"optimiser.{name}": array for name, array in self.optimiser.arrays().items()}
        if self.average is not None:
            arrays |= {f"average.{name}": array for name, array in self._candidate().arrays().items()}
        history = [asdict(facts) for facts in self.history]
        TrainingState(self.what, self.reached, history, arrays).write(self.folder / _STATE)

    def restore(self) -> None:
        """Go on from the state in the folder, if there is one."""
        path = self.folder / _STATE
        state = TrainingState.read(path)
        if state is None:
            return
        if state.what != self.what:
            differs = sorted(key for key in {*self.what, *state.what} if state.what.get(key) != self.what.get(key))
            raise ModelMismatchError(
                f"{self.folder}: holds a training with another {' and '.join(differs)}; choose another folder, or "
                "start anew"
            )
        try:
            self._take(state)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise ModelDamagedError(
                f"{path}: not the state of this training ({str(error).splitlines()[0]}); delete it to start anew"
            ) from None

    def _take(self, state: TrainingState) -> None:
        self.network.load_state_dict(_tensors(state.part("weights")))
        if self.average is not None:
            self.average.network.load_state_dict(_tensors(state.part("average")))
        self.optimiser.restore(state.part("optimiser"))
        own = _tensors(state.part(f"process.{self.group.rank}"))
        self.loss.copy_(own["loss"])
        torch.set_rng_state(own["random.cpu"])
        if self.group.device.type == "cuda" and "random.cuda" in own:
            torch.cuda.set_rng_state(own["random.cuda"], self.group.device)
        self.reached = state.reached
        self.history = [EpochFacts(**facts) for facts in state.history]
        # A training that was over may go on with more epochs, more time, more patience.
        self.reached.ended = "" if self.reached.step else self._end()

    def forget(self) -> None:
        """Start anew, also should we be killed before our first state is written."""
        if self.group.leads:
            (self.folder / _STATE).unlink(missing_ok=True)

    def _write_history(self) -> None:
        """`epochs.jsonl`, anew each time: a killed epoch must not be told twice."""
        text = "".join(json.dumps(asdict(facts)) + "\n" for facts in self.history)
        write_atomically(self.folder / "epochs.jsonl", text.encode())

    def result(self) -> Fitted:
        """The best of it."""
        path = self.folder / _BEST
        try:
            arrays, texts = read_tensors(path)
            best = self.model.from_arrays(self.model.settings, self.model.known, arrays)
            return Fitted(best, self.reached, json.loads(texts["metrics"]))
        except (ModelError, KeyError, ValueError) as error:
            raise ModelDamagedError(
                f"{path}: not the best weights of this training ({error}); delete {_STATE} beside it to start anew"
            ) from None


def _tensors(arrays: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
