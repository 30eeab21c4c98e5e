"""Versions in an object store: publish, list, show, verify, pull, roll back, collect, mount; rclone moves the bytes.

Every function takes an open `Store`:

    with open_store("s3://ratings", endpoint="https://s3.example.org") as store:
        published = publish(Path("versions/ml-100k"), store)
        verify(published.id, store)

Wherever a function takes a `version`, it takes one of these texts:

    LATEST                     what LATEST names, if the store holds a single data set
    ml-100k                    what LATEST names in that data set; ml-100k@LATEST is the same
    0123456789abcdef           a full id, or any prefix of it that only one version has
    ml-100k@0123456789abcdef   the same inside one data set
"""

from matinee.store.check import check
from matinee.store.collect import gc
from matinee.store.connection import Store, open_store
from matinee.store.files import StoredFiles, StoredFolder
from matinee.store.listing import list_versions, show
from matinee.store.location import Location, parse_location
from matinee.store.mount import mount, unmount
from matinee.store.publish import publish
from matinee.store.pull import pull
from matinee.store.records import (
    Checked,
    Collected,
    Incomplete,
    Mounted,
    Published,
    PublishedReport,
    Pulled,
    RolledBack,
    Shown,
    Step,
    StoredVersion,
    Verified,
)
from matinee.store.reports import publish_report
from matinee.store.rollback import rollback
from matinee.store.verify import verify

__all__ = [
    "Checked",
    "Collected",
    "Incomplete",
    "Location",
    "Mounted",
    "Published",
    "PublishedReport",
    "Pulled",
    "RolledBack",
    "Shown",
    "Step",
    "Store",
    "StoredFiles",
    "StoredFolder",
    "StoredVersion",
    "Verified",
    "check",
    "gc",
    "list_versions",
    "mount",
    "open_store",
    "parse_location",
    "publish",
    "publish_report",
    "pull",
    "rollback",
    "show",
    "unmount",
    "verify",
]
