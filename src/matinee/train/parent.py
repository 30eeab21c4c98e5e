"""The trained model that a training starts from, and whether it may: the same ids, and nothing seen too early."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from matinee.errors import ModelMismatchError, UsageError
from matinee.model import checkpoint
from matinee.model.options import settings_from
from matinee.model.recommender import Known
from matinee.model.record import record
from matinee.schema.manifest import IdMapEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from matinee.lineage import Artifact
    from matinee.model.checkpoint import CheckpointFacts
    from matinee.model.neural import NeuralRecommender
    from matinee.model.table import ModelEntry
    from matinee.version import Version

__all__ = ["Parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """A checkpoint to start from.

    Attributes:
        folder: where it is.
        facts: what it says of itself.
        sha256: of its `checkpoint.json`, which names all of it.
    """

    folder: Path
    facts: CheckpointFacts
    sha256: str

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """The parent in `folder`.

        Raises:
            ModelNotFoundError, ModelDamagedError: see `checkpoint.load`.
        """
        facts = checkpoint.read_facts(folder)
        content = (Path(folder) / checkpoint.CHECKPOINT).read_bytes()
        return cls(Path(folder), facts, hashlib.sha256(content).hexdigest())

    def artifact(self) -> Artifact:
        """What the lineage knows it by."""
        from matinee.lineage import Artifact  # noqa: PLC0415 - only stages are recorded

        files = (checkpoint.CHECKPOINT, checkpoint.WEIGHTS)
        folder, facts = self.folder.absolute(), self.facts
        return Artifact.of_checkpoint(folder, files, name=facts.model, version=facts.version, source_sha256="")

    def settings(self, entry: ModelEntry, said: Mapping[str, object]) -> Any:
        """Its network's settings, which are the new one's too.

        Args:
            entry: the model that is to be trained.
            said: settings that somebody asked for.

        Raises:
            UsageError: it is another model, or was trained with another setting than one that was said.
        """
        if self.facts.model != entry.name:
            raise UsageError(
                f"--start-from {self.folder}: is {self.facts.model}, expected {entry.name}; pass --model "
                f"{self.facts.model}, or start from another model"
            )
        own = record(entry.load()[1], self.facts.settings, "settings")
        wanted = settings_from(entry, {**self.facts.settings, **said})
        for name in said:
            if getattr(wanted, name) != getattr(own, name):
                raise UsageError(
                    f"{name} = {getattr(wanted, name)}: the model in {self.folder} has {getattr(own, name)}, and its "
                    "network goes on as it is; leave the setting out (--set, matinee.toml, environment), or train "
                    "without --start-from"
                )
        return own

    def check(self, version: Version) -> None:
        """Fail unless `version` goes on where this model's version ended.

        Raises:
            ModelMismatchError: its id maps do not begin with this model's.
            UsageError: this model was trained on events that the version's eval or test has.
        """
        facts, manifest = self.facts, version.manifest
        for what, trained, whole, raw in (
            ("user", facts.users, manifest.users, version.raw_users),
            ("item", facts.items, manifest.items, version.raw_items),
        ):
            if _beginning(raw, whole.kind, trained.count) != trained:
                raise ModelMismatchError(
                    f"{self.folder}: was trained on {facts.dataset} {facts.version} with {trained.count:,} {what} ids "
                    f"(SHA-256 {trained.sha256[:12]}), and the {whole.count:,} of {version.name} {version.id} do not "
                    "begin with them; start from a model of a version that this one goes on from (matinee data "
                    "from-events), or train without --start-from"
                )
        cuts, until = version.certificate.cuts, facts.trained_until
        if cuts and until is not None and until >= cuts[0]:
            raise UsageError(
                f"--start-from {self.folder}: was trained on events up to {until}, and eval of {version.name} "
                f"{version.id} begins at {cuts[0]}, so what is measured would be too good to be true; make the version "
                f"with a first --cut after {until}, or take in more of its base with --past"
            )

    def grown(self, version: Version) -> NeuralRecommender:
        """This model over the ids of `version`, ready to be trained on.

        Raises:
            ModelDamagedError: see `checkpoint.load`.
        """
        from matinee.model.extend import extended  # noqa: PLC0415 - counted models do without PyTorch
        from matinee.model.neural import NeuralRecommender  # noqa: PLC0415 - as above

        model, _ = checkpoint.load(self.folder)
        assert isinstance(model, NeuralRecommender)  # noqa: S101 - a plan starts from no other
        return extended(model, Known(version.known_users, version.known_items))


def _beginning(raw: NDArray[np.generic], kind: str, count: int) -> IdMapEntry:
    """The id map of the first `count` ids alone, hashed as docs/format.md, section 6, has it."""
    first = raw[:count]
    if kind == "integer":
        content = first.astype("<i8").tobytes()
    else:
        content = "".join(f"{text}\n" for text in first.tolist()).encode()
    return IdMapEntry(first.size, kind, hashlib.sha256(f"{kind}\n".encode() + content).hexdigest())
