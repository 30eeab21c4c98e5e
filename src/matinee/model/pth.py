"""`.pth` files: a network's state dict as PyTorch keeps it, and beside it in JSON what else the model is made of.

Reading one takes tensors and nothing else from it (`weights_only`), so a hostile file executes nothing.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import warnings
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from matinee.errors import ModelDamagedError, ModelNotFoundError, UsageError
from matinee.model.atomic import write_atomically
from matinee.model.checkpoint import CheckpointFacts  # noqa: TC001 - `record` reads the annotations when it runs
from matinee.model.known_bits import pack, unpack
from matinee.model.neural import NeuralRecommender
from matinee.model.recommender import Known
from matinee.model.record import parse_json, record
from matinee.model.table import find_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.model.recommender import Recommender

__all__ = ["read_pth", "sidecar", "write_pth"]

_MAX_BYTES = 1 << 28  # of the JSON


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the JSON file says.

    Attributes:
        sha256: of the `.pth` as it was written; another one has been trained further by somebody else.
        facts: of the checkpoint.
        known_users, known_items: see `matinee.model.known_bits`.
    """

    sha256: str
    facts: CheckpointFacts
    known_users: str
    known_items: str


def sidecar(path: Path) -> Path:
    """Where the JSON beside `weights.pth` lies: `weights.pth.json`."""
    return path.with_name(f"{path.name}.json")


def write_pth(model: Recommender, facts: CheckpointFacts, path: Path) -> None:
    """Write the network's state dict to `path` and all else to its sidecar.

    Raises:
        UsageError: the model is no network.
        DiskFullError: no space left.
    """
    if not isinstance(model, NeuralRecommender):
        raise UsageError(f"{model.name} is counted, not a network, and has no state dict; use the checkpoint")
    content = io.BytesIO()  # PyTorch's own writer does not say that a disk is full
    torch.save({name: tensor.cpu() for name, tensor in model.network.state_dict().items()}, content)
    write_atomically(path, content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    told = _Beside(digest, facts, pack(model.known.users), pack(model.known.items))
    text = json.dumps(asdict(told), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(sidecar(path), f"{text}\n".encode())


def read_pth(path: Path) -> tuple[NeuralRecommender, CheckpointFacts]:
    """The model of a state dict and its sidecar, and its facts; without metrics where the weights are others by now.

    Raises:
        ModelNotFoundError: one of the two files is missing.
        ModelDamagedError: one of them is not what it should be.
    """
    told = _read_sidecar(path)
    content = _read(path)
    try:
        entry = find_model(told.facts.model)
        kind, settings_kind = entry.load()
        if not issubclass(kind, NeuralRecommender):
            raise ModelDamagedError(f"{sidecar(path)}: {entry.name} is no network, so there is no state dict of it")
        settings = record(settings_kind, told.facts.settings, "settings")
        known = Known(unpack(told.known_users), unpack(told.known_items))
        model = kind.from_arrays(settings, known, _arrays(content))
    except (UsageError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        first = str(error).partition("\n")[0]
        raise ModelDamagedError(f"{path}: not the weights that {sidecar(path).name} describes ({first})") from None
    model.prior = told.facts.prior
    same = hashlib.sha256(content).hexdigest() == told.sha256
    return model, told.facts if same else replace(told.facts, metrics={})


def _read_sidecar(path: Path) -> _Beside:
    where = sidecar(path)
    text = _read(where)
    try:
        if len(text) > _MAX_BYTES:
            raise ValueError(f"{len(text):,} bytes")  # noqa: TRY301 - one message for all that is wrong
        return record(_Beside, parse_json(text))
    except ValueError as error:
        raise ModelDamagedError(f"{where}: not what 'matinee export --format pth' wrote ({error})") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise ModelNotFoundError(
                f"{path}: there is no such file; 'matinee export MODEL --format pth' writes weights and a .json beside"
            ) from None
        raise ModelDamagedError(f"{path}: cannot be read ({error.strerror})") from None


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict, as float32.

    Raises:
        ValueError: it holds anything else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old kinds of files; what matters is what comes out
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a damaged pickle can end in nearly any of them
        first = str(error).partition("\n")[0]
        raise ValueError(f"{type(error).__name__}: {first}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} instead of a state dict")  # noqa: TRY004 - see Raises
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in found.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or not tensor.is_floating_point():
            raise ValueError(f"{name!r} is no tensor of floats")
        arrays[str(name)] = tensor.detach().float().numpy()
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has numbers that are not finite")
    return arrays
