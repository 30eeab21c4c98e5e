"""A trained model on disk: `model.safetensors` with all that was learnt, `checkpoint.json` with where it came from.

Both are plain data: reading them executes nothing, whoever wrote them. `checkpoint.json` names the other file by its
SHA-256 and is written last, so the two are never mixed up: killed at any moment, the checkpoint is the old or the new.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from matinee.errors import ModelDamagedError, ModelError, ModelMismatchError, ModelNotFoundError, UsageError
from matinee.model.atomic import write_atomically
from matinee.model.recommender import Known, Prior
from matinee.model.record import parse_json, record
from matinee.model.table import find_model
from matinee.model.tensors_file import read_tensors, write_tensors
from matinee.schema.manifest import IdMapEntry  # noqa: TC001 - `record` reads the annotations when it runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.recommender import Recommender

__all__ = ["CHECKPOINT", "FORMAT", "ONNX", "WEIGHTS", "CheckpointFacts", "check_matches", "load", "read_facts", "save"]

FORMAT = 1
CHECKPOINT = "checkpoint.json"
WEIGHTS = "model.safetensors"
ONNX = "model.onnx"  # the exported model, where there is one

# The weights before the present ones, there for the moment between the two renames of `save`.
_BEFORE = f".{WEIGHTS}.before"
_MAX_FACTS_BYTES = 1 << 20
_KNOWN = "known."  # the two arrays of `Known` lie beside the model's own


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What is known of a trained model, besides its arrays.

    Attributes:
        model, settings, prior: the model's name, its settings as plain values, and its recency prior.
        dataset, version, manifest_sha256: the version it was trained on.
        users, items: that version's id maps; the model's dense ids mean these raw ids.
        seed: of the training.
        epoch, step: how far it had come; 0 for a model that is counted in one go.
        metrics: what was measured on eval, as 'ndcg@10' -> 0.093; finite.
        code: the package's version, and 8 digits of a hash over the source of the rooms model and train.
        created: when, ISO 8601 in UTC.
        trained_until: the last timestamp that training has seen, that of its parents included; None where nobody knows.
        parent: SHA-256 of the checkpoint.json that training started from; empty where it started from nothing.
        format: the number of this layout.
        weights_sha256: of model.safetensors; `save` fills it in.
    """

    model: str
    settings: dict[str, Any]
    prior: Prior
    dataset: str
    version: str
    manifest_sha256: str
    users: IdMapEntry
    items: IdMapEntry
    seed: int
    epoch: int
    step: int
    metrics: dict[str, float]
    code: str
    created: str
    trained_until: int | None = None
    parent: str = ""
    format: int = FORMAT
    weights_sha256: str = ""

    @classmethod
    def of(
        cls,
        model: Recommender,
        *,
        dataset: str,
        version: str,
        manifest_sha256: str,
        users: IdMapEntry,
        items: IdMapEntry,
        seed: int = 0,
        epoch: int = 0,
        step: int = 0,
        metrics: Mapping[str, float] | None = None,
        trained_until: int | None = None,
        parent: str = "",
    ) -> Self:
        """The facts of `model` as this code trained it just now; metrics that are not finite are left out."""
        return cls(
            model=model.name,
            settings=asdict(model.settings),
            prior=model.prior,
            dataset=dataset,
            version=version,
            manifest_sha256=manifest_sha256,
            users=users,
            items=items,
            seed=seed,
            epoch=epoch,
            step=step,
            metrics={name: float(value) for name, value in (metrics or {}).items() if math.isfinite(value)},
            code=_code(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            trained_until=trained_until,
            parent=parent,
        )

    def to_json(self) -> str:
        """Readable JSON, the same bytes for the same facts."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Read facts back; `where` names them in errors.

        Raises:
            ModelDamagedError: these are no facts, or of a layout that this Matinee does not know.
        """
        try:
            plain = parse_json(text)
            found = plain.get("format") if isinstance(plain, dict) else None
            if type(found) is int and found != FORMAT:
                raise ModelDamagedError(f"{where}: format {found}, expected {FORMAT}; use the Matinee that wrote it")
            return record(cls, plain)
        except ValueError as error:
            raise ModelDamagedError(f"{where}: not the facts of a checkpoint ({error}); train again") from None


def save(folder: str | Path, model: Recommender, facts: CheckpointFacts) -> CheckpointFacts:
    """Write the checkpoint of `model` into `folder`, over one that is there; whoever reads finds the one or the other.

    Settings and prior are those that `model` has now, whatever `facts` says of them.

    Returns:
        The facts as they were written.

    Raises:
        ModelDamagedError: an array has a number that is not finite, so it could not be loaded.
        DiskFullError: no space left; a checkpoint that was there is there still.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = dict(model.arrays())
    arrays |= {f"{_KNOWN}users": model.known.users, f"{_KNOWN}items": model.known.items}
    _check_finite(arrays, f"{folder}: {model.name} cannot be saved", "lower the learning rate and train again")
    weights = folder / WEIGHTS
    _keep(folder)
    write_tensors(weights, arrays, {"model": model.name})
    facts = replace(
        facts,
        model=model.name,
        settings=asdict(model.settings),
        prior=model.prior,
        weights_sha256=_sha256(weights),
    )
    write_atomically(folder / CHECKPOINT, facts.to_json().encode())
    (folder / _BEFORE).unlink(missing_ok=True)
    return facts


def load(folder: str | Path) -> tuple[Recommender, CheckpointFacts]:
    """The model in `folder`, ready to be asked, and its facts.

    Raises:
        ModelNotFoundError: there is no complete checkpoint.
        ModelDamagedError: a file is not what it should be.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    weights = _weights(folder, facts)
    arrays, _ = read_tensors(weights)
    _check_finite(arrays, str(weights), "train again")
    try:
        kind, settings_kind = find_model(facts.model).load()
        known = Known(
            _known(arrays.pop(f"{_KNOWN}users"), facts.users), _known(arrays.pop(f"{_KNOWN}items"), facts.items)
        )
        model = kind.from_arrays(record(settings_kind, facts.settings, "settings"), known, arrays)
    except UsageError as error:  # an unknown model, or settings that exclude each other
        raise ModelDamagedError(f"{folder / CHECKPOINT}: {error}") from None
    except (KeyError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError, IndexError) as error:
        first = str(error).partition("\n")[0]
        raise ModelDamagedError(f"{weights}: not the arrays of {facts.model} ({first}); train again") from None
    model.prior = facts.prior
    return model, facts


def read_facts(folder: str | Path) -> CheckpointFacts:
    """The facts of the checkpoint in `folder`, without its arrays.

    Raises:
        ModelNotFoundError, ModelDamagedError: see `load`.
    """
    path = Path(folder) / CHECKPOINT
    try:
        size = path.stat().st_size
        if size > _MAX_FACTS_BYTES:
            raise ModelDamagedError(f"{path}: {size:,} bytes, expected at most {_MAX_FACTS_BYTES:,}; train again")
        text = path.read_bytes()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise ModelNotFoundError(f"{folder}: no {CHECKPOINT}, so no trained model; train one") from None
        raise ModelDamagedError(f"{path}: cannot be read ({error.strerror})") from None
    return CheckpointFacts.from_json(text, str(path))


def check_matches(facts: CheckpointFacts, users: IdMapEntry, items: IdMapEntry) -> None:
    """Fail unless a version with these id maps means the same people and things by its dense ids as the model does.

    An id map grows only at its end, yet a longer one is refused as well: its hash says nothing about the shorter one
    inside it, and a wrong guess would show other people's films without any sign of it.

    Raises:
        ModelMismatchError: they are other id maps.
    """
    for what, trained, found in (("user", facts.users, users), ("item", facts.items, items)):
        if trained != found:
            raise ModelMismatchError(
                f"{facts.model} was trained on {facts.dataset} {facts.version} with {trained.count:,} {what} ids "
                f"(SHA-256 {trained.sha256[:12]}), found {found.count:,} ({found.sha256[:12]}); use the version it was "
                "trained on, or train on this one"
            )


def _keep(folder: Path) -> None:
    """Give the weights that the facts name a second name, so that they outlive the first until there are new facts."""
    try:
        named = _weights(folder, read_facts(folder))
    except ModelError:
        return  # nothing there that could be loaded
    if named.name == WEIGHTS:
        (folder / _BEFORE).unlink(missing_ok=True)
        os.link(named, folder / _BEFORE)


def _weights(folder: Path, facts: CheckpointFacts) -> Path:
    """The file of arrays that `facts` names."""
    found = ""
    for path in (folder / WEIGHTS, folder / _BEFORE):
        try:
            digest = _sha256(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ModelDamagedError(f"{path}: cannot be read ({error.strerror})") from None
        if digest == facts.weights_sha256:
            return path
        found = found or digest
    if not found:
        raise ModelNotFoundError(f"{folder}: no {WEIGHTS}, so no complete model; train again")
    raise ModelDamagedError(
        f"{folder / WEIGHTS}: SHA-256 {found[:12]}, expected {facts.weights_sha256[:12]} as {CHECKPOINT} says; train "
        "again"
    )


def _known(array: NDArray[Any], ids: IdMapEntry) -> NDArray[np.bool_]:
    if array.dtype != np.bool_ or array.shape != (ids.count + 1,) or array[0]:
        raise ValueError(f"known ids are {array.dtype} {array.shape}, expected bool ({ids.count + 1},), 0 unknown")
    return array


def _check_finite(arrays: Mapping[str, NDArray[Any]], where: str, advice: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelDamagedError(f"{where}: {name} has numbers that are not finite; {advice}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _code() -> str:
    """'0.1.0+3f2a9c01': two states of the source that call themselves the same version are told apart."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for room in ("model", "train") for path in (root / room).glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{installed_version('matinee')}+{digest.hexdigest()[:8]}"
