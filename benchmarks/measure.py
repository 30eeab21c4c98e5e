"""Measures commands as whole processes, in turn: wall and CPU seconds, peak memory, and who else used the machine.

Everything that a command costs counts, starting the interpreter and importing libraries included. Linux only: the
figures come from wait4 and /proc. The measuring process itself stays small (nothing heavy is imported here), because
a child's peak begins at its parent's size.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["CommandError", "Usage", "medians", "ratios", "run", "run_in_turn"]

_SAMPLE_EVERY_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


class CommandError(RuntimeError):
    """A measured command failed or took too long; carries the end of what it said."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of one command took.

    Attributes:
        wall_s: from before the process starts until it has been waited for.
        cpu_s: user and system time of it and of all descendants that it waited for.
        peak_rss_bytes: the most resident memory, shared and mapped file pages included: the kernel's own high-water
            mark of the largest process, or the largest sampled sum over the process tree where that is more.
        peak_anonymous_bytes: the largest sampled sum over the tree of memory that no file backs (RssAnon, RssShmem);
            what mapped inputs and libraries occupy, and the kernel could drop, is not in it.
        foreign_cpu_s: CPU seconds that everything else on the machine used meanwhile.
        steal_s: CPU seconds that the hypervisor gave to other machines meanwhile.
        load_before: the one-minute load average just before.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_anonymous_bytes: int
    foreign_cpu_s: float
    steal_s: float
    load_before: float


def run(command: Sequence[str], *, timeout_s: float = 1800, environment: Mapping[str, str] | None = None) -> Usage:
    """Run one command to its end and say what it took.

    Raises:
        CommandError: it ended with another exit code than 0, or not within `timeout_s`.
    """
    load_before = os.getloadavg()[0]
    busy_before, steal_before = _machine_cpu_s()
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env=environment
    )
    said: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(process, said))
    reader.start()
    sampler = _Sampler(process.pid)
    sampler.start()
    timer = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        wall_s = time.perf_counter() - start
        timer.cancel()
        sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    busy_after, steal_after = _machine_cpu_s()
    reader.join()
    if process.returncode:
        late = " (timed out)" if wall_s >= timeout_s else ""
        text = b"".join(said)[-2000:].decode(errors="replace")
        raise CommandError(f"{' '.join(command)}: exit code {process.returncode}{late}\n{text}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Usage(
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_rss_bytes=max(usage.ru_maxrss * 1024, sampler.peak_rss_bytes),
        peak_anonymous_bytes=sampler.peak_anonymous_bytes,
        foreign_cpu_s=max(0.0, busy_after - busy_before - cpu_s),
        steal_s=steal_after - steal_before,
        load_before=load_before,
    )


def run_in_turn(
    commands: Mapping[str, Sequence[str]],
    rounds: int,
    *,
    warm_ups: int = 1,
    before: Callable[[str], None] = lambda _: None,
    after: Callable[[str], None] = lambda _: None,
    said: Callable[[str, int, Usage], None] = lambda *_: None,
) -> dict[str, list[Usage]]:
    """Run A B C A B C ..., so that a machine that slows down slows down everyone; warm-ups are not in the result.

    Args:
        commands: name -> command.
        rounds: how many counted runs of each.
        warm_ups: rounds before those; they fill page cache and compiled code.
        before: called with the name before each run, outside of what is measured; it leaves nothing to write back.
        after: the same after each run; raise here when the output is wrong.
        said: told name, round (0 and less for warm-ups) and usage of each run.
    """
    runs: dict[str, list[Usage]] = {name: [] for name in commands}
    for number in range(1 - warm_ups, rounds + 1):
        for name, command in commands.items():
            before(name)
            os.sync()  # or what one command wrote is flushed to the disk in the next one's time
            usage = run(command)
            after(name)
            said(name, number, usage)
            if number > 0:
                runs[name].append(usage)
    return runs


def medians(runs: Sequence[Usage]) -> dict[str, float]:
    """The median of each figure; of a peak, the largest."""
    return {
        "wall_s": median(usage.wall_s for usage in runs),
        "wall_min_s": min(usage.wall_s for usage in runs),
        "wall_max_s": max(usage.wall_s for usage in runs),
        "cpu_s": median(usage.cpu_s for usage in runs),
        "peak_rss_bytes": max(usage.peak_rss_bytes for usage in runs),
        "peak_anonymous_bytes": max(usage.peak_anonymous_bytes for usage in runs),
        "foreign_cpu_s": median(usage.foreign_cpu_s for usage in runs),
    }


def ratios(runs: Sequence[Usage], base: Sequence[Usage]) -> list[float]:
    """Wall time of `runs` over that of `base`, round by round."""
    return [one.wall_s / other.wall_s for one, other in zip(runs, base, strict=True)]


class _Sampler(threading.Thread):
    """Adds up the memory of a process and its descendants again and again, and keeps the largest sums."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peak_rss_bytes = 0
        self.peak_anonymous_bytes = 0

    def run(self) -> None:
        while not self._ended.is_set():
            rss = anonymous = 0
            for pid in _tree(self._pid):
                memory = _memory(pid)
                rss += memory["VmRSS"]
                anonymous += memory["RssAnon"] + memory["RssShmem"]
            self.peak_rss_bytes = max(self.peak_rss_bytes, rss)
            self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, anonymous)
            self._ended.wait(_SAMPLE_EVERY_S)

    def stop(self) -> None:
        """Take no more samples."""
        self._ended.set()
        self.join()


def _drain(process: subprocess.Popen[bytes], said: list[bytes]) -> None:
    """Read the command's output while it runs, so that it never waits for a full pipe."""
    if process.stdout is not None:
        with process.stdout as stream:
            said.extend(iter(lambda: stream.read(1 << 16), b""))


def _tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    pids = [pid]
    for one in pids:  # grows while it is walked
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            pids += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return pids


def _memory(pid: int) -> dict[str, int]:
    """VmRSS, RssAnon and RssShmem of one process in bytes; zeros when it has ended."""
    memory = {"VmRSS": 0, "RssAnon": 0, "RssShmem": 0}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return memory
    for line in lines:
        key, _, value = line.partition(":")
        if key in memory:
            memory[key] = int(value.split()[0]) * 1024
    return memory


def _machine_cpu_s() -> tuple[float, float]:
    """CPU seconds since boot that all processes used, and that the hypervisor took."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _waiting, irq, soft_irq, steal = (int(field) / _TICKS for field in fields[:8])
    return user + nice + system + irq + soft_irq, steal
