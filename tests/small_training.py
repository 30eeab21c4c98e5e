"""A training that takes a second, described so that another process can do it: by multiprocessing, or by torchrun."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matinee.model.recommender import Known
from matinee.model.table import find_model
from matinee.model.tensors_file import read_tensors
from matinee.train.loop import fit
from matinee.train.observer import EpochFacts, Unobserved
from matinee.train.train_settings import TrainSettings
from matinee.version import open_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from matinee.model.neural import NeuralRecommender
    from matinee.train.loop import Fitted
    from matinee.train.observer import Observer

__all__ = ["FORKS", "Job", "Paused", "Result", "child", "one_of"]

# A server that has imported PyTorch, and what its data parallelism imports late, forks the children.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["matinee.train.loop", "torch._dynamo"])

_SETTINGS: dict[str, Any] = {"maxlen": 4, "item_dim": 4, "blocks": 1, "heads": 2, "negatives": 4, "dropout": 0.3}
_PLAN: dict[str, Any] = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "device": "cpu"}
_CLOCK = ("seconds", "sequences_per_s")


class Paused(Unobserved):
    """Gives others time to interrupt."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s

    def on_step(self, sequences: int) -> None:
        """See Observer."""
        del sequences
        time.sleep(self._pause_s)


@dataclass(frozen=True)
class Job:
    """What to train on, where to, and how; what is not said is small.

    Attributes:
        version, folder: paths.
        model: name.
        settings, plan: of the model and of the training.
        resume: as in `fit`.
        pause_s: after each step.
    """

    version: str
    folder: str
    model: str = "sse-pt"
    settings: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    resume: bool = True
    pause_s: float = 0.0

    def fit(
        self,
        *,
        observer: Observer | None = None,
        validate: Callable[[NeuralRecommender], dict[str, float]] | None = None,
    ) -> Fitted:
        """Do it."""
        kind, settings = find_model(self.model).load()
        own = {"user_dim": 2} if self.model == "sse-pt" else {}
        version, plan = open_version(self.version), TrainSettings(**{**_PLAN, **self.plan})
        known = Known(version.known_users, version.known_items)
        model = kind.initial(settings(**{**_SETTINGS, **own, **self.settings}), known, plan.seed)  # type: ignore[attr-defined]
        return fit(
            model,
            version,
            plan,
            folder=Path(self.folder),
            validate=validate or size_of_weights,
            observer=observer or Paused(self.pause_s),
            resume=self.resume,
        )

    def result(self) -> Result:
        """What lies in the folder."""
        return Result.read(Path(self.folder))


def size_of_weights(model: NeuralRecommender) -> dict[str, float]:
    """A metric that costs nothing and differs with every bit; training makes weights larger, as a rule."""
    return {"ndcg@10": float(np.abs(model.arrays()["positions.weight"]).sum()), "other": 0.5}


@dataclass(frozen=True)
class Result:
    """What a training has left behind, but for the times it took.

    Attributes:
        best: the best weights.
        state: all arrays that a stopped training goes on from.
        epochs: the lines of epochs.jsonl.
    """

    best: dict[str, NDArray[Any]]
    state: dict[str, NDArray[Any]]
    epochs: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Result:
        """From a training's folder."""
        lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
        for line in lines:
            EpochFacts(**line)
        told = [{name: value for name, value in line.items() if name not in _CLOCK} for line in lines]
        best, state = (read_tensors(folder / f"{name}.safetensors")[0] for name in ("best", "training"))
        return cls(best, state, told)

    def assert_same(self, other: Result) -> None:
        """Bit for bit."""
        assert self.epochs == other.epochs
        for ours, theirs in ((self.best, other.best), (self.state, other.state)):
            assert ours.keys() == theirs.keys()
            assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


def child(job: Job) -> None:
    """In a process of its own; one that is interrupted says so by its exit code."""
    try:
        job.fit()
    except KeyboardInterrupt:
        sys.exit(130)


def one_of(job: Job, rank: int, world: int, port: int) -> None:
    """As `child`, as one of several processes: with what torchrun tells each."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    child(job)


def _read_only(folder: str) -> None:
    """End this process should it write below `folder`, or try to."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(folder):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR):
                os._exit(77)
        elif event in ("os.rename", "os.remove") and str(arguments[0]).startswith(folder):
            os._exit(78)

    sys.addaudithook(hook)


if __name__ == "__main__":
    asked = Job(**json.loads(sys.argv[1]))
    if os.environ.get("RANK", "0") != "0":
        _read_only(asked.folder)
    child(asked)
