"""The stage `train`: from a version to a trained model that MLflow, its registry and the lineage know."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import DatabaseError, ModelConflictError, ServiceError, TrackingError, UsageError
from matinee.model.atomic import make_folder
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from matinee.lineage import Artifact, Recorder
    from matinee.stack import Stack
    from matinee.train.plan import Plan
    from matinee.train.trained import Trained
    from matinee.train.watch import Watch
    from matinee.version import Version

__all__ = ["train", "train_in"]

# What a finished training leaves in its folder, and what one leaves that is under way; all that --force removes.
_DONE = ("trained.json", "tracking.json", "checkpoint.json", "model.safetensors", "model.onnx", "evaluation-*")
_UNDER_WAY = ("training*.safetensors", "best.safetensors", "epochs.jsonl", "epochs.png", "system.jsonl")


def train(
    version: str | Path | None = None,
    *,
    model: str = "sse-pt",
    options: Mapping[str, object] | Sequence[str] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    patience: int | None = None,
    time_limit_s: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    prior: str = "auto",
    start_from: str | Path | None = None,
    out: str | Path | None = None,
    track: bool = True,
    force: bool = False,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = "matinee-data",
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a model on a version, choose its recency prior, save, export, track and register it.

    The same words again go on with a training that was interrupted, or find that it is done; then only what MLflow has
    not got yet is sent to it.

    Args:
        version: a folder, a data set's name, an id or its beginning, or name@id; what is not in `data_dir` is pulled
            from the store. None is the newest version in `data_dir`.
        model: which kind; docs/models.md has them.
        options: any setting of the model or of its training: a mapping, or texts like 'dropout=0.5'.
        epochs: the most passes over all users.
        batch_size: sequences a step.
        learning_rate: of Adam.
        patience: validations without improvement before training stops.
        time_limit_s: training ends after the epoch in which so many seconds have passed.
        seed: every draw follows from it.
        device: 'auto' takes a GPU where there is one; 'cpu', 'cuda', 'cuda:1'.
        prior: 'auto' chooses weight and window of the recency prior on validation; 'off', 'WEIGHT' or 'WEIGHT:DAYS'.
        start_from: a trained model, as `evaluate` takes it, whose version this one goes on from: its weights and the
            settings of its network are the start, ids that it has not seen get new rows. None starts from nothing.
        out: the model's folder; None is `models/<data set>/<version>/<model>-<hash of its settings>` in `data_dir`.
        track: tell MLflow of it; the stack of `data_dir` is started for that, and stopped again.
        force: train again although it is there.
        store: where a version is pulled from; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: whose versions, models and stack are meant.
        lineage: told of the stage; None records nothing.
        progress: told of every phase, and of each epoch in a line.

    Raises:
        UsageError: there is no such model or setting, or a value is not what it should be.
        VersionError: there is no such version, or it has no certificate.
        ModelError: PyTorch is missing, or the folder holds another model.
        ServiceError, StoreError, DiskFullError: a service does not start, a store does not answer, no space.
    """
    from matinee.train.find import (  # noqa: PLC0415 - `import matinee` must stay light
        find_model_folder,
        find_version_folder,
    )
    from matinee.train.parent import Parent  # noqa: PLC0415 - as above
    from matinee.train.plan import Plan, pairs  # noqa: PLC0415 - as above

    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "time_limit_s": time_limit_s,
        "seed": seed,
        "device": device,
    }
    said = dict(options) if isinstance(options, Mapping) else pairs(options)
    progress = progress or Silent()
    parent = None if start_from is None else Parent.read(find_model_folder(start_from, data_dir, progress=progress))
    plan = Plan.of(model, said | {name: value for name, value in given.items() if value is not None}, prior, parent)
    folder = find_version_folder(version, data_dir, store=store, endpoint=endpoint, progress=progress)
    services = _services(Path(data_dir), progress) if track else None
    return train_in(services, folder, plan, out=out, force=force, data_dir=data_dir, lineage=lineage, progress=progress)


