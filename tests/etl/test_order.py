"""Buckets sorted as they are packed come out as buckets that are unpacked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.etl.order import Room, _sorted, _sorted_packed, in_order, quantile_bounds
from matinee.etl.spill import Events, Spill, TimeBuckets, pack

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = 20_000


def some_events(rng: np.random.Generator, span_s: int, ratings: int) -> Events:
    return Events(
        rng.integers(0, 900, EVENTS).astype(np.uint32),
        rng.integers(0, 1 << 26, EVENTS).astype(np.uint32),
        rng.integers(0, ratings, EVENTS) / 4,
        -(10**9) + rng.integers(0, span_s, EVENTS),
    )


def filled(rng: np.random.Generator, folder: Path, buckets: int, memory_bytes: int, span_s: int, ratings: int) -> Spill:
    times = TimeBuckets(quantile_bounds(rng.integers(0, span_s, 5_000) - 10**9, buckets))
    spill = Spill(times, folder, memory_bytes)
    for _ in range(5):
        events = some_events(rng, span_s, ratings)
        spill.append(pack(events, times.of(events.time), times.count))
    return spill


@pytest.mark.parametrize("memory_bytes", [0, 400_000, 10**9])
@pytest.mark.parametrize("span_s", [1, 1_000, 3_000_000, 4_000_000_000])  # none, one, two and three digits to sort by
def test_both_ways_give_the_same_order(memory_bytes: int, span_s: int, tmp_path: Path) -> None:
    spill = filled(np.random.default_rng(span_s), tmp_path, 7, memory_bytes, span_s, ratings=10)
    packed = spill.narrow_part(0, spill.buckets)
    assert packed is not None
    found, expected = _sorted_packed(packed), _sorted(spill.part(0, spill.buckets))
    for column in ("user", "item", "rating", "time"):
        assert np.array_equal(getattr(found, column), getattr(expected, column)), column
    spill.close()


def test_what_is_too_varied_is_unpacked_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    varied = filled(rng, tmp_path, 7, 10**9, 1_000, ratings=200)
    assert varied.narrow_part(0, 1) is None  # more than 64 ratings
    long = filled(rng, tmp_path, 1, 10**9, 5_000_000_000, ratings=2)
    assert long.narrow_part(0, 1) is None  # a bucket of more than 2^32 seconds
    batches = list(in_order(varied, Room(10**6, tmp_path, 10**9)))
    times = np.concatenate([batch.events.time for batch in batches])
    assert (np.diff(times) >= 0).all()
    assert times.size + sum(batch.repeats for batch in batches) == 5 * EVENTS
