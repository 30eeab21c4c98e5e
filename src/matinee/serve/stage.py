"""Serve: from a trained model and its version to a server that is asked and told, until it is stopped."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ModelNotFoundError, UsageError, VersionNotFoundError
from matinee.serve.address import LOOPBACK, listen_on, local_names, read_token, url_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.model.checkpoint import CheckpointFacts
    from matinee.schema.layout import Split
    from matinee.schema.progress import Progress
    from matinee.version import Version

__all__ = ["BOARDS", "DEFAULT_PORT", "serve", "serve_in"]

DEFAULT_PORT: Final = 8642
BOARDS: Final = "serve"  # in the data folder: one folder a port, and how far each log has come
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODELS: Final = "models/*/*/*/checkpoint.json"  # where `matinee train` leaves them


def serve(
    model: str | Path | None = None,
    *,
    version: str | Path | None = None,
    past: Split = "train",
    rehearsal: str | None = None,
    listen: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    token_file: Path | None = None,
    workers: int = 1,
    max_batch: int = 64,
    batch_wait_ms: float = 0.0,
    max_queue: int = 1024,
    max_body_bytes: int = 1 << 20,
    rate_limit: float | None = None,
    time_limit_s: float = 10.0,
    data_dir: str | Path = "matinee-data",
    ready: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Serve a model until SIGTERM or SIGINT; call it from the main thread. docs/serving.md tells what it answers.

    Postgres of `data_dir` is behind it; it is started where it does not run, and stopped afterwards.

    Args:
        model: the folder of a trained model; None is the one trained last in `data_dir`.
        version: the folder of the version it was trained on; None looks for it in `data_dir`.
        past: the last split that has happened already: what comes after it is going to be told.
        rehearsal: a name that keeps the events told apart from all others; None is the data set's own log.
        listen: an address of this machine.
        port: 0 takes a free one.
        token_file: a file, readable by its owner alone, with the token that every request needs.
        workers: processes.
        max_batch: questions that are answered together.
        batch_wait_ms: how long the first of them waits for others.
        max_queue: questions that wait; more are refused.
        max_body_bytes: of a request.
        rate_limit: requests per second of one address; None is any.
        time_limit_s: of a request.
        data_dir: whose Postgres, versions and models are meant.
        ready: called with the server's address once it can be asked.
        progress: told of the services that are started.

    Raises:
        UsageError: values that cannot be, or an address that others can reach without a token.
        ModelError, VersionError: there is no such model or version, or they do not belong together.
        ServiceError, DatabaseError, DiskFullError: Postgres does not start or answer, the port is taken, or a worker
            does not start.
    """
    from matinee.stack import running  # noqa: PLC0415 - `import matinee` imports this module and must stay light

    data_dir = Path(data_dir).expanduser().absolute()
    folder = _newest(data_dir) if model is None else Path(model)
    token = None if token_file is None else read_token(token_file)
    with running(data_dir, ["postgres"], progress=progress) as stack:
        serve_in(
            stack.postgres_url,
            folder,
            version=version,
            past=past,
            rehearsal=rehearsal,
            listen=listen,
            port=port,
            token=token,
            workers=workers,
            max_batch=max_batch,
            batch_wait_ms=batch_wait_ms,
            max_queue=max_queue,
            max_body_bytes=max_body_bytes,
            rate_limit=rate_limit,
            time_limit_s=time_limit_s,
            data_dir=data_dir,
            ready=ready,
        )


