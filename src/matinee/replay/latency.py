"""How long requests took, as HdrHistograms: whatever the server did, each is counted to three digits, from 1 µs to 1 h.

Counts add up without loss: windows are merged, batches come in any order, and a report's histograms (base64, the V2
encoding that all HdrHistograms share) can be merged with those of other reports and other programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it ships no types

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HOUR_US", "Latencies", "Scale", "decoded"]

HOUR_US: Final = 3_600_000_000
_PERCENTILES: Final = {"p50": 50, "p95": 95, "p99": 99}


class Scale:
    """The counters of an HdrHistogram from 1 µs to 1 h, and which duration each of them stands for.

    Args:
        digits: significant decimal digits that are kept; a percentile is at most 1 in 10^digits too high.
    """

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._shape = HdrHistogram(1, HOUR_US, digits)  # stays empty

    @property
    def size(self) -> int:
        """How many counters."""
        return int(self._shape.counts_len)

    def places(self, durations_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counter of each duration, (n,) -> (n,); as `HdrHistogram.get_counts_array_index`, for many at once."""
        values = np.clip(durations_us, 0, HOUR_US)
        magnitude: int = self._shape.sub_bucket_half_count_magnitude
        half: int = self._shape.sub_bucket_half_count
        # frexp gives the number of bits exactly: an hour of microseconds has 32, a float's mantissa 53.
        bits = np.frexp((values | self._shape.sub_bucket_mask).astype(np.float64))[1].astype(np.int64)
        bucket = bits - (magnitude + 1)
        places: NDArray[np.int64] = ((bucket + 1) << magnitude) + (values >> bucket) - half
        return places

    def counted(self, durations_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many durations each counter has, (n,) -> (size,)."""
        return np.bincount(self.places(durations_us), minlength=self.size)

    def percentile_us(self, counts: NDArray[np.int64], percent: int) -> int:
        """The duration that so many percent do not exceed: the upper end of its counter; 0 where there are none.

        The library rounds the place to the nearest: the 99% of 60 durations are then the fastest 59, which are fewer,
        and a stall that one answer in sixty saw is in no percentile.
        """
        sums = np.cumsum(counts)
        if not sums[-1]:
            return 0
        wanted = max(-(-percent * int(sums[-1]) // 100), 1)
        return self.upper_us(int(np.searchsorted(sums, wanted)))

    def upper_us(self, place: int) -> int:
        """The longest duration that a counter stands for."""
        return int(self._shape.get_highest_equivalent_value(self._shape.get_value_from_index(place)))

    def encoded(self, counts: NDArray[np.int64]) -> str:
        """Base64 of the compressed V2 encoding, which `HdrHistogram.decode` of any language reads."""
        histogram = HdrHistogram(1, HOUR_US, self._digits)
        np.frombuffer(histogram.counts, np.uint64)[:] = counts
        filled = np.flatnonzero(counts)
        if filled.size:
            histogram.set_internal_tacking_values(int(filled[0]), int(filled[-1]), int(counts.sum()))
        return str(histogram.encode(), "ascii")


FULL: Final = Scale(3)


class Latencies:
    """Durations of one kind, added a batch at a time."""

    def __init__(self) -> None:
        self.counts = np.zeros(FULL.size, np.int64)
        self._sum_us = 0
        self._max_us = 0

    def add(self, durations_us: NDArray[np.int64]) -> None:
        """Count them, (n,); what a clock's step has made negative counts as 0, more than an hour as an hour."""
        if not durations_us.size:
            return
        self.counts += FULL.counted(durations_us)
        self._sum_us += int(np.clip(durations_us, 0, None).sum())
        self._max_us = max(self._max_us, int(durations_us.max()))

    def facts(self) -> dict[str, float | None]:
        """p50, p95, p99, max and mean in milliseconds, the last two exact; None without durations."""
        total = int(self.counts.sum())
        if not total:
            return dict.fromkeys((*_PERCENTILES, "max", "mean"))
        percentiles = {name: self.percentile_ms(percent) for name, percent in _PERCENTILES.items()}
        return {**percentiles, "max": self._max_us / 1000, "mean": self._sum_us / total / 1000}

    def percentile_ms(self, percent: int) -> float:
        """In milliseconds, never more than the maximum."""
        return min(FULL.percentile_us(self.counts, percent), self._max_us) / 1000

    def encoded(self) -> str:
        """See `Scale.encoded`."""
        return FULL.encoded(self.counts)


def decoded(text: str) -> NDArray[np.int64]:
    """The counters of a histogram that `Latencies.encoded` has written; (size,).

    Raises:
        ValueError: it is none, or one of another range.
    """
    try:
        histogram = HdrHistogram.decode(text)
    except Exception as error:  # noqa: BLE001 - zlib, struct, base64 and the library have an exception each
        raise ValueError(f"no HdrHistogram: {error}") from None
    if histogram.counts_len != FULL.size or histogram.significant_figures != 3:
        raise ValueError("an HdrHistogram of another range than 1 µs to 1 h at three digits")
    return np.frombuffer(histogram.counts, np.uint64).astype(np.int64)
