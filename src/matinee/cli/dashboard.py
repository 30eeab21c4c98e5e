"""`matinee dashboard`: the live page of a data folder."""

import sys
from pathlib import Path

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import data_folder

__all__ = ["dashboard"]


def dashboard(
    *,
    listen: str = "127.0.0.1",
    port: int = 8643,
    token_file: Path | None = None,
    open: Flag = False,  # noqa: A002 - it is typed --open
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Show the journey, versions, trainings and replays of a data folder on a web page, live and read-only.

    Args:
        listen: An address of this machine; one that others can reach needs a token.
        port: 0 takes a free one.
        token_file: A file that only its owner can read, with the token that every browser is asked for.
        open: Open the page in this machine's browser.
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.dashboard.stage import dashboard as start  # noqa: PLC0415 - a command's rooms are loaded when called

    def ready(url: str) -> None:
        output.line(f"The dashboard is at {url}. Ctrl-C ends it.")
        output.result({"url": url})
        sys.stdout.flush()  # whoever started it through a pipe waits for this line

    start(
        listen=listen,
        port=port,
        token_file=token_file,
        open=open,
        data_dir=data_folder(data_dir),
        ready=ready,
    )
