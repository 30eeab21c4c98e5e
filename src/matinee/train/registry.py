"""MLflow's registry of models: a name a data set and kind of model, versions, `champion`; and out of it again.

`champion` is the best on the validation split of the version that was trained on last: metrics on two versions cannot
be compared, so the first model on another version takes the alias, and from then on only a better one does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ModelDamagedError, ModelNotFoundError
from matinee.model.pyfunc import PYTHON_MODEL, artifacts, requirements
from matinee.train.find import registry_address
from matinee.train.mlflow_client import MlflowException, connected, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matinee.train.mlflow_client import MlflowClient

__all__ = ["CHAMPION", "CHECKPOINT_PLACE", "PYFUNC_PLACE", "Registered", "fetch", "register", "save_pyfunc"]

CHAMPION: Final = "champion"
CHECKPOINT_PLACE: Final = "checkpoint"  # among a run's artifacts: the model's folder
PYFUNC_PLACE: Final = "model"  # the same for MLflow, which serves it to raw ids
_FILES_TAG: Final = "matinee.files"
_VERSION_TAG: Final = "matinee.trained_on"
_METRIC_TAG: Final = "matinee.metric"
_VALUE_TAG: Final = "matinee.value"


@dataclass(frozen=True, slots=True)
class Registered:
    """One version in the registry.

    Attributes:
        name, number: `models:/NAME/NUMBER`.
        champion: whether it has the alias.
    """

    name: str
    number: int
    champion: bool

    @property
    def address(self) -> str:
        """What a command takes as MODEL."""
        return f"models:/{self.name}/{self.number}"


def register(
    client: MlflowClient,
    run: str,
    name: str,
    *,
    place: str,
    files: Mapping[str, str],
    trained_on: str,
    metric: str,
    value: float,
) -> Registered:
    """Make the model in a run's artifacts a version of `name`, once; it becomes champion where it is the best.

    The caller sees to it that nobody else does so at the same time.

    Args:
        client: of the server.
        run: its id.
        name: of the registered model.
        place: among the run's artifacts, what MLflow takes for the model.
        files: SHA-256 of each file below `CHECKPOINT_PLACE`.
        trained_on: id of the data version.
        metric: what models are compared by, as in 'ndcg@10'.
        value: of that metric on the validation split.
    """
    with contextlib.suppress(MlflowException):  # it is there, or the next request tells what is wrong
        client.create_registered_model(name)
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run}'")
    if found:
        version = found[0]
    else:
        source = f"{client.get_run(run).info.artifact_uri}/{place}"
        tags = {
            _FILES_TAG: json.dumps(files),
            _VERSION_TAG: trained_on,
            _METRIC_TAG: metric,
            _VALUE_TAG: repr(value),
        }
        version = client.create_model_version(name, source, run_id=run, tags=tags, await_creation_for=0)
    holder = _champion(client, name)
    if holder is None or _is_better(version.tags, holder):
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return Registered(name, int(version.version), str(version.version) == _champion_number(client, name))


def save_pyfunc(folder: Path, version_folder: Path, into: Path) -> None:
    """Write the exported model in `folder` as a pyfunc, which takes raw ids, into the new folder `into`."""
    with quiet():
        from mlflow import pyfunc  # noqa: PLC0415 - a second, and only at the end of a training

        pyfunc.save_model(
            str(into),
            python_model=PYTHON_MODEL,
            artifacts=artifacts(folder, version_folder),
            pip_requirements=requirements(),
        )


def fetch(tracking_uri: str, address: str, into: Path) -> Path:
    """Download a registered model's folder below `into`, compare each file's SHA-256; one that is there is taken.

    Args:
        tracking_uri: the server.
        address: 'models:/NAME@ALIAS' or 'models:/NAME/NUMBER'.
        into: a folder; the model becomes `into/NAME/NUMBER`.

    Raises:
        UsageError: `address` is none.
        ModelNotFoundError: the registry has no such model.
        ModelDamagedError: what came is not what was registered.
        TrackingError: the server does not answer, or refuses.
    """
    wanted = registry_address(address)
    with connected(tracking_uri) as client:
        try:
            version = (
                client.get_model_version_by_alias(wanted["name"], wanted["alias"])
                if wanted["alias"]
                else client.get_model_version(wanted["name"], wanted["number"])
            )
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise
            raise ModelNotFoundError(f"{address}: MLflow at {tracking_uri} has no such model") from None
        files = _files(version.tags.get(_FILES_TAG, ""), address)
        folder = into / version.name / str(version.version)
        if not _differing(folder, files):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
            got = Path(client.download_artifacts(version.run_id or "", CHECKPOINT_PLACE, beside))
            wrong = _differing(got, files)
            if wrong:
                raise ModelDamagedError(f"{address}: {wrong}; train again, or name another version")
            if folder.exists():
                shutil.rmtree(folder)
            got.rename(folder)
    return folder


def _champion(client: MlflowClient, name: str) -> dict[str, str] | None:
    """The tags of the version that has the alias."""
    number = _champion_number(client, name)
    return client.get_model_version(name, number).tags if number else None


def _champion_number(client: MlflowClient, name: str) -> str:
    return str(client.get_registered_model(name).aliases.get(CHAMPION, ""))


def _is_better(new: Mapping[str, str], holder: Mapping[str, str]) -> bool:
    comparable = all(new.get(tag) == holder.get(tag) for tag in (_VERSION_TAG, _METRIC_TAG))
    return not comparable or float(new[_VALUE_TAG]) > float(holder[_VALUE_TAG])


def _files(text: str, address: str) -> dict[str, str]:
    """The files that were registered; names that would lead out of the folder are nobody's."""
    try:
        files: dict[str, str] = json.loads(text)
        good = bool(files) and all(Path(name).name == name and len(digest) == 64 for name, digest in files.items())
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        raise ModelDamagedError(f"{address}: was not registered by Matinee, so its files cannot be checked")
    return files


def _differing(folder: Path, files: Mapping[str, str]) -> str:
    """What is wrong with the first file that is; empty where all are as they should be."""
    for name, expected in files.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return f"{name} is missing"
        if found != expected:
            return f"{name} has SHA-256 {found}, expected {expected}"
    return ""
