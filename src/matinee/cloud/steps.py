"""A plan: what would be made, changed, kept or removed, in the order in which it would happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Action", "Plan", "Step"]

Action = Literal["create", "attach", "change", "start", "wait", "keep", "delete"]


@dataclass(frozen=True, slots=True)
class Step:
    """One resource and what happens to it.

    Attributes:
        action: 'keep' is the only one that changes nothing.
        kind: 'server', 'volume', ...
        name: as the cloud shows it.
        detail: what a person wants to know before saying yes.
    """

    action: Action
    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps.

    Attributes:
        cloud: the entry of `clouds.yaml` for server, volume and network.
        object_cloud: that for the object container.
        steps: in order.
    """

    cloud: str
    object_cloud: str
    steps: tuple[Step, ...]

    @property
    def changes(self) -> int:
        """How many steps do something."""
        return sum(step.action != "keep" for step in self.steps)
