"""Which store is meant: the one that is named, or the embedded S3 of a data folder, up for as long as it is needed."""

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

    That one runs for as long as the block does, and is stopped at its end if it was started for it. `create` starts one
    that has never been there; without it, that is an error, because a command that only looks should not leave a
    service's folder behind.

    Raises:
        UsageError: no store is named and `data_dir` has no embedded one.
        ServiceError: the embedded store does not start.
    """
    if store is not None:
        yield Address(store, endpoint)
        return
    folder = embedded_folder(Path(data_dir))
    if not create and not folder.is_dir():
        raise UsageError(
            f"no store is named, and {data_dir} has no embedded one; pass --store, or run 'matinee rehearse' first"
        )
    from matinee.stack.s3 import running_s3  # noqa: PLC0415 - only where the embedded store is meant

    with running_s3(folder, bucket=BUCKET) as s3:
        yield Address(f"s3://{BUCKET}", s3.url, s3.access_key, s3.secret_key)


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
    """Where the embedded store of `data_dir` keeps its bytes, keys and log."""
    return data_dir / "s3"
