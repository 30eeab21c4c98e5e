"""Whom a replay plays against: an address, or a trained model for which it starts a server of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from matinee.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Against"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True)
class Against:
    """One arm as it was asked for; either `url` or `folder` is given.

    Attributes:
        name: of the arm; also that of its files.
        url: of a server that runs already.
        folder: of a trained model.
        checkpoint_sha256: of its checkpoint.json.
    """

    name: str
    url: str = ""
    folder: Path | None = None
    checkpoint_sha256: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError where the name cannot be one."""
        if _NAME.fullmatch(self.name) is None:
            raise UsageError(f"arm {self.name!r}: a name has up to 32 of a-z, 0-9, '.', '_' and '-'")

    @classmethod
    def model(cls, name: str, folder: Path) -> Self:
        """The model in `folder`, under its own name where `name` is empty.

        Raises:
            ModelNotFoundError, ModelDamagedError: there is none.
        """
        import hashlib  # noqa: PLC0415 - see below

        from matinee.model.checkpoint import CHECKPOINT, read_facts  # noqa: PLC0415 - not all arms are models

        facts = read_facts(folder)
        digest = hashlib.sha256((folder / CHECKPOINT).read_bytes()).hexdigest()
        return cls(name or facts.model, folder=folder.absolute(), checkpoint_sha256=digest)

    @property
    def word(self) -> str:
        """By which the same arm is known again."""
        return f"{self.name}={self.url or self.checkpoint_sha256}"
