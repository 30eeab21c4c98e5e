"""Who looks on while a replay runs: told of each record at the moment at which it is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matinee.replay.journal import Asked, Told

__all__ = ["Observer"]


class Observer(Protocol):
    """Called between two requests: what takes long here is missing there."""

    def asked(self, arm: str, entry: Asked) -> None:
        """A question has ended, with an answer or without."""

    def told(self, arm: str, entry: Told) -> None:
        """An event was acknowledged."""
