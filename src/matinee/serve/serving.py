"""All that a worker needs to know, as one frozen object that is handed to its process when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.schema.layout import Split

__all__ = ["Serving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How one server serves.

    Attributes:
        version: the folder of the version whose ids and histories are served.
        past: its splits that have happened already.
        database_url: of the Postgres behind it.
        log: under which name events are told there.
        after: the place in the log up to which its events are in the version.
        board: the server's own folder.
        position: the file that says how far the log has come.
        hosts: what a request may call this machine; None is anything.
        token: that every request needs; None is none.
        threads: of the model in each worker.
        max_batch: questions answered together.
        batch_wait_s: how long the first of a batch waits for others.
        max_queue: questions that wait; more are refused.
        max_body_bytes: of a request.
        rate_limit: requests per second of one address; None is any.
        time_limit_s: of a request.
    """

    version: Path
    past: tuple[Split, ...]
    database_url: str = field(repr=False)
    log: str
    board: Path
    position: Path
    after: int = 0
    hosts: frozenset[str] | None = None
    token: str | None = field(default=None, repr=False)
    threads: int = 1
    max_batch: int = 64
    batch_wait_s: float = 0.0
    max_queue: int = 1024
    max_body_bytes: int = 1 << 20
    rate_limit: float | None = None
    time_limit_s: float = 10.0
