"""What a rehearsal has done, so that a second one finds it done: one small file for each version and store."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from matinee.train.rehearsal import Trial

__all__ = ["EMBEDDED", "Receipt", "ReplayedArm", "ReplayedSplit", "receipt_path"]

EMBEDDED: Final = "embedded"  # what a receipt calls the store of the data folder itself


@dataclass(frozen=True, slots=True)
class ReplayedArm:
    """What a replay measured of one served model.

    Attributes:
        name: of the arm.
        answered, unanswered: questions.
        metrics: 'hr@10' and so on, of those that were answered; None where none was.
        p50_ms, p99_ms, max_ms: of an answered question, from when it was due; None as above.
        per_s: events, each asked about and told.
    """

    name: str
    answered: int
    unanswered: int
    metrics: dict[str, float | None]
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    per_s: float


@dataclass(frozen=True, slots=True)
class ReplayedSplit:
    """A replay of the split `test`, as its report tells it.

    Attributes:
        id: of the replay.
        folder: with its report.
        arms: one for each model that was served.
    """

    id: str
    folder: Path
    arms: tuple[ReplayedArm, ...]

    @classmethod
    def of(cls, id_: str, folder: Path, facts: dict[str, Any]) -> Self:
        """From the content of `report.json`."""
        arms = []
        for name, arm in facts["arms"].items():
            asked = arm["latency_ms"]["ask"]
            arms.append(
                ReplayedArm(
                    name=name,
                    answered=arm["answered"],
                    unanswered=arm["asked"] - arm["answered"],
                    metrics=arm["metrics"],
                    p50_ms=asked["p50"],
                    p99_ms=asked["p99"],
                    max_ms=asked["max"],
                    per_s=arm["per_s"],
                )
            )
        return cls(id_, folder, tuple(arms))

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """As `as_json` gave it."""
        arms = tuple(ReplayedArm(**arm) for arm in plain["arms"])
        return cls(**plain | {"folder": Path(plain["folder"]), "arms": arms})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"folder": str(self.folder)}

    @property
    def is_there(self) -> bool:
        """Whether its report still lies where it was made."""
        return (self.folder / "report.json").is_file()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that a version was published to a store, every byte of it compared there; who knows it, what it taught.

    Attributes:
        store, version, location, manifest_sha256, verified: what was published and compared, where and when.
        registered: whether Postgres and MLflow know it.
        trained: which models were trained on it, as a fingerprint of their settings; empty for none.
        models: these models as `Trial` writes them.
        replay: the replay of these models as `ReplayedSplit` writes it; None where there was none.
    """

    store: str
    version: str
    location: str
    manifest_sha256: str
    verified: str
    registered: bool = False
    trained: str = ""
    models: tuple[dict[str, Any], ...] = ()
    replay: dict[str, Any] | None = None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trained models."""
        from matinee.train.rehearsal import Trial  # noqa: PLC0415 - a rehearsal without training needs none of it

        return tuple(Trial.from_json(plain) for plain in self.models)

    @property
    def are_trained(self) -> bool:
        """Whether the models that are to be trained are, and still lie where they were made."""
        from matinee.train.rehearsal import fingerprint  # noqa: PLC0415 - as above

        return self.trained == fingerprint() and all(trial.is_there for trial in self.trials)

    @property
    def replayed(self) -> ReplayedSplit | None:
        """The replay, where its report is still there."""
        try:
            split = ReplayedSplit.from_json(self.replay) if self.replay else None
        except (KeyError, TypeError):
            return None  # another Matinee has written it; the replay itself is found again
        return split if split is not None and split.is_there else None

    def with_models(self, fingerprint: str, trials: tuple[Trial, ...]) -> Self:
        """After a training; a replay of other models is none of these."""
        models = tuple(trial.as_json() for trial in trials)
        kept = self.replay if self.trained == fingerprint else None
        return replace(self, trained=fingerprint, models=models, replay=kept)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The receipt, or None where there is none that can be read: then the work is done again, and does no harm."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Appears complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
        beside.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        beside.replace(path)


def receipt_path(data_dir: Path, version: str, store: str | None, endpoint: str | None) -> Path:
    """Where the receipt of a version in a store is kept."""
    address = json.dumps([store or EMBEDDED, endpoint if store else None])
    return data_dir / "receipts" / f"{version}-{hashlib.sha256(address.encode()).hexdigest()[:12]}.json"
