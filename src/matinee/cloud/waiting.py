"""Waiting for the cloud to finish what it said it would do, told to whoever listens, and never for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from matinee.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.schema.progress import Progress

__all__ = ["wait_until"]

_POLL_S: Final = 2.0


def wait_until(state: Callable[[], str | None], what: str, timeout_s: float, progress: Progress) -> None:
    """Ask `state` again and again until it says None, which means done; anything else is how far it is.

    Raises:
        CloudError: it was not done after `timeout_s`; or whatever `state` raises.
    """
    deadline_s = time.monotonic() + timeout_s
    progress.start(what, None, "")
    while (now := state()) is not None:
        if time.monotonic() > deadline_s:
            progress.finish(now)
            raise CloudError(
                f"{what}: still {now} after {timeout_s:.0f} s; look at the cloud's web page, and run the same command "
                "again: it finds what was made and goes on"
            )
        time.sleep(_POLL_S)
    progress.finish()
