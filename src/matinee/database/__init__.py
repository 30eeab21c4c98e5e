"""What Postgres knows: data versions, their users and items, and the events that a live system tells back."""

from matinee.database.connect import alone, connected
from matinee.database.fill import Filled, fill
from matinee.database.known import Known, item, user
from matinee.database.migrate import migrate
from matinee.database.told import Told, history, tell
from matinee.database.versions import Version, version, versions

__all__ = [
    "Filled",
    "Known",
    "Told",
    "Version",
    "alone",
    "connected",
    "fill",
    "history",
    "item",
    "migrate",
    "tell",
    "user",
    "version",
    "versions",
]
