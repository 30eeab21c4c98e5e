"""MLflow's client, as all that is told to MLflow uses it: one server, errors in one line, no endless waiting.

`track`, `track_training`, `track_replay` and `registry` take it from here, and nobody else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

# MLflow reports to its makers who uses it how, and decides on it once, when it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from requests import RequestException

from matinee.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.schema.certificate import Certificate
    from matinee.schema.manifest import Manifest

__all__ = [
    "HASTY",
    "PATIENT",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Param",
    "Patience",
    "Run",
    "RunTag",
    "connected",
    "dataset_input",
    "experiment_for",
    "page",
    "quiet",
]

_LAST_WORDS_CHARACTERS: Final = 300
_NO_BARS: Final = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_DIGEST_CHARACTERS: Final = 36  # what MLflow keeps of a digest; the whole hash is in the profile
_SCHEMA: Final = {"user": "integer", "item": "integer", "rating": "double", "timestamp": "long"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        retries: of a request that fails; each waits twice as long as the one before.
        answer_s: seconds for the answer to the first question, which is how it is.
        request_s: seconds for the answer to each request.
    """

    retries: int
    answer_s: float
    request_s: float


# About a minute in all: as long as a killed server may take to come back.
PATIENT: Final = Patience(retries=5, answer_s=10, request_s=120)
# What somebody who has better things to do can wait.
HASTY: Final = Patience(retries=0, answer_s=3, request_s=10)


@contextlib.contextmanager
def connected(tracking_uri: str, patience: Patience = PATIENT) -> Iterator[MlflowClient]:
    """A client of the server at `tracking_uri`, for the length of a block.

    It is quiet, and goes to this machine without a detour. MLflow takes these choices from the environment alone; what
    the user has chosen there stays.

    Raises:
        TrackingError: it does not answer, or refuses.
    """
    _check_answers(tracking_uri, patience.answer_s)
    chosen = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(patience.retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{patience.request_s:.0f}",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        **_NO_BARS,
    }
    ours = {name: value for name, value in chosen.items() if name not in os.environ}
    if _is_here(tracking_uri):
        ours["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), urlsplit(tracking_uri).hostname]))
    try:
        with _environment(ours):
            yield MlflowClient(tracking_uri, registry_uri=tracking_uri)
    except (MlflowException, RequestException) as error:
        words = " ".join(str(error).split())[:_LAST_WORDS_CHARACTERS]
        raise TrackingError(f"MLflow at {tracking_uri}: {words}; look at it and run again") from None


@contextlib.contextmanager
def _environment(ours: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def experiment_for(client: MlflowClient, dataset: str) -> str:
    """The id of a data set's experiment, which has its name; made where there is none."""
    found = client.get_experiment_by_name(dataset)
    if found is None:
        try:
            return client.create_experiment(dataset)
        except MlflowException:
            found = client.get_experiment_by_name(dataset)  # somebody else made it in between, or it is refused
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow: experiment {dataset} was deleted; 'mlflow experiments restore -x {found.experiment_id}' brings "
            "it back"
        )
    return str(found.experiment_id)


def dataset_input(
    manifest: Manifest, certificate: Certificate, manifest_sha256: str, where: str, context: str
) -> DatasetInput:
    """A version as MLflow knows data sets: by its hash, with place, columns and counts.

    Args:
        manifest: of the version.
        certificate: of the version.
        manifest_sha256: of the bytes of manifest.json.
        where: the place of the version, without credentials.
        context: what it is to the run, 'version' or 'training'.
    """
    profile = {
        "version": manifest.id,
        "manifest_sha256": manifest_sha256,
        "num_rows": certificate.train.rows + certificate.eval.rows + certificate.test.rows,
        "num_users": manifest.users.count,
        "num_items": manifest.items.count,
        "size_bytes": manifest.size,
    }
    columns = [
        {"name": name, "type": kind, "required": name != "rating"}
        for name, kind in _SCHEMA.items()
        if name != "rating" or name in certificate.reading.columns
    ]
    dataset = Dataset(
        name=manifest.name,
        digest=manifest_sha256[:_DIGEST_CHARACTERS],
        source_type=_source_type(where),
        source=json.dumps({"uri": where}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def page(tracking_uri: str, experiment: str, run: str) -> str:
    """The address of a run for a browser."""
    return f"{tracking_uri.rstrip('/')}/#/experiments/{experiment}/runs/{run}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what MLflow advises people who write models of their own."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), _environment(_NO_BARS):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check_answers(tracking_uri: str, answer_s: float) -> None:
    """Fail at once where nobody is there: the client itself would go on asking for minutes."""
    try:
        with httpx.Client(trust_env=not _is_here(tracking_uri), timeout=answer_s) as client:
            answer = client.get(f"{tracking_uri.rstrip('/')}/health")
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise TrackingError(
            f"MLflow at {tracking_uri}: no answer ({error}); look at 'matinee status', then run again"
        ) from None
    if not answer.is_success:
        raise TrackingError(
            f"MLflow at {tracking_uri}: answers {answer.status_code} when asked how it is; is it MLflow?"
        )


def _source_type(where: str) -> str:
    """As MLflow calls it where it knows the kind of place."""
    scheme, colon, _ = where.partition(":")
    return "local" if not colon or "/" in scheme else scheme if scheme == "s3" else "rclone"


def _is_here(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"127.0.0.1", "localhost", "::1"}
