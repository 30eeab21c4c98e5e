"""Worker processes behind one listening socket: kept up by uvicorn's supervisor, drained when they are to end."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from uvicorn import Config
from uvicorn.supervisors.multiprocess import Multiprocess

from matinee.errors import ServiceError
from matinee.serve.app import build_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from matinee.serve.board import Board
    from matinee.serve.serving import Serving

__all__ = ["run"]

_DRAIN_S: Final = 30
_POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1


def run(serving: Serving, board: Board, listener: socket.socket, workers: int, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let every worker answer what it has begun.

    All workers accept from one socket, which this process keeps: while a killed worker is replaced, connections wait
    in the kernel's queue and are not refused.

    Args:
        serving: what each worker is told.
        board: where they report.
        listener: bound already.
        workers: how many.
        ready: called when all of them can be asked for the first time.

    Raises:
        ServiceError: a worker cannot start; its own words are on stderr.
    """
    config = Config(
        functools.partial(_worker, serving, os.getpid()),
        factory=True,
        workers=workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    supervisor = Multiprocess(config, [listener])
    announced = threading.Event()

    def announce() -> None:
        while not supervisor.should_exit.wait(_POLL_S):
            if len(board.reports()) >= workers:
                announced.set()
                ready()
                return

    threading.Thread(target=announce, name="announcer", daemon=True).start()
    supervisor.run()
    if not announced.is_set() and any(process.exitcode for process in supervisor.processes):
        raise ServiceError("the server did not start; the lines above say why")


def _worker(serving: Serving, parent: int) -> ASGIApp:
    """Runs in the worker's process, before it serves."""
    logging.basicConfig(format="matinee: %(message)s", level=logging.WARNING)
    # A worker whose parent was killed drains and ends: nobody would ever stop it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_POLL_S)
    return build_app(serving)
