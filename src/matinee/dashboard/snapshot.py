"""All that the page shows, looked up together: one look a second serves every browser that is open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matinee.dashboard.reading import Reading
from matinee.dashboard.replays import Replay, read_replays
from matinee.dashboard.servers import ServerSeen, read_servers
from matinee.dashboard.trainings import Training, read_trainings
from matinee.dashboard.versions import VersionFacts, read_versions
from matinee.errors import ServiceError
from matinee.lineage.journal import RecordedRun, read
from matinee.schema.work import Work, works
from matinee.stack.folders import Folders
from matinee.stack.state import StackState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EVENTS", "Lookout", "Snapshot"]

EVENTS: Final = "lineage/events.jsonl"  # in the data folder
_FRESH_S: Final = 0.7
_MLFLOW_EVERY_S: Final = 5.0
_MLFLOW_PATIENCE_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data folder at one moment.

    Attributes:
        works: commands that run.
        runs: what lineage tells of stages, in the order in which they began.
        versions, trainings, replays: what is there; versions and replays the newest first.
        servers: those that run.
        mlflow_url: of the stack's MLflow, where it runs; else empty.
    """

    works: tuple[Work, ...]
    runs: tuple[RecordedRun, ...]
    versions: tuple[VersionFacts, ...]
    trainings: tuple[Training, ...]
    servers: tuple[ServerSeen, ...]
    replays: tuple[Replay, ...]
    mlflow_url: str


class Lookout:
    """Looks at one data folder, at most about once a second, whoever asks."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._reading = Reading()
        self._lock = asyncio.Lock()
        self._last: Snapshot | None = None
        self._looked_s = self._asked_mlflow_s = float("-inf")
        self._mlflow_url = ""

    async def look(self) -> Snapshot:
        """The newest snapshot; files are read beside the event loop."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._looked_s >= _FRESH_S:
                try:
                    self._last = await asyncio.to_thread(self.look_now)
                except OSError:  # a file went while it was looked at; the next second has another look
                    if self._last is None:
                        raise
                self._looked_s = time.monotonic()
            return self._last

    def look_now(self) -> Snapshot:
        """A new snapshot."""
        return Snapshot(
            works=tuple(works(self.data_dir)),
            runs=self._reading.get(self.data_dir / EVENTS, read) or (),
            versions=read_versions(self.data_dir, self._reading),
            trainings=read_trainings(self.data_dir, self._reading),
            servers=read_servers(self.data_dir),
            replays=read_replays(self.data_dir, self._reading),
            mlflow_url=self._mlflow(),
        )

    def _mlflow(self) -> str:
        if time.monotonic() - self._asked_mlflow_s >= _MLFLOW_EVERY_S:
            self._asked_mlflow_s = time.monotonic()
            self._mlflow_url = ""
            with contextlib.suppress(ServiceError, OSError):
                state = StackState.read(Folders.of(self.data_dir).state)
                if state is not None:
                    with socket.create_connection((state.host, state.mlflow_port), timeout=_MLFLOW_PATIENCE_S):
                        self._mlflow_url = state.mlflow_url
        return self._mlflow_url
