"""When events are due, the clock that tells what time it is, and the timer that does not round to milliseconds."""

from __future__ import annotations

import ctypes
import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.replay.plan import Arrivals

__all__ = ["Clock", "Timer", "due_us"]

_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_NS_PER_S: Final = 10**9


def due_us(times_s: NDArray[np.int64], arrivals: Arrivals) -> NDArray[np.int64]:
    """When each event is due, in microseconds after the first; not falling.

    Args:
        times_s: (n,) Unix seconds of the events, not falling.
        arrivals: open loop; events of the same second are due at the same moment where the log's times count.
    """
    if arrivals.rate is not None:
        return _whole(np.arange(times_s.size) * (1e6 / arrivals.rate))
    gaps_s = np.diff(times_s, prepend=times_s[:1]) / (arrivals.speed or 1.0)
    if arrivals.max_gap_s is not None:
        gaps_s = np.minimum(gaps_s, arrivals.max_gap_s)
    return _whole(np.cumsum(gaps_s) * 1e6)


class Clock:
    """Unix microseconds that never go back and never jump, whatever is done to the clock of the machine."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_us(self) -> int:
        """What time it is."""
        return (time.monotonic_ns() + self._offset_ns) // 1000

    def monotonic_ns(self, us: int) -> int:
        """The same moment on the kernel's monotonic clock."""
        return us * 1000 - self._offset_ns


class Timer:
    """A file that becomes readable at a moment, to far less than a millisecond.

    An event loop's own timers round to whole milliseconds; a client that used them would report its rounding as the
    server's latency. Python has this call from 3.13 on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.handle: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.handle < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, us: int) -> None:
        """Ring at this moment of the clock, at once where it has passed; the ring before is forgotten."""
        seconds, nanoseconds = divmod(max(1, self._clock.monotonic_ns(us)), _NS_PER_S)
        at = _Spec(0, 0, seconds, nanoseconds)
        if self._libc.timerfd_settime(self.handle, _ABSOLUTE, ctypes.byref(at), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def heard(self) -> None:
        """Make it unreadable again."""
        try:
            os.read(self.handle, 8)
        except BlockingIOError:
            return  # it was set anew in between

    def close(self) -> None:
        """Let go of it."""
        os.close(self.handle)


def _whole(us: NDArray[np.floating]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(us).astype(np.int64)
    return whole


class _Spec(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )
