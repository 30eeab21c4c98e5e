"""Tells the stack of a training: its run in MLflow as it goes, then all of the model, its registration and alias."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import TrackingError
from matinee.train.history import SYSTEM
from matinee.train.registry import CHECKPOINT_PLACE, PYFUNC_PLACE, Registered, register, save_pyfunc
from matinee.train.track_training import TrackedRun, Tracker, Training

if TYPE_CHECKING:
    from matinee.schema.progress import Progress
    from matinee.stack import Stack
    from matinee.train.mlflow_client import MlflowClient
    from matinee.train.plan import Plan
    from matinee.train.trained import Trained
    from matinee.version import Version

__all__ = ["SERVICES", "tell", "tracker"]

SERVICES: Final = ("s3", "postgres", "mlflow")


def tracker(stack: Stack, plan: Plan, version: Version, folder: Path, progress: Progress) -> Tracker:
    """Who tells MLflow of the training in `folder`."""
    return Tracker(stack.mlflow_url, Training(plan.name, folder, version, plan.params), progress.say)


def tell(stack: Stack, plan: Plan, version: Version, trained: Trained, progress: Progress) -> TrackedRun:
    """Send what MLflow has not got of a finished training, and register the model; a service that is down is started.

    Raises:
        TrackingError, DatabaseError, ServiceError: a service does not start or answer, or refuses; all is well when
            this is called again later.
    """
    progress.start("track", None, "files")
    try:
        try:
            run = _send(stack, plan, version, trained, progress)
        except TrackingError:
            from matinee.stack import running  # noqa: PLC0415 - as long as all goes well, nothing is to be started

            with running(stack.data_dir, SERVICES) as again:
                run = _send(again, plan, version, trained, progress)
    finally:
        progress.finish()
    return run


def _send(stack: Stack, plan: Plan, version: Version, trained: Trained, progress: Progress) -> TrackedRun:
    from matinee.database import alone  # noqa: PLC0415 - it brings Postgres's driver

    folder = trained.folder
    name = f"{version.name}-{plan.entry.name}"
    metric = plan.training.metric

    def enrol(client: MlflowClient, run: str) -> Registered:
        with alone(stack.postgres_url, f"champion {name}"):
            return register(
                client,
                run,
                name,
                place=PYFUNC_PLACE if plan.entry.neural else CHECKPOINT_PLACE,
                files=trained.files,
                trained_on=version.id,
                metric=metric,
                value=trained.metrics[metric],
            )

    tags = {"matinee.checkpoint_sha256": next(iter(trained.files.values())), "matinee.prior": trained.prior}
    files = {CHECKPOINT_PLACE: [folder / file for file in trained.files]}
    files[""] = [path for path in (folder / SYSTEM,) if path.is_file()]
    with tempfile.TemporaryDirectory(prefix="matinee-pyfunc-") as scratch:
        if plan.entry.neural:
            files[PYFUNC_PLACE] = [Path(scratch) / PYFUNC_PLACE]
            save_pyfunc(folder, version.folder, files[PYFUNC_PLACE][0])
        return tracker(stack, plan, version, folder, progress).finish(files, trained.metrics, tags, enrol)
