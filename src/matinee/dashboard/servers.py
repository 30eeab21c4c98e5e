"""The servers of a data folder that run, as their boards tell of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matinee.serve.board import Board
from matinee.serve.stage import BOARDS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ServerSeen", "read_servers"]


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """A server that runs: its address, what it serves, under which name it is told."""

    url: str
    model: str
    version: str
    log: str
    workers: int


def read_servers(data_dir: Path) -> tuple[ServerSeen, ...]:
    """By port."""
    found = []
    with suppress(PermissionError):  # boards are their owner's, and a page may be somebody else's
        for board, facts in Board.all(data_dir / BOARDS):
            wanted = board.wanted()
            model = "" if wanted is None else wanted.title
            found.append(ServerSeen(facts.url, model, facts.version, facts.log, facts.workers))
    return tuple(found)
