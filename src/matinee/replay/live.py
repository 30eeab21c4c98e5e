"""A replay while it runs, for whoever looks on: a program beside it reads its journals and says what they tell so far.

The engine's own process only passes on what that program says, a few times a minute or once a second to be drawn;
benchmarks/live.py measures what that costs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from matinee.replay.live_document import LIVE
from matinee.replay.live_line import line
from matinee.replay.live_process import send_stream
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from matinee.replay.live_document import State
    from matinee.replay.stage import Begun

__all__ = ["LIVE", "Live"]

_EVERY_S: Final = 1.0
_LINE_EVERY_S: Final = 10.0
_PATIENCE_S: Final = 30.0  # with the last document
_GIVE_WAY_S: Final = 0.0005  # while something is drawn: Python's own 5 ms would be seen in the latencies


class Live:
    """Keeps `live.json` in the folder of a replay while its block runs; `stage.play` takes it as `watch`.

    How the block is left decides how the session is said to have ended: without an exception it `finished`, by an
    interrupt it was `interrupted`, by any other it `failed`. No trouble here stops a replay: it is said once.

    Args:
        begun: the session.
        show: called with each document, in a thread. Without it `progress` is told a line now and then.
        progress: see above.
    """

    def __init__(
        self, begun: Begun, *, show: Callable[[dict[str, Any]], None] | None = None, progress: Progress | None = None
    ) -> None:
        self._begun, self._show, self._progress = begun, show, progress or Silent()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        self._is_sent = threading.Event()
        self._said_s = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name="live view", daemon=True)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "matinee.replay.live_process", str(self._begun.folder), str(_EVERY_S)]
        # A session of its own: Ctrl-C is for the replay, which tells what came of it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_sent.wait()
        with suppress(OSError):  # it has ended before
            self._orders.write(_state(kind).encode())
            self._orders.close()
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()
        if self._process.wait():
            self._progress.say(f"the view of the running replay has ended: {self._last_words()}; the replay has not")
        self._errors.close()

    @property
    def _orders(self) -> Any:
        return self._process.stdin

    def _listen(self) -> None:
        with _giving_way():
            self._send_and_hear()

    def _send_and_hear(self) -> None:
        try:
            with suppress(OSError):  # it has ended already
                send_stream(self._begun.stream, self._orders)
        finally:
            self._is_sent.set()
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        with self._process.stdout as said, suppress(msgspec.DecodeError):  # half a line of one that was killed
            for told in map(msgspec.json.decode, said):
                if "trouble" in told:
                    self._progress.say(told["trouble"])
                else:
                    self._pass_on(told["document"])

    def _pass_on(self, document: dict[str, Any]) -> None:
        now_s = time.monotonic()
        if self._show is not None:
            try:
                self._show(document)
            except OSError:
                self._show = None  # the terminal has gone; the replay stays
        elif document["state"] != "running" or now_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = now_s
            self._progress.say(line(document))

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((text for text in reversed(lines) if text.strip()), f"exit code {self._process.returncode}")


def _state(kind: type[BaseException] | None) -> State:
    if kind is None:
        return "finished"
    return "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let whichever thread waits for the interpreter have it soon; the setting is of the whole process."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_GIVE_WAY_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
