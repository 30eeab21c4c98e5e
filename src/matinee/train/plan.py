"""What is to be trained and how: everything that was said, checked, and the name that follows from it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from matinee.errors import ModelError, UsageError
from matinee.model.options import divide, settings_from, settings_of
from matinee.model.ranges import among
from matinee.model.recommender import Prior
from matinee.model.table import MODELS, ModelEntry, find_model
from matinee.train.train_settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matinee.train.parent import Parent

__all__ = ["Plan", "pairs"]

_PRIOR: Final = re.compile(r"(?P<weight>\d+(\.\d*)?|\.\d+)(:(?P<days>\d+(\.\d*)?|\.\d+))?")
_DAY_S: Final = 86_400
_METRICS: Final = ("hr@10", "ndcg@10", "mrr@10")  # what a validation gives
# These change how a training is carried out, and not what comes of it.
_OUTWARD: Final = ("device", "save_every_s")


@dataclass(frozen=True, slots=True)
class Plan:
    """One training, before it has begun.

    Attributes:
        entry: which model.
        settings: the model's own.
        training: how it is trained; the defaults for a model that is counted in one go.
        prior: as it was asked for: 'auto', 'off', or weight and days.
        parent: the trained model that it starts from; None starts from nothing.
    """

    entry: ModelEntry
    settings: Any
    training: TrainSettings
    prior: str
    parent: Parent | None = None

    @classmethod
    def of(cls, model: str, said: Mapping[str, object], prior: str, parent: Parent | None = None) -> Self:
        """The plan that follows from settings as people say them, the model's and the training's together.

        Raises:
            UsageError: there is no such model or setting, or a value is not what it should be.
            ModelError: the model needs a package that is not installed.
        """
        entry = find_model(model)
        if entry.neural and importlib.util.find_spec("torch") is None:
            counted = ", ".join(name for name, each in MODELS.items() if not each.neural)
            raise ModelError(
                f"model {model}: PyTorch is not installed; pip install 'matinee[train]', or train one of {counted}"
            )
        _fixed_prior(prior)
        if not entry.neural and parent is not None:
            raise UsageError(
                f"model {model} is counted anew from all of a version in one go, so it starts from no other; leave "
                "--start-from out"
            )
        if not entry.neural:
            return cls(entry, settings_from(entry, said), TrainSettings(), prior)
        own, training = divide(said, [entry.load()[1], TrainSettings], f"model {model}")
        settings = settings_from(entry, own) if parent is None else parent.settings(entry, own)
        plan = cls(entry, settings, settings_of(TrainSettings, training, "training"), prior, parent)
        among("metric", plan.training.metric, _METRICS)  # now, not after the first epoch
        return plan

    @property
    def fixed_prior(self) -> Prior | None:
        """The prior that was asked for; None where it is chosen on validation."""
        return _fixed_prior(self.prior)

    @property
    def words(self) -> dict[str, Any]:
        """All that decides what comes of the training, as JSON gives it back."""
        plain: dict[str, Any] = {"model": self.entry.name, "settings": asdict(self.settings), "prior": self.prior}
        if self.entry.neural:
            plain["training"] = {name: v for name, v in asdict(self.training).items() if name not in _OUTWARD}
        if self.parent is not None:
            plain["start_from"] = self.parent.sha256
        words: dict[str, Any] = json.loads(json.dumps(plain))
        return words

    @property
    def name(self) -> str:
        """Of the model's folder: the model, and 8 digits of a hash over all that decides what comes of it."""
        text = json.dumps(self.words, sort_keys=True)
        return f"{self.entry.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def params(self) -> dict[str, str]:
        """Every setting as text, as MLflow shows them."""
        plain = self.words
        flat = {"model": plain["model"], "prior": plain["prior"], **plain["settings"], **plain.get("training", {})}
        flat |= {"start_from": plain["start_from"]} if self.parent else {}
        return {name: str(value) for name, value in flat.items()}


def pairs(said: Sequence[str]) -> dict[str, object]:
    """'dropout=0.5' and so on, as they are typed, by name.

    Raises:
        UsageError: one has no name or no value.
    """
    found: dict[str, object] = {}
    for each in said:
        name, mark, value = each.partition("=")
        if not (name and mark):
            raise UsageError(f"--set {each}: expected NAME=VALUE, as in --set dropout=0.5")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def _fixed_prior(text: str) -> Prior | None:
    if text == "auto":
        return None
    if text == "off":
        return Prior()
    found = _PRIOR.fullmatch(text)
    if found is None:
        raise UsageError(f"prior {text!r}: expected auto, off, WEIGHT or WEIGHT:DAYS, as in 0.5:7")
    return Prior(float(found["weight"]), round(float(found["days"]) * _DAY_S) if found["days"] else None)
