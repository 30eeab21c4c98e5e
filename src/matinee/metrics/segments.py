"""Who was asked about: metrics of all events and of each part of them, warm and cold apart, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matinee.metrics.significance import interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Segment", "means", "plain", "segments"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Some of the events.

    Attributes:
        events, users: how many.
        metrics: by name, NaN where there are no events.
        intervals: low and high end of each metric's 95% confidence interval.
    """

    events: int
    users: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def segments(
    values: Mapping[str, NDArray[np.float64]],
    users: NDArray[np.int32],
    warm_users: NDArray[np.bool_],
    warm_items: NDArray[np.bool_],
) -> dict[str, Segment]:
    """All events, and those by warm and cold users, on warm and cold items, and each pair of the two.

    Args:
        values: each metric's value for each event, by name; (n,) each.
        users: (n,) who each event is of.
        warm_users: (n,) whether training has seen the event's user.
        warm_items: (n,) whether training has seen its item.
    """
    who = {"warm users": warm_users, "cold users": ~warm_users}
    what = {"warm items": warm_items, "cold items": ~warm_items}
    pairs = {f"{name}, {other}": one & two for name, one in who.items() for other, two in what.items()}
    everything = {"all": np.ones(users.size, np.bool_), **who, **what, **pairs}
    return {name: _segment(values, users, chosen) for name, chosen in everything.items()}


def means(values: Mapping[str, NDArray[np.float64]], chosen: NDArray[np.bool_]) -> dict[str, float]:
    """The metrics of the chosen events; NaN where none is."""
    return {name: float(value[chosen].mean()) if chosen.any() else np.nan for name, value in values.items()}


def plain(value: Any) -> Any:
    """For JSON, which has no NaN and no tuples."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _segment(values: Mapping[str, NDArray[np.float64]], users: NDArray[np.int32], chosen: NDArray[np.bool_]) -> Segment:
    columns = np.stack([value[chosen] for value in values.values()], axis=1)
    ends = zip(*interval(columns, users[chosen]), strict=True)
    return Segment(
        events=int(chosen.sum()),
        users=np.unique(users[chosen]).size,
        metrics=means(values, chosen),
        intervals={name: (float(low), float(high)) for name, (low, high) in zip(values, ends, strict=True)},
    )
