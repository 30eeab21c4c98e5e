"""Where in the log a server begins: behind the events that its version has already, lest a history have them twice."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from matinee.database import connected
from matinee.database.told_range import LogEnd, place_of_event
from matinee.errors import UsageError
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["place_behind"]


def place_behind(url: str, version: Version, log: str, past: Split) -> int:
    """The last place of the log whose event is in the version's splits; 0 where none is.

    Raises:
        UsageError: the version has events of this log, and `past` leaves some of them out.
        DatabaseError: Postgres does not answer.
    """
    base = version.manifest.base
    if base is None or base.log != log:
        return 0
    with connected(url) as connection:
        place = place_of_event(connection, log, LogEnd(UUID(base.teller), base.number))
    if place is None:  # another log of that name, of another database
        return 0
    if past != SPLITS[-1]:
        raise UsageError(
            f"past is {past}, but version {version.id} has the events of {log} up to place {place:,} in its splits, so "
            f"all of them have happened: pass --past {SPLITS[-1]}, or keep what is told apart with --rehearsal NAME"
        )
    return place
