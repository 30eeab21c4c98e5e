"""What MLflow is told of data versions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.schema.certificate import Certificate
from matinee.schema.layout import CERTIFICATE, CERTIFICATE_PAGE, MANIFEST
from matinee.schema.manifest import Manifest
from matinee.train.mlflow_client import Param, RunTag, connected, dataset_input, experiment_for, page

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.mlflow_client import MlflowClient, Run

__all__ = ["Tracked", "log_version"]

_VERSION_TAG: Final = "matinee.version"


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
    with connected(tracking_uri) as client:
        experiment = experiment_for(client, manifest.name)
        run = _find(client, experiment, manifest.id)
        unchanged = run is not None and run.info.status == "FINISHED"
        if run is None:
            tags = {_VERSION_TAG: manifest.id, "matinee.source_sha256": manifest.source.sha256}
            run = client.create_run(experiment, run_name=manifest.id, tags=tags)
        if not unchanged:
            _log(client, run.info.run_id, folder, manifest, certificate, location)
    return Tracked(run.info.run_id, experiment, page(tracking_uri, experiment, run.info.run_id), unchanged)


def _find(client: MlflowClient, experiment: str, version: str) -> Run | None:
    found = client.search_runs([experiment], f"tags.`{_VERSION_TAG}` = '{version}'", max_results=1)
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
    where = location or str(folder.absolute())
    client.log_inputs(run, [dataset_input(manifest, certificate, manifest_sha256, where, "version")])
    client.log_batch(
        run,
        params=[Param(name, str(value)) for name, value in _facts(manifest, certificate).items() if value != ""],
        tags=[RunTag("matinee.manifest_sha256", manifest_sha256)],
    )
    for name in (CERTIFICATE, CERTIFICATE_PAGE):
        client.log_artifact(run, str(folder / name))
    client.set_terminated(run)  # last: a run that is finished has all of it


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
