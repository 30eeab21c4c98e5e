"""`matinee data`: the logs that are known by name, and the version that events told become."""

from __future__ import annotations

from matinee.etl.catalogue import CATALOGUE, Dataset
from matinee.etl.from_events import NextVersion, from_events

__all__ = ["NextVersion", "from_events", "list"]


def list() -> tuple[Dataset, ...]:  # noqa: A001 - `matinee data list` is `matinee.data.list()`
    """All data sets of the catalogue, in its order."""
    return tuple(CATALOGUE.values())
