"""What MLflow is told; the only module that knows its client."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

# MLflow reports to its makers who uses it how, and decides on it once, when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from matinee.errors import TrackingError
from matinee.schema.certificate import Certificate
from matinee.schema.layout import CERTIFICATE, CERTIFICATE_PAGE, MANIFEST
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities import Run

__all__ = ["Tracked", "log_version"]

_VERSION_TAG: Final = "matinee.version"
_DIGEST_CHARACTERS: Final = 36  # what MLflow keeps of a digest; the whole hash is a tag
_ANSWER_TIMEOUT_S: Final = 10.0
_RETRIES: Final = "5"  # of a request, about a minute in all: as long as a killed server may take to come back
_LAST_WORDS_CHARACTERS: Final = 300
_SCHEMA: Final = {"user": "integer", "item": "integer", "rating": "double", "timestamp": "long"}


@dataclass(frozen=True, slots=True)
class Tracked:
    """What came of telling MLflow.

    Attributes:
        run, experiment: their ids there.
        url: the run's page.
        unchanged: it was there already.
    """

    run: str
    experiment: str
    url: str
    unchanged: bool


def log_version(folder: Path, tracking_uri: str, *, location: str | None = None) -> Tracked:
    """Log the data version in `folder` as a run with a dataset input, in the experiment named after its data set.

    The run has the certificate as artifacts, and split, cuts and counts as parameters. It is found again by the
    version's id: a version is logged once, and a run that was left unfinished is finished.

    Args:
        folder: a complete version of this machine.
        tracking_uri: the tracking server.
        location: where the version was published, without credentials; None names the folder.

    Raises:
        VersionError: there is no complete version in `folder`.
        TrackingError: MLflow does not answer, or refuses.
    """
    manifest, certificate = Manifest.read(folder), Certificate.read(folder)
    _check_answers(tracking_uri)
    try:
        with _client(tracking_uri) as client:
            experiment = _experiment(client, manifest.name)
            run = _find(client, experiment, manifest.id)
            unchanged = run is not None and run.info.status == "FINISHED"
            if run is None:
                tags = {_VERSION_TAG: manifest.id, "matinee.source_sha256": manifest.source.sha256}
                run = client.create_run(experiment, run_name=manifest.id, tags=tags)
            if not unchanged:
                _log(client, run.info.run_id, folder, manifest, certificate, location)
    except MlflowException as error:
        raise TrackingError(f"MLflow at {tracking_uri}: {_one_line(error)}; look at it and run again") from None
    url = f"{tracking_uri.rstrip('/')}/#/experiments/{experiment}/runs/{run.info.run_id}"
    return Tracked(run.info.run_id, experiment, url, unchanged)


def _check_answers(tracking_uri: str) -> None:
    """Fail at once where nobody is there: the client itself would go on asking for minutes."""
    try:
        with httpx.Client(trust_env=not _is_here(tracking_uri), timeout=_ANSWER_TIMEOUT_S) as client:
            answer = client.get(f"{tracking_uri.rstrip('/')}/health")
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise TrackingError(
            f"MLflow at {tracking_uri}: no answer ({error}); look at 'matinee status', then run again"
        ) from None
    if not answer.is_success:
        raise TrackingError(
            f"MLflow at {tracking_uri}: answers {answer.status_code} when asked how it is; is it MLflow?"
        )


@contextlib.contextmanager
def _client(tracking_uri: str) -> Iterator[MlflowClient]:
    """A client that is patient but not endless, quiet, and goes to this machine without a detour.

    MLflow takes these choices from the environment alone; what the user has chosen there stays.
    """
    chosen = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": _RETRIES, "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    ours = {name: value for name, value in chosen.items() if name not in os.environ}
    if _is_here(tracking_uri):
        ours["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), urlsplit(tracking_uri).hostname]))
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield MlflowClient(tracking_uri)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _experiment(client: MlflowClient, name: str) -> str:
    """The id of the data set's experiment, made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # somebody else made it in between, or it is refused
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow: experiment {name} was deleted; 'mlflow experiments restore -x {found.experiment_id}' brings it "
            "back"
        )
    return str(found.experiment_id)


def _find(client: MlflowClient, experiment: str, version: str) -> Run | None:
    found = client.search_runs(
        [experiment], f"tags.`{_VERSION_TAG}` = '{version}'", ViewType.ACTIVE_ONLY, max_results=1
    )
    return found[0] if found else None


def _log(
    client: MlflowClient,
    run: str,
    folder: Path,
    manifest: Manifest,
    certificate: Certificate,
    location: str | None,
) -> None:
    """Everything about the version; each part may be there already from an attempt that broke off."""
    manifest_sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    dataset = _dataset(manifest, certificate, manifest_sha256, location or str(folder.absolute()))
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "version")])])
    client.log_batch(
        run,
        params=[Param(name, str(value)) for name, value in _facts(manifest, certificate).items() if value != ""],
        tags=[RunTag("matinee.manifest_sha256", manifest_sha256)],
    )
    for name in (CERTIFICATE, CERTIFICATE_PAGE):
        client.log_artifact(run, str(folder / name))
    client.set_terminated(run)  # last: a run that is finished has all of it


def _dataset(manifest: Manifest, certificate: Certificate, manifest_sha256: str, where: str) -> Dataset:
    rows = certificate.train.rows + certificate.eval.rows + certificate.test.rows
    profile = {
        "version": manifest.id,
        "manifest_sha256": manifest_sha256,
        "num_rows": rows,
        "num_users": manifest.users.count,
        "num_items": manifest.items.count,
        "size_bytes": manifest.size,
    }
    columns = [
        {"name": name, "type": kind, "required": name != "rating"}
        for name, kind in _SCHEMA.items()
        if name != "rating" or name in certificate.reading.columns
    ]
    return Dataset(
        name=manifest.name,
        digest=manifest_sha256[:_DIGEST_CHARACTERS],
        source_type=_source_type(where),
        source=json.dumps({"uri": where}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(profile),
    )


def _source_type(where: str) -> str:
    """As MLflow calls it where it knows the kind of place."""
    scheme, colon, _ = where.partition(":")
    return "local" if not colon or "/" in scheme else scheme if scheme == "s3" else "rclone"


def _facts(manifest: Manifest, certificate: Certificate) -> dict[str, object]:
    return {
        "split": certificate.split,
        "cuts": ",".join(map(str, certificate.cuts)),
        "ties": certificate.ties,
        "format": manifest.format,
        "users": manifest.users.count,
        "items": manifest.items.count,
        "train_events": certificate.train.rows,
        "eval_events": certificate.eval.rows,
        "test_events": certificate.test.rows,
    }


def _is_here(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"127.0.0.1", "localhost", "::1"}


def _one_line(error: MlflowException) -> str:
    return " ".join(str(error).split())[:_LAST_WORDS_CHARACTERS]
