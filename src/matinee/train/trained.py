"""What came of a training, and the file in the model's folder that says it is done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from matinee.model.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TRAINED", "Trained"]

TRAINED: Final = "trained.json"
_CHECKPOINT: Final = "checkpoint.json"
_WEIGHTS: Final = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model.

    Attributes:
        model, name: what kind it is, and the name of its folder.
        dataset, version: what it was trained on.
        folder: where it is.
        metrics: on the validation events, with its prior: 'ndcg@10' and so on.
        prior_weight, prior_window_s: its recency prior; a window of None counts for ever.
        epochs: how many were trained; 0 for a model that is counted in one go.
        ended: why it ended: 'epochs', 'patience', 'time', or 'counted'.
        wall_s: seconds that it took, of the last call where it was interrupted.
        files: the model's files, by name with their SHA-256; 'checkpoint.json' is the first.
        words: the settings that it follows from.
        page: of its run in MLflow; empty where MLflow has not got all of it.
        registered: its address in the registry, as in 'models:/ml-100k-sse-pt/3'; empty as `page`.
        champion: whether it has the alias `champion` there, or had it when that was asked last.
        fresh: False where it was there already.
    """

    model: str
    name: str
    dataset: str
    version: str
    folder: Path
    metrics: dict[str, float]
    prior_weight: float
    prior_window_s: int | None
    epochs: int
    ended: str
    wall_s: float
    files: dict[str, str]
    words: dict[str, Any] = field(repr=False)
    page: str = ""
    registered: str = ""
    champion: bool = False
    fresh: bool = True

    @property
    def prior(self) -> str:
        """The prior for people: 'off', '0.5', or '0.5 over 7 days'."""
        if not self.prior_weight:
            return "off"
        days = "" if self.prior_window_s is None else f" over {self.prior_window_s / 86_400:g} days"
        return f"{self.prior_weight:g}{days}"

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What `folder` says of its model; None where it has none, or one that is not whole any more."""
        try:
            plain = json.loads((folder / TRAINED).read_text(encoding="utf-8"))
            found = cls(**plain | {"folder": folder, "fresh": False})
            # The others are made from these two: an export that was made again is no reason to train again.
            whole = all(_sha256(folder / name) == found.files[name] for name in (_CHECKPOINT, _WEIGHTS))
            whole = whole and all((folder / name).is_file() for name in found.files)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found if whole else None

    def write(self) -> None:
        """Say so in the model's folder; the file appears whole or not at all."""
        plain = asdict(self)
        del plain["folder"], plain["fresh"]
        write_atomically(self.folder / TRAINED, (json.dumps(plain, indent=2) + "\n").encode())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
