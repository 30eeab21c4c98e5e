"""From the words on the command line to an exit code: runs one command and turns what goes wrong into one line."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING

from matinee.errors import DiskFullError, MatineeError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_FAILED = 1
_MISUSED = 2
_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for a program that was stopped with Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 failed, 2 called wrongly, 130 interrupted. Errors are one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except MatineeError as error:
        return _tell(str(error), error.exit_code, words)
    except KeyboardInterrupt:
        return _tell("interrupted; nothing half-written is visible, run the same command again", _INTERRUPTED, words)
    except BrokenPipeError:
        return _hang_up()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _tell(str(_disk_full(error)), DiskFullError.exit_code, words)
        return _tell(_unexpected(error), _FAILED, words)
    except Exception as error:  # noqa: BLE001 - the last resort: a line and a file instead of a bare traceback
        return _tell(_unexpected(error), _FAILED, words)


def _run(words: list[str]) -> int:
    """Find the command and call it; what it returns, if anything, is the exit code."""
    from cyclopts import CycloptsError  # noqa: PLC0415 - so that an interrupt during this import is caught as well

    from matinee.cli.app import build_app  # noqa: PLC0415 - as above

    try:
        code = build_app()(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        chain = " ".join(["matinee", *(error.command_chain or ())])
        first = " ".join(str(error).split())
        return _tell(f"{first} See '{chain} --help'.", _MISUSED, words)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _tell(line: str, code: int, words: list[str]) -> int:
    """Print the one line of an error, before it the traceback where --debug asks for it."""
    if "--debug" in words and code == _FAILED and sys.exc_info()[0] is not None:
        traceback.print_exc()
    text = " ".join(line.split())  # a message never breaks into several lines, whatever a path or a server put in
    print(f"matinee: {text}", file=sys.stderr)  # noqa: T201 - the command line's own voice
    return code


def _disk_full(error: OSError) -> DiskFullError:
    """The line for a full disk that no room has put into words already."""
    where = error.filename or "the disk that was being written"
    return DiskFullError(
        f"{where}: no space left ({error.strerror}); free some, or choose other folders, and run again"
    )


def _unexpected(error: BaseException) -> str:
    """The line for a defect: its type and text, and the file that holds the traceback."""
    text = f"{type(error).__name__}: {error}"
    try:
        # mkstemp makes the file 0600: a traceback may name private paths.
        handle, path = tempfile.mkstemp(prefix="matinee-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"unexpected {text}; run again with --debug to see where"
    return f"unexpected {text}; the traceback is in {path}, or run again with --debug"


def _hang_up() -> int:
    """The reader of our output has left (`| head`): be quiet, also when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _FAILED