def serve_in(
    database_url: str,
    model: Path,
    *,
    version: str | Path | None = None,
    past: Split = "train",
    rehearsal: str | None = None,
    listen: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    token: str | None = None,
    workers: int = 1,
    max_batch: int = 64,
    batch_wait_ms: float = 0.0,
    max_queue: int = 1024,
    max_body_bytes: int = 1 << 20,
    rate_limit: float | None = None,
    time_limit_s: float = 10.0,
    data_dir: Path,
    ready: Callable[[str], None] | None = None,
) -> None:
    """`serve` with a Postgres that runs already."""
    from matinee.database import migrate  # noqa: PLC0415 - see serve
    from matinee.model.checkpoint import check_matches  # noqa: PLC0415 - see serve
    from matinee.model.opening import open_model  # noqa: PLC0415 - see serve
    from matinee.processes import birth_of  # noqa: PLC0415 - see serve
    from matinee.schema.layout import SPLITS  # noqa: PLC0415 - see serve
    from matinee.serve.behind import place_behind  # noqa: PLC0415 - see serve
    from matinee.serve.board import Board, ServerFacts, Wanted  # noqa: PLC0415 - see serve
    from matinee.serve.models import keep, title  # noqa: PLC0415 - see serve
    from matinee.serve.processes import run  # noqa: PLC0415 - see serve
    from matinee.serve.serving import Serving  # noqa: PLC0415 - see serve

    limits = {"workers": workers, "max_batch": max_batch, "max_queue": max_queue, "max_body_bytes": max_body_bytes}
    _check(limits, past, rehearsal)
    _, facts = open_model(model, engine="onnx")  # whatever is wrong with it is said before anything starts
    opened = _version_of(facts, version, data_dir)
    check_matches(facts, opened.manifest.users, opened.manifest.items)
    migrate(database_url)
    log = facts.dataset if rehearsal is None else f"{facts.dataset}/{rehearsal}"
    after = place_behind(database_url, opened, log, past)
    listener = listen_on(listen, port, open_to_all=token is None)
    try:
        bound = listener.getsockname()[1]
        board = Board(data_dir / BOARDS / str(bound))
        board.make()
        serving = Serving(
            version=opened.folder,
            past=SPLITS[: SPLITS.index(past) + 1],
            database_url=database_url,
            log=log,
            after=after,
            board=board.folder,
            position=data_dir / BOARDS / f"{log.replace('/', '@')}.position",
            hosts=local_names(listen) if token is None else None,
            token=token,
            threads=max(1, len(os.sched_getaffinity(0)) // workers),
            max_batch=max_batch,
            batch_wait_s=batch_wait_ms / 1000,
            max_queue=max_queue,
            max_body_bytes=max_body_bytes,
            rate_limit=rate_limit,
            time_limit_s=time_limit_s,
        )
        kept = keep(model, facts, board.shelf)
        board.want(Wanted(1, str(kept), title(facts)))
        url = url_of(listen, bound)
        pid = os.getpid()
        board.announce(
            ServerFacts(pid, birth_of(pid), url, log, opened.id, opened.manifest.users, opened.manifest.items, workers)
        )
        run(serving, board, listener, workers, lambda: ready(url) if ready else None)
    finally:
        listener.close()


def _check(limits: dict[str, int], past: str, rehearsal: str | None) -> None:
    from matinee.schema.layout import SPLITS  # noqa: PLC0415 - see serve

    for name, value in limits.items():
        if value < 1:
            raise UsageError(f"{name} is {value}, expected 1 or more")
    if past not in SPLITS:
        raise UsageError(f"past is {past!r}, expected one of {', '.join(SPLITS)}")
    if rehearsal is not None and _NAME.fullmatch(rehearsal) is None:
        raise UsageError(f"rehearsal is {rehearsal!r}, expected up to 64 of a-z, 0-9, '.', '_' and '-'")


def _newest(data_dir: Path) -> Path:
    found = [*data_dir.glob(_MODELS)]
    if not found:
        raise ModelNotFoundError(f"{data_dir / 'models'}: no trained model yet; run 'matinee train'")
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent


def _version_of(facts: CheckpointFacts, version: str | Path | None, data_dir: Path) -> Version:
    from matinee.version import open_version  # noqa: PLC0415 - see serve

    if version is not None:
        return open_version(version)
    folder = data_dir / "versions" / facts.dataset / facts.version
    try:
        return open_version(folder)
    except VersionNotFoundError:
        raise VersionNotFoundError(
            f"{folder}: the version that the model was trained on is not here; name its folder with --version"
        ) from None
