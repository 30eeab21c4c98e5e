"""One session of a replay: all arms played at the same time in one event loop, until the end or a polite stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import ReplayError
from matinee.replay.timeline import LATE_US, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matinee.replay.clock import Clock
    from matinee.replay.lane import Lane
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream
    from matinee.schema.progress import Progress

__all__ = ["MOST_LATE", "ClientFacts", "Run"]

_LOOK_S: Final = 0.05
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
MOST_LATE: Final = 0.01  # share of the questions
_BUSY: Final = 0.95  # share of the time that this process computed; more of it is none


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What a session has cost this process, and whether it could do what it was told to.

    Attributes:
        asked, told: questions sent, and events acknowledged, over all arms.
        late: questions that this process noticed more than 10 ms after they were due.
        wall_s: from the first event to the last.
        cpu_s: that this process used meanwhile.
        is_open_loop: whether there were due times to keep.
    """

    asked: int
    told: int
    late: int
    wall_s: float
    cpu_s: float
    is_open_loop: bool

    @property
    def cpu_us_per_event(self) -> float | None:
        """What asking, telling and writing down one event costs the client."""
        return 1e6 * self.cpu_s / self.told if self.told else None

    @property
    def complaint(self) -> str:
        """Why the latencies are not the server's alone; empty where the client could keep up."""
        late, busy = self.late / max(1, self.asked), self.cpu_s / max(self.wall_s, 1e-9)
        if not self.is_open_loop or (late <= MOST_LATE and busy <= _BUSY):
            return ""
        return (
            f"the client could not keep up: {late:.1%} of the questions were noticed more than {LATE_US / 1000:g} ms "
            f"after they were due, and it was computing for {busy:.0%} of the time; what is measured is not the "
            "server's latency alone, so choose a lower rate or speed, or give the client a processor of its own"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        per_event = self.cpu_us_per_event
        return asdict(self) | {
            "cpu_us_per_event": None if per_event is None else round(per_event, 1),
            "complaint": self.complaint,
        }


class Run:
    """One session.

    Args:
        lanes: the arms.
        stream, plan: what is played.
        clock: of all that is measured.
        check: called a few times a second; raises where a server that the replay has started is gone.
        progress: told how far all arms have come.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        stream: Stream,
        plan: Plan,
        clock: Clock,
        *,
        check: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._lanes, self._stream, self._plan, self._clock = lanes, stream, plan, clock
        self._check, self._progress = check, progress
        self._shown = sum(lane.told for lane in lanes)  # in other sessions: no pace of this one
        self._wall_s = self._cpu_s = 0.0
        self.is_interrupted = False

    @property
    def facts(self) -> ClientFacts:
        """What it has cost."""
        lanes = self._lanes
        return ClientFacts(
            asked=sum(lane.asked_now for lane in lanes),
            told=sum(lane.told_now for lane in lanes),
            late=sum(lane.late_now for lane in lanes),
            wall_s=round(self._wall_s, 3),
            cpu_s=round(self._cpu_s, 3),
            is_open_loop=self._plan.arrivals.is_open_loop,
        )

    async def play(self) -> None:
        """Until every event is told in every arm, or it was interrupted and what was under way is done.

        Raises:
            ReplayError: a server does not answer, or does not take events.
            DiskFullError: no space for a journal.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._defect)
        looking = asyncio.create_task(self._look())
        with self._signals(loop):
            try:
                for lane in self._lanes:
                    await self._open(lane)
                await self._tell_past()
                await self._tell_stream()
            finally:
                looking.cancel()
                for lane in self._lanes:
                    lane.close()

    def interrupt(self) -> None:
        """Stop politely; called again, at once."""
        if self.is_interrupted:
            for lane in self._lanes:
                lane.abandon()
            return
        self.is_interrupted = True
        self._stop()

    def _stop(self) -> None:
        for lane in self._lanes:
            lane.stop()

    async def _open(self, lane: Lane) -> None:
        try:
            await lane.pool.open()
        except OSError as error:
            raise ReplayError(f"arm {lane.arm}: {lane.pool.url} cannot be reached ({error or 'no answer'})") from None

    async def _tell_past(self) -> None:
        lanes = [lane for lane in self._lanes if not lane.has_begun]
        if not (lanes and self._stream.asked_from):
            return
        self._progress.start("tell what came before", self._stream.asked_from * len(lanes), "events")
        await asyncio.gather(*(lane.tell_past(self._progress.advance) for lane in lanes))
        self._progress.finish()

    async def _tell_stream(self) -> None:
        self._progress.start("replay", sum(lane.all - lane.told for lane in self._lanes), "events")
        timeline = None
        if self._plan.arrivals.is_open_loop:
            timeline = Timeline(self._stream, self._plan, self._lanes, self._clock)
        with _few_collections():
            began_s, cpu_s = time.perf_counter(), time.process_time()
            if timeline:
                timeline.start()
            playing = [asyncio.create_task(lane.run()) for lane in self._lanes]
            try:
                await asyncio.wait(playing, return_when=asyncio.FIRST_EXCEPTION)
                if any(task.done() and task.exception() for task in playing):
                    self._stop()  # the others do not lose what they have begun
                await asyncio.wait(playing)
            finally:
                if timeline:
                    timeline.stop()
                self._wall_s, self._cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        self._show()
        self._progress.finish()
        for task in playing:
            task.result()

    async def _look(self) -> None:
        """What has to be looked at now and then: time limits, servers, progress."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                for lane in self._lanes:
                    lane.pool.sweep()
                self._show()
                self._check()
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the replay
                self._fail(error)

    def _show(self) -> None:
        done = sum(lane.told for lane in self._lanes)
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done

    def _fail(self, error: Exception) -> None:
        for lane in self._lanes:
            lane.fail(error)

    def _defect(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback has raised: a full disk, or a mistake of ours."""
        error = context.get("exception")
        self._fail(error if isinstance(error, Exception) else ReplayError(context["message"]))

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Take SIGINT and SIGTERM, where they are ours to take."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.interrupt)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """What is there stays, and what comes is gone soon: looking for cycles among all of it stops the clock for long."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
