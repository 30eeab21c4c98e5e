"""`matinee serve`: a trained model behind HTTP."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

__all__ = ["serve"]

_LIMITS = Group("Limits", sort_key=20)


def serve(
    model: str | None = None,
    /,
    *,
    version: Path | None = None,
    past: Literal["train", "eval", "test"] = "train",
    rehearsal: str | None = None,
    listen: str = "127.0.0.1",
    port: int = 8642,
    token_file: Path | None = None,
    workers: int = 1,
    max_batch: Annotated[int, Parameter(group=_LIMITS)] = 64,
    batch_wait_ms: Annotated[float, Parameter(group=_LIMITS)] = 0.0,
    max_queue: Annotated[int, Parameter(group=_LIMITS)] = 1024,
    max_body_bytes: Annotated[int, Parameter(group=_LIMITS)] = 1 << 20,
    rate_limit: Annotated[float | None, Parameter(group=_LIMITS)] = None,
    time_limit_s: Annotated[float, Parameter(group=_LIMITS)] = 10.0,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Serve a trained model: recommend, be told what happened, remember it.

    Args:
        model: A folder, DATASET/MODEL, or models:/NAME@ALIAS; by default the one trained last.
        version: The folder of the version it was trained on; by default the one in the data folder.
        past: The last split that has happened already; what comes after it is going to be told.
        rehearsal: A name that keeps the events told apart from all others.
        listen: An address of this machine; one that others can reach needs a token.
        port: 0 takes a free one.
        token_file: A file that only its owner can read, with the token that every request needs.
        workers: Processes.
        max_batch: Questions that are answered together.
        batch_wait_ms: How long the first of them waits for others.
        max_queue: Questions that wait; more are refused with 429.
        max_body_bytes: Of a request; more is refused with 413.
        rate_limit: Requests per second of one address; more are refused with 429. By default any.
        time_limit_s: Of a request.
        data_dir: The data folder whose Postgres, versions and models are meant; by default matinee-data.
        output: How to tell.
    """
    from matinee.serve.stage import serve as start  # noqa: PLC0415 - a command's rooms are loaded when it is called
    from matinee.train.find import find_model_folder  # noqa: PLC0415 - as above

    where = data_folder(data_dir)
    progress = output.progress(data_dir)

    def ready(address: str) -> None:
        output.line(f"Serving at {address}; try {address}/docs. Ctrl-C ends it.")
        output.result({"url": address})
        sys.stdout.flush()  # whoever started it through a pipe waits for this line

    start(
        None if model is None else find_model_folder(model, where, progress=progress),
        version=version,
        past=past,
        rehearsal=rehearsal,
        listen=listen,
        port=port,
        token_file=token_file,
        workers=workers,
        max_batch=max_batch,
        batch_wait_ms=batch_wait_ms,
        max_queue=max_queue,
        max_body_bytes=max_body_bytes,
        rate_limit=rate_limit,
        time_limit_s=time_limit_s,
        data_dir=where,
        ready=ready,
        progress=progress,
    )
