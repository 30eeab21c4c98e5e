"""`matinee lineage`: the chain of one version, with the files at hand, wherever they lie, behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import VersionNotFoundError
from matinee.lineage import Chain, LocalFiles
from matinee.lineage import trace as trace_chain
from matinee.place import BUCKET, DATA_DIR, embedded_folder, open_place

if TYPE_CHECKING:
    from matinee.schema.progress import Progress
    from matinee.store import Store

__all__ = ["trace", "trace_in"]

_EVENTS = Path("lineage/events.jsonl")  # in a data folder; where the stages' recorder writes


def trace(
    version: str | None = None,
    *,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
    progress: Progress | None = None,
) -> Chain:
    """Build and check the chain source -> version -> run -> checkpoint -> report; reads every byte that is at hand.

    Args:
        version: an id, or with `store` whatever names a version there; None is the last one recorded.
        store: look for the published version there; None looks where the events say: in a folder of this machine, or
            in the embedded store.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: whose events are read.
        progress: told of the bytes.

    Raises:
        LineageError: nothing is known of such a version.
        VersionError, StoreError: the store has no such version, or does not answer.
    """
    data_dir = Path(data_dir)
    if store is not None:
        with open_place(store, endpoint, data_dir) as opened:
            return trace_in(opened, version or "LATEST", data_dir=data_dir, progress=progress)
    chain = trace_chain(version, events=data_dir / _EVENTS, progress=progress)
    if not (_is_embedded(chain) and embedded_folder(data_dir).is_dir()):
        return chain
    try:
        with open_place(None, None, data_dir) as opened:
            return trace_in(opened, chain.version, data_dir=data_dir, progress=progress)
    except VersionNotFoundError:
        return chain  # collected since, or published to another S3's bucket of that name: recorded, not at hand


def trace_in(
    store: Store, version: str, *, data_dir: Path, folder: Path | None = None, progress: Progress | None = None
) -> Chain:
    """`trace` in a store that is open; `folder` is the version on this machine."""
    from matinee.store import StoredFiles, StoredFolder  # noqa: PLC0415 - it brings the HTTP client that speaks to rclone

    published = StoredFiles(store, version)
    local = LocalFiles(folder.absolute()) if folder else None
    return trace_chain(
        published.place.id,
        events=data_dir / _EVENTS,
        local=local,
        published=published,
        elsewhere=lambda location: StoredFolder.at(store, location),
        progress=progress,
    )


def _is_embedded(chain: Chain) -> bool:
    return any(link.kind == "published" and link.where.startswith(f"s3://{BUCKET}/") for link in chain.links)
