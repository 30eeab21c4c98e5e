"""`matinee data`: the logs that are known by name."""

from __future__ import annotations

from matinee.etl.catalogue import CATALOGUE, Dataset

__all__ = ["list"]


def list() -> tuple[Dataset, ...]:  # noqa: A001 - `matinee data list` is `matinee.data.list()`
    """All data sets of the catalogue, in its order."""
    return tuple(CATALOGUE.values())
