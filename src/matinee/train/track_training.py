"""What MLflow is told of a training: as it goes, as far as it answers, and all of it in the end, once.

The model's folder is the truth. A training has an id of its own there (`tracking.json`), its run in MLflow carries it
as a tag, and whatever the run lacks is sent when the server answers again: after an epoch, at the end, or when the
same `matinee train` is run once more.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.errors import TrackingError
from matinee.model.atomic import write_atomically
from matinee.schema.layout import CERTIFICATE
from matinee.train import history
from matinee.train.mlflow_client import (
    HASTY,
    PATIENT,
    Metric,
    Param,
    Patience,
    RunTag,
    connected,
    dataset_input,
    experiment_for,
    page,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matinee.train.history import Epoch
    from matinee.train.mlflow_client import MlflowClient, Run
    from matinee.train.registry import Registered
    from matinee.version import Version

__all__ = ["TRACKING", "TrackedRun", "Tracker", "Training", "metric_name"]

TRACKING: Final = "tracking.json"
_ID_TAG: Final = "matinee.training"
_PAUSE_S: Final = 30.0  # before a server that did not answer is asked again, while training goes on
_METRICS_A_REQUEST: Final = 1000  # as many as MLflow takes


@dataclass(frozen=True, slots=True)
class Training:
    """What is told of a training when it begins.

    Attributes:
        name: of the model's folder, as in 'sse-pt-0a1b2c3d'.
        folder: where the model is made.
        version: what it is trained on.
        params: every setting, as text.
    """

    name: str
    folder: Path
    version: Version
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A training's run in MLflow.

    Attributes:
        run, experiment: their ids there.
        url: the run's page.
        registered: its model in the registry.
    """

    run: str
    experiment: str
    url: str
    registered: Registered


class Tracker:
    """Tells one server of one training.

    Args:
        tracking_uri: the server.
        training: what to tell of.
        warn: told in one line when the server stops answering, once.
    """

    def __init__(self, tracking_uri: str, training: Training, warn: Callable[[str], None]) -> None:
        self._uri, self._training, self._warn = tracking_uri, training, warn
        self._id = _own_id(training.folder)
        self._steps: set[int] | None = None  # those that the run has; None is not known
        self._warned = False
        self._not_before_s = 0.0

    def flush(self) -> bool:
        """Send what the server has not got, unless that would hold up the training; whether it has all of it now."""
        if time.monotonic() < self._not_before_s:
            return False
        try:
            with connected(self._uri, HASTY) as client:
                self._send_epochs(client, self._run(client))
        except TrackingError as error:
            self._not_before_s = time.monotonic() + _PAUSE_S
            self._steps = None  # some of it may have arrived
            if not self._warned:
                self._warn(f"training goes on, and MLflow gets what it lacks later ({error})")
                self._warned = True
            return False
        return True

    def finish(
        self,
        files: Mapping[str, Sequence[Path]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        register: Callable[[MlflowClient, str], Registered],
        patience: Patience = PATIENT,
    ) -> TrackedRun:
        """Everything that a finished training's run has; a run that is finished has all of it, and is left as it is.

        Args:
            files: folder among the run's artifacts -> files and folders of this machine.
            metrics: of the model that was kept.
            tags: what else to say of it.
            register: makes the registry know of the run with this id, once it has its files.
            patience: how long to wait for the server.

        Raises:
            TrackingError: the server does not answer, or refuses; call again, with the same words.
        """
        with connected(self._uri, patience) as client:
            run = self._run(client)
            found = run.info.run_id
            if run.info.status != "FINISHED":
                self._send_epochs(client, run)
                at_ms = int((self._training.folder / TRACKING).stat().st_mtime * 1000)  # the same each time it is sent
                client.log_batch(
                    found,
                    metrics=[Metric(metric_name(f"best/{name}"), v, at_ms, 0) for name, v in metrics.items()],
                    tags=[RunTag(name, value) for name, value in tags.items()],
                )
                for place, paths in files.items():
                    for path in paths:
                        send = client.log_artifacts if path.is_dir() else client.log_artifact
                        send(found, str(path), place or None)
            registered = register(client, found)
            client.set_terminated(found)  # last: a run that is finished has all of it
            experiment = str(run.info.experiment_id)
        return TrackedRun(found, experiment, page(self._uri, experiment, found), registered)

    def _run(self, client: MlflowClient) -> Run:
        """The training's run, begun where it is not there yet."""
        training, version = self._training, self._training.version
        experiment = experiment_for(client, version.name)
        found = client.search_runs([experiment], f"tags.`{_ID_TAG}` = '{self._id}'", max_results=1)
        if found and "matinee.begun" in found[0].data.tags:
            return found[0]
        run = found[0] if found else client.create_run(experiment, run_name=training.name, tags={_ID_TAG: self._id})
        given = dataset_input(version.manifest, version.certificate, version.sha256, str(version.folder), "training")
        client.log_inputs(run.info.run_id, [given])
        tags = {"matinee.trained_on": version.id, "matinee.manifest_sha256": version.sha256, "matinee.begun": "yes"}
        client.log_artifact(run.info.run_id, str(version.folder / CERTIFICATE))
        client.log_batch(
            run.info.run_id,
            params=[Param(name, value) for name, value in training.params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        return run

    def _send_epochs(self, client: MlflowClient, run: Run) -> None:
        if self._steps is None:
            self._steps = {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")}
        missing = [epoch for epoch in history.read(self._training.folder) if epoch.number not in self._steps]
        for batch in _batches(missing):
            client.log_batch(
                run.info.run_id,
                metrics=[
                    Metric(metric_name(name), value, epoch.at_ms, epoch.number)
                    for epoch in batch
                    for name, value in epoch.metrics.items()
                ],
            )
            self._steps |= {epoch.number for epoch in batch}


def metric_name(name: str) -> str:
    """A metric's name as MLflow takes it, which is without '@'.

    >>> metric_name("eval/ndcg@10")
    'eval/ndcg_at_10'
    """
    return name.replace("@", "_at_")


def _own_id(folder: Path) -> str:
    """The id of the training in `folder`, made when it is first asked for.

    It is made here and not there: a run whose making was not acknowledged is found again by it.
    """
    path = folder / TRACKING
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["training"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        own = uuid.uuid4().hex
        write_atomically(path, (json.dumps({"training": own}) + "\n").encode())
        return own


def _batches(epochs: Sequence[Epoch]) -> Iterator[Sequence[Epoch]]:
    """Whole epochs, as many as fit into a request: it is taken as a whole or not at all."""
    most = max((len(epoch.metrics) for epoch in epochs), default=1)
    size = max(1, _METRICS_A_REQUEST // most)
    for first in range(0, len(epochs), size):
        yield epochs[first : first + size]
