"""What a stopped training goes on from: weights, moments, random state and counts in one file, whole or not there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from matinee.errors import ModelDamagedError, ModelNotFoundError
from matinee.model.tensors_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Reached", "TrainingState"]

_FACTS = "matinee"


@dataclass(slots=True)
class Reached:
    """How far a training is.

    Attributes:
        epoch, step: the next step to do: `step` of `epoch`, both from 0.
        steps: done in all.
        positions: real positions seen in this epoch.
        sequences: seen in all.
        seconds: spent on steps in all.
        best_epoch: the epoch whose weights are the best so far; -1 for none.
        best: the validation metric of that epoch.
        since: validations without improvement since then.
        ended: why training is over ('epochs', 'patience', 'time'); empty while it is not.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    positions: int = 0
    sequences: int = 0
    seconds: float = 0.0
    best_epoch: int = -1
    best: float = float("-inf")
    since: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """One moment of a training.

    Attributes:
        what: identity of the training: version, model, settings; a state of another one is not gone on from.
        reached: how far it is.
        history: the facts of each epoch done.
        arrays: 'weights.', 'average.', 'optimiser.' and, of each process, 'process.RANK.' by name.
    """

    what: dict[str, Any]
    reached: Reached
    history: list[dict[str, Any]]
    arrays: dict[str, NDArray[Any]]

    def part(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays below one prefix, by the rest of their names."""
        start = prefix + "."
        return {name.removeprefix(start): array for name, array in self.arrays.items() if name.startswith(start)}

    def write(self, path: Path) -> None:
        """Replace the state in `path`; a kill leaves the old one or the new one.

        Raises:
            DiskFullError: no space left; the old one is there still.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"what": self.what, "reached": asdict(self.reached), "history": self.history}
        write_tensors(path, self.arrays, {_FACTS: json.dumps(facts)})

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The state in `path`; None where there is none.

        Raises:
            ModelDamagedError: there is one that cannot be read.
        """
        try:
            arrays, texts = read_tensors(path)
        except ModelNotFoundError:
            return None
        except ModelDamagedError as error:
            raise ModelDamagedError(f"{error}; delete it to train from the start") from None
        try:
            facts = json.loads(texts[_FACTS])
            known = {field.name for field in fields(Reached)}
            reached = Reached(**{name: value for name, value in facts["reached"].items() if name in known})
            return cls(facts["what"], reached, facts["history"], arrays)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ModelDamagedError(
                f"{path}: not the state of a training ({error!r}); delete it to train from the start"
            ) from None
