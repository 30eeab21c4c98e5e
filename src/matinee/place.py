"""Which store is meant: the one that is named, or the stack's S3 in a data folder, up for as long as it is needed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.store import Store

__all__ = ["BUCKET", "DATA_DIR", "Address", "Reach", "embedded_folder", "open_place", "place"]

BUCKET = "matinee"
DATA_DIR = Path("matinee-data")


class Reach(TypedDict):
    """Endpoint and keys of an S3 service; None leaves each to the environment."""

    endpoint: str | None
    access_key: str | None
    secret_key: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """What `open_store` and `load` take to reach a store."""

    to: str
    endpoint: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @property
    def reach(self) -> Reach:
        """All but `to`, by parameter name."""
        return {"endpoint": self.endpoint, "access_key": self.access_key, "secret_key": self.secret_key}


@contextmanager
def place(store: str | None, endpoint: str | None, data_dir: str | Path, *, create: bool = False) -> Iterator[Address]:
    """The address of the store that `store` names; with None, of the embedded one of `data_dir`.

    That one is the S3 of the stack in `data_dir`. It runs for as long as the block does, and is stopped at its end
    unless somebody else uses it or `matinee up` keeps it up. `create` starts one that has never been there; without
    it, that is an error, because a command that only looks should not leave a service's folder behind.

    Raises:
        UsageError: no store is named and `data_dir` has no embedded one.
        ServiceError: the embedded store does not start.
    """
    if store is not None:
        yield Address(store, endpoint)
        return
    if not create and not embedded_folder(Path(data_dir)).is_dir():
        raise UsageError(
            f"no store is named, and {data_dir} has no embedded one; pass --store, or run 'matinee rehearse' first"
        )
    from matinee.stack import running  # noqa: PLC0415 - only where the embedded store is meant

    with running(data_dir, ["s3"]) as stack:
        yield Address(f"s3://{BUCKET}", stack.s3.url, stack.s3.access_key, stack.s3.secret_key)


@contextmanager
def open_place(store: str | None, endpoint: str | None, data_dir: str | Path) -> Iterator[Store]:
    """The open store at `place`.

    Raises:
        UsageError, ServiceError: see `place`.
        StoreError: the store does not answer, or says no.
    """
    from matinee.store import open_store  # noqa: PLC0415 - this module's names are wanted where no store is opened

    with place(store, endpoint, data_dir) as address, open_store(address.to, **address.reach) as opened:
        yield opened


def embedded_folder(data_dir: Path) -> Path:
    """Where the embedded store of `data_dir` keeps its bytes: its place, or the old one until its next start."""
    from matinee.stack.folders import Folders  # noqa: PLC0415 - see place

    folders = Folders.of(data_dir)
    return folders.old_s3 if folders.old_s3.is_dir() and not folders.s3.exists() else folders.s3
