"""Which store is meant: the one that is named, or the embedded S3 of a data folder, up for as long as it is needed."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.store import Store

__all__ = ["BUCKET", "DATA_DIR", "EMBEDDED", "embedded_folder", "open_place"]

BUCKET = "matinee"
DATA_DIR = Path("matinee-data")
EMBEDDED = f"s3://{BUCKET}"


@contextmanager
def open_place(
    store: str | None, endpoint: str | None, data_dir: str | Path, *, create: bool = False
) -> Iterator[Store]:
    """The open store that `store` names; with None, the embedded one of `data_dir`, stopped at the end if started here.

    `create` starts an embedded store that has never been there; without it, that is an error, because a command that
    only looks should not leave a service's folder behind.

    Raises:
        UsageError: no store is named and `data_dir` has no embedded one.
        ServiceError: the embedded store does not start.
        StoreError: the store does not answer, or says no.
    """
    from matinee.store import open_store  # noqa: PLC0415 - this module's names are wanted where no store is opened

    if store is not None:
        with open_store(store, endpoint=endpoint) as opened:
            yield opened
        return
    data_dir = Path(data_dir)
    if not create and not embedded_folder(data_dir).is_dir():
        raise UsageError(
            f"no store is named, and {data_dir} has no embedded one; pass --store, or run 'matinee rehearse' first"
        )
    from matinee.stack.s3 import running_s3  # noqa: PLC0415 - only where the embedded store is meant

    with (
        running_s3(embedded_folder(data_dir), bucket=BUCKET) as s3,
        open_store(EMBEDDED, endpoint=s3.url, access_key=s3.access_key, secret_key=s3.secret_key) as opened,
    ):
        yield opened


def embedded_folder(data_dir: Path) -> Path:
    """Where the embedded store of `data_dir` keeps its bytes."""
    return data_dir / "s3"