def train_in(
    services: AbstractContextManager[Stack] | None,
    folder: Path,
    plan: Plan,
    *,
    out: str | Path | None = None,
    force: bool = False,
    data_dir: str | Path = "matinee-data",
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Trained:
    """`train` with a plan that is made, on a version that is here.

    `services` is entered where there is something to do; None tells MLflow nothing.
    """
    from matinee.lineage import Recorder  # noqa: PLC0415 - see train
    from matinee.train.find import MODELS_FOLDER  # noqa: PLC0415 - as above
    from matinee.train.make import follows  # noqa: PLC0415 - as above
    from matinee.version import open_version  # noqa: PLC0415 - as above

    progress, lineage = progress or Silent(), lineage or Recorder(None)
    version = open_version(folder)
    _check(version, progress)
    if plan.parent is not None:
        plan.parent.check(version)
    target = Path(out) if out else Path(data_dir) / MODELS_FOLDER / version.name / version.id / plan.name
    target = target.absolute()
    if os.environ.get("WORLD_SIZE", "1") != "1" and not plan.entry.neural:
        raise UsageError(f"model {plan.entry.name} is counted by one process; train it without torchrun")
    if follows():
        stage = _Stage(version, plan, target, Recorder(None), Silent())
        # A leader who finds the model calls nobody together; whoever waited for that call would wait for half an hour.
        there = None if force else stage.there()
        return there or stage.make(None)
    with _alone(target):
        return _Stage(version, plan, target, lineage, progress).run(services, force=force)


class _Stage:
    """One model on its way."""

    def __init__(self, version: Version, plan: Plan, folder: Path, lineage: Recorder, progress: Progress) -> None:
        self.version, self.plan, self.folder = version, plan, folder
        self.lineage, self.progress = lineage, progress

    def run(self, services: AbstractContextManager[Stack] | None, *, force: bool) -> Trained:
        """Make what is not made, and tell whom it has not been told."""
        from matinee.train.trained import TRAINED  # noqa: PLC0415 - see train

        if force:
            _remove(self.folder, (*_DONE, *_UNDER_WAY))
        trained = self.there()
        if trained is not None and (services is None or trained.page):
            return trained
        with services or nullcontext() as stack:
            if trained is None:
                if (self.folder / TRAINED).exists():  # of a model that is not whole any more: MLflow gets a new run
                    _remove(self.folder, _DONE)
                trained = self.make(stack)
            return trained if stack is None else self.tell(stack, trained)

    def there(self) -> Trained | None:
        """The model, where an earlier call has made it.

        Raises:
            ModelConflictError: another one is there.
        """
        from matinee.train.trained import Trained  # noqa: PLC0415 - see train

        trained = Trained.read(self.folder)
        if trained is not None and (trained.version, trained.words) != (self.version.id, self.plan.words):
            raise ModelConflictError(
                f"{self.folder}: holds {trained.name}, trained on {trained.dataset} {trained.version}, expected "
                f"{self.plan.name} on {self.version.id}; choose another --out, or train over it with --force"
            )
        return trained

    def make(self, stack: Stack | None) -> Trained:
        """The model in its folder, and the lineage's record of it."""
        from matinee.lineage import Artifact  # noqa: PLC0415 - see train
        from matinee.train.make import follows, make  # noqa: PLC0415 - as above
        from matinee.train.trained import Trained  # noqa: PLC0415 - as above

        begun_s = time.monotonic()
        given = [Artifact.of_folder(self.version.folder)]
        if self.plan.parent is not None:
            given.append(self.plan.parent.artifact())
        with self.lineage.stage("train", inputs=given) as run:
            try:
                made = make(self.plan, self.version, self.folder, watch=self._watch(stack), progress=self.progress)
            except KeyboardInterrupt:
                self.progress.say(f"{self.plan.name}: stopped; the same words go on from here")
                raise
            trained = Trained(
                model=self.plan.entry.name,
                name=self.plan.name,
                dataset=self.version.name,
                version=self.version.id,
                folder=self.folder,
                metrics=made.metrics,
                prior_weight=made.model.prior.weight,
                prior_window_s=made.model.prior.window_s,
                epochs=made.epochs,
                ended=made.ended,
                wall_s=round(time.monotonic() - begun_s, 3),
                files={},
                words=self.plan.words,
            )
            if follows():
                return trained
            artifact = self._artifact(made.files)
            run.add_output(artifact)
        trained = replace(trained, files=dict(artifact.contents))
        trained.write()
        return trained

    def tell(self, stack: Stack, trained: Trained) -> Trained:
        """MLflow and its registry have the model too, or a line says that they have not."""
        from matinee.train.tell import tell  # noqa: PLC0415 - MLflow takes seconds to import

        artifact = self._artifact([*trained.files])
        try:
            with self.lineage.stage("track", inputs=[artifact]) as run:
                told = tell(stack, self.plan, self.version, trained, self.progress)
                run.add_output(artifact.tracked(told.url.replace("/#/", "/")))
        except (TrackingError, DatabaseError, ServiceError) as error:
            self.progress.say(f"the model is whole, and the same words send MLflow what it lacks ({error})")
            return trained
        known = replace(trained, page=told.url, registered=told.registered.address, champion=told.registered.champion)
        known.write()
        return known

    def _artifact(self, files: Sequence[str]) -> Artifact:
        from matinee.lineage import Artifact  # noqa: PLC0415 - see train

        source = self.version.manifest.source.sha256
        return Artifact.of_checkpoint(
            self.folder, files, name=self.plan.name, version=self.version.id, source_sha256=source
        )

    def _watch(self, stack: Stack | None) -> Watch:
        from matinee.train.watch import Watch  # noqa: PLC0415 - see train

        batch_size, metric = self.plan.training.batch_size, self.plan.training.metric
        if stack is None:
            return Watch(self.progress, metric, batch_size)
        from matinee.train.history import SystemLog  # noqa: PLC0415 - see train
        from matinee.train.tell import tracker  # noqa: PLC0415 - see tell

        teller = tracker(stack, self.plan, self.version, self.folder, self.progress)
        return Watch(self.progress, metric, batch_size, teller, SystemLog(self.folder))


@contextmanager
def _services(data_dir: Path, progress: Progress) -> Iterator[Stack]:
    """The services that a training is told to, for as long as it lasts."""
    from matinee.stack import running  # noqa: PLC0415 - see train
    from matinee.train.tell import SERVICES  # noqa: PLC0415 - see train

    with running(data_dir, SERVICES, progress=progress) as stack:
        yield stack


def _check(version: Version, progress: Progress) -> None:
    """Refuse what cannot be trained on, and say what should be known of it."""
    if version.certificate.split == "random":
        raise UsageError(
            f"{version.folder}: split at random, so that nobody has a history and nothing tells which model is good; "
            "train on a version with --split time, ratio or leave-one-out"
        )
    if not version.certificate.eval.rows:
        raise UsageError(
            f"{version.folder}: its split eval has no events, so nothing tells which model is good; transform with "
            "other --fractions"
        )
    if version.certificate.leaks:
        progress.say(
            f"careful: {version.certificate.leaks:,} events of eval and test lie before an event of train (split by "
            f"{version.certificate.split}); what is measured on them is too good to be true"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other trainings out of it."""
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelConflictError(
                f"{folder}: another training is at work there; wait for it, or choose another --out"
            ) from None
        yield
    finally:
        os.close(handle)


def _remove(folder: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()
