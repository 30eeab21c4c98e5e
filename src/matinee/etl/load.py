"""Load: the stage that publishes a local version to a store, and tells lineage so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.lineage.artifact import Artifact
from matinee.schema.manifest import Manifest
from matinee.store import Published, open_store, publish

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.lineage.recorder import Recorder
    from matinee.schema.progress import Progress

__all__ = ["load"]


def load(
    folder: Path,
    to: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
    recheck: bool = False,
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Published:
    """Publish the version in `folder` to the store `to`, verify it there and make it the latest.

    What it promises and admits is told in `matinee.store.publish`. Run again after any interruption, it goes on where
    it was; where everything is done it does nothing.

    Args:
        folder: a local version.
        to: a folder, an rclone remote:path, or s3://bucket[/prefix].
        endpoint: address of an s3:// store; default AWS_ENDPOINT_URL.
        access_key: of an s3:// store; default AWS_ACCESS_KEY_ID.
        secret_key: of an s3:// store; default AWS_SECRET_ACCESS_KEY.
        region: of an s3:// store; default AWS_REGION, else us-east-1.
        recheck: read back a version that is there already, too, and mend what is damaged.
        lineage: told of the run.
        progress: told of the bytes sent and read back.

    Raises:
        UsageError: `to` is no store, or endpoint or keys are missing.
        VersionError, StoreError, DiskFullError: see `matinee.store.publish`.
        LineageError: the event cannot be written.
    """
    manifest = Manifest.read(folder)
    with open_store(to, endpoint=endpoint, access_key=access_key, secret_key=secret_key, region=region) as store:
        if lineage is None:
            return publish(folder, store, recheck=recheck, progress=progress)
        with lineage.stage("load", inputs=[Artifact.of_folder(folder)]) as run:
            published = publish(folder, store, recheck=recheck, progress=progress)
            sha256, location = published.manifest_sha256, published.location
            run.add_output(Artifact.of_version(manifest, sha256, location, published=True))
    return published
