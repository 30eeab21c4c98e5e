"""Promote: a server goes on with another model, between two answers, and without a refused request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ModelError, ServiceError, UsageError

if TYPE_CHECKING:
    from matinee.serve.board import Board, ServerFacts, Wanted

__all__ = ["Promoted", "promote"]

_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Promoted:
    """What came of it.

    Attributes:
        url: the server.
        model: what it answers with now.
        before: what it answered with.
        workers: how many processes have changed over.
    """

    url: str
    model: str
    before: str
    workers: int


def promote(
    model: str | Path,
    *,
    port: int | None = None,
    timeout_s: float = 120.0,
    data_dir: str | Path = "matinee-data",
) -> Promoted:
    """Let the server go on with another model; returns when every worker answers with it.

    A model that cannot be served is refused before the server hears of it. Each worker makes the new one ready beside
    the old one, counts and all, and changes over between two batches.

    Args:
        model: the folder of a trained model.
        port: of the server; None is the only one that runs on `data_dir`.
        timeout_s: how long workers may take.
        data_dir: whose server is meant.

    Raises:
        UsageError: no server runs there, or several do.
        ModelError: there is no such model, it is damaged, or it was trained on other ids.
        ServiceError: the workers did not change over in time; they go on with the old model, or the new one.
    """
    from matinee.model.checkpoint import check_matches  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.model.opening import open_model  # noqa: PLC0415 - as above
    from matinee.serve.board import Wanted  # noqa: PLC0415 - as above
    from matinee.serve.models import keep, title  # noqa: PLC0415 - as above

    board, server = _find(Path(data_dir).expanduser().absolute(), port)
    folder = Path(model)
    _, facts = open_model(folder, engine="onnx")
    check_matches(facts, server.users, server.items)
    before = board.wanted()
    number, old = (0, "") if before is None else (before.number, before.title)
    wanted = Wanted(number + 1, str(keep(folder, facts, board.shelf)), title(facts))
    board.want(wanted)
    try:
        workers = _wait(board, server, wanted, timeout_s)
    except ModelError:
        if before is not None:  # whoever starts anew takes the old one
            board.want(Wanted(number + 2, before.folder, before.title))
        raise
    return Promoted(server.url, wanted.title, old, workers)


def _find(data_dir: Path, port: int | None) -> tuple[Board, ServerFacts]:
    from matinee.serve.board import Board  # noqa: PLC0415 - see promote
    from matinee.serve.stage import BOARDS  # noqa: PLC0415 - see promote

    running = [
        (board, server)
        for board, server in Board.all(data_dir / BOARDS)
        if port is None or board.folder.name == str(port)
    ]
    if not running:
        where = data_dir if port is None else f"{data_dir}, port {port}"
        raise UsageError(f"{where}: no server runs here; 'matinee serve' starts one")
    if len(running) > 1:
        ports = ", ".join(board.folder.name for board, _ in running)
        raise UsageError(f"{data_dir}: servers run on the ports {ports}; say which with --port")
    return running[0]


def _wait(board: Board, server: ServerFacts, wanted: Wanted, timeout_s: float) -> int:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        reports = [report for report in board.reports() if report.number >= wanted.number]
        for report in reports:
            if report.error:
                raise ModelError(f"{server.url} goes on with {report.title}: {report.error}")
        if len(reports) >= server.workers:
            return len(reports)
        if not server.runs:
            raise ServiceError(f"{server.url} has ended; start it with the model")
        time.sleep(_POLL_S)
    raise ServiceError(f"{server.url}: its workers have not changed over within {timeout_s:g} s; look at its output")
