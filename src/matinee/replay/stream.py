"""The events of a replay, read from the version once: dense ids to measure with, raw ids to speak to a server with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Stream"]


@dataclass(frozen=True)
class Stream:
    """n events in order of time; the place of an event here is its number towards servers.

    Attributes:
        users, items: (n,) int32 dense ids.
        times_s: (n,) int64 Unix seconds.
        raw_users, raw_items: (n,) as they go over the wire, int or str.
        warm_users, warm_items: (n,) bool, whether training has seen them.
        asked_from: events before this place are told in advance and not asked about (see `Plan.since_s`).
    """

    users: NDArray[np.int32] = field(repr=False)
    items: NDArray[np.int32] = field(repr=False)
    times_s: NDArray[np.int64] = field(repr=False)
    raw_users: list[int | str] = field(repr=False)
    raw_items: list[int | str] = field(repr=False)
    warm_users: NDArray[np.bool_] = field(repr=False)
    warm_items: NDArray[np.bool_] = field(repr=False)
    asked_from: int = 0
