"""What goes in and out of this machine's network interfaces, and how busy it is, read once an interval by psutil."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from matinee.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Flow", "Interface", "Meter", "Reading", "monitor"]


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of one interface.

    Attributes:
        now_per_s: bytes per second since the reading before.
        average_per_s: since watching began.
        least_per_s, most_per_s: of all intervals between two readings so far.
        watched_bytes: since watching began.
        total_bytes: as the kernel has counted, since the interface is there.
    """

    now_per_s: float
    average_per_s: float
    least_per_s: float
    most_per_s: float
    watched_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Interface:
    """What came in and went out of one interface."""

    name: str
    received: Flow
    sent: Flow


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine at one moment.

    Attributes:
        at: the moment, UTC.
        watched_s: since watching began.
        interfaces: those that are up or have carried anything, by name.
        cpu_percent: of all cores together, since the reading before.
        memory_used_bytes, memory_bytes: what programs hold, and what there is.
    """

    at: datetime
    watched_s: float
    interfaces: tuple[Interface, ...]
    cpu_percent: float
    memory_used_bytes: int
    memory_bytes: int


def monitor(
    *interfaces: str, every_s: float = 1.0, seconds: float | None = None, once: bool = False
) -> Iterator[Reading]:
    """Watch the network, the processors and the memory of this machine: a reading at the end of each interval.

    Args:
        interfaces: names; none is all that are up or have carried anything.
        every_s: length of an interval.
        seconds: when to stop; None goes on for ever.
        once: stop after the first reading.

    Raises:
        UsageError: no such interface, or values that cannot be.
        ServiceError: psutil is not installed.
    """
    for name, value in (("every_s", every_s), ("seconds", seconds)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value:g}, expected a number of seconds above 0")
    # Here and not in the generator, so that what is wrong is said by the call and not by the first reading.
    return _readings(Meter(*interfaces), every_s, every_s if once else seconds)


class Meter:
    """Reads the kernel's counters, and keeps what is needed to tell rates.

    Args:
        interfaces: names; none is all that are up or have carried anything.

    Raises:
        UsageError: no such interface.
        ServiceError: psutil is not installed.
    """

    def __init__(self, *interfaces: str) -> None:
        try:
            import psutil  # noqa: PLC0415 - it comes with the stack; whoever watches nothing does without
        except ImportError:
            raise ServiceError("psutil reads the network's counters and is missing; pip install psutil") from None
        self._psutil: Any = psutil
        self._wanted = frozenset(interfaces)
        self._flows: dict[str, tuple[_Counted, _Counted]] = {}
        self._began_s = self._read_s = time.monotonic()
        psutil.cpu_percent()  # the next call tells of the time since this one
        counters = self._counters()
        if unknown := sorted(self._wanted - counters.keys()):
            raise UsageError(f"no interface {unknown[0]!r}; this machine has {', '.join(sorted(counters))}")
        self._count(counters, 0.0)

    def read(self) -> Reading:
        """The machine now."""
        now_s = time.monotonic()
        self._count(self._counters(), now_s - self._read_s)
        self._read_s = now_s
        watched_s = now_s - self._began_s
        memory = self._psutil.virtual_memory()
        return Reading(
            at=datetime.now(UTC),
            watched_s=watched_s,
            interfaces=tuple(
                Interface(name, received.flow(watched_s), sent.flow(watched_s))
                for name, (received, sent) in sorted(self._flows.items())
                if name in self._wanted or not self._wanted
            ),
            cpu_percent=self._psutil.cpu_percent(),
            memory_used_bytes=memory.total - memory.available,
            memory_bytes=memory.total,
        )

    def _counters(self) -> dict[str, _Bytes]:
        counters = self._psutil.net_io_counters(pernic=True)
        return {name: _Bytes(each.bytes_recv, each.bytes_sent) for name, each in counters.items()}

    def _count(self, counters: Mapping[str, _Bytes], interval_s: float) -> None:
        facts = self._psutil.net_if_stats()
        for gone in self._flows.keys() - counters.keys():
            del self._flows[gone]
        for name, totals in counters.items():
            if name in self._flows:
                for flow, total in zip(self._flows[name], totals, strict=True):
                    flow.grow(total, interval_s)
            elif any(totals) or name in self._wanted or (name in facts and facts[name].isup):
                self._flows[name] = (_Counted(totals.received), _Counted(totals.sent))


class _Bytes(NamedTuple):
    received: int
    sent: int


class _Counted:
    """A counter, and the rates at which it grew."""

    def __init__(self, total_bytes: int) -> None:
        self._first = self._total = total_bytes
        self._rates: tuple[float, float, float] | None = None  # now, least, most

    def grow(self, total_bytes: int, interval_s: float) -> None:
        """It is `total_bytes` now, `interval_s` later."""
        if interval_s > 0:
            rate = (total_bytes - self._total) / interval_s
            _, least, most = self._rates or (rate, rate, rate)
            self._rates = (rate, min(least, rate), max(most, rate))
        self._total = total_bytes

    def flow(self, watched_s: float) -> Flow:
        """What is known of it."""
        now, least, most = self._rates or (0.0, 0.0, 0.0)
        watched = self._total - self._first
        return Flow(now, watched / watched_s if watched_s > 0 else 0.0, least, most, watched, self._total)


def _readings(meter: Meter, every_s: float, seconds: float | None) -> Iterator[Reading]:
    began_s = time.monotonic()
    number = 0
    while seconds is None or number * every_s < seconds:
        number += 1
        # Of the beginning, not of the reading before: else what reading costs would add up.
        due_s = number * every_s if seconds is None else min(number * every_s, seconds)
        time.sleep(max(0.0, began_s + due_s - time.monotonic()))
        yield meter.read()
