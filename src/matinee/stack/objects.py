"""Objects out of the stack's S3 and into it again, one stream at a time."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from matinee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.stack.endpoint import Endpoint

__all__ = ["Objects", "Stored", "is_latest"]

_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """One object, open: its bytes, and what S3 keeps beside them."""

    stream: IO[bytes]
    size_bytes: int
    content_type: str
    metadata: dict[str, str]


def is_latest(key: str) -> bool:
    """Whether an object is one of those that say which version counts."""
    return key.rpartition("/")[2] == "LATEST"


class Objects:
    """The objects of one S3 service, by bucket and key."""

    def __init__(self, endpoint: Endpoint) -> None:
        import boto3  # noqa: PLC0415 - takes a third of a second, and only backups need it
        from botocore.config import Config  # noqa: PLC0415 - as above
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

        self._failures = (BotoCoreError, ClientError)
        self._url = endpoint.url
        session = boto3.session.Session(
            aws_access_key_id=endpoint.access_key,
            aws_secret_access_key=endpoint.secret_key,
            region_name=endpoint.region,
        )
        # No proxy of the environment: the endpoint is on this machine. Many attempts: a SeaweedFS that has just started
        # answers reads with InternalError until its volumes have reported.
        settings = Config(
            s3={"addressing_style": "path"},
            proxies={"http": None, "https": None},
            retries={"mode": "standard", "total_max_attempts": 10},
        )
        self._client: Any = session.client("s3", endpoint_url=endpoint.url, config=settings)

    def buckets(self) -> list[str]:
        """All buckets."""
        with self._told("listing the buckets"):
            return sorted(str(bucket["Name"]) for bucket in self._client.list_buckets()["Buckets"])

    def keys(self, bucket: str) -> list[str]:
        """All keys of a bucket in the order in which they may be copied while others publish.

        What says which version counts (`LATEST`) comes first: whatever it names is complete, so a copy of everything
        that is listed afterwards has it. Among the rest the oldest come first, so that the order in time is kept.
        """
        first = [key for key in self._listed(bucket) if is_latest(key)]
        return first + [key for key in self._listed(bucket) if key not in set(first)]

    @contextmanager
    def open(self, bucket: str, key: str) -> Iterator[Stored | None]:
        """An object; None where it has been deleted meanwhile."""
        with self._told(f"reading {bucket}/{key}"):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except self._client.exceptions.NoSuchKey:
                answer = None
            if answer is None:
                yield None
                return
            with answer["Body"] as body:
                yield Stored(body, int(answer["ContentLength"]), answer.get("ContentType", ""), answer["Metadata"])

    def put(self, bucket: str, key: str, stored: Stored) -> None:
        """Write an object."""
        extra: dict[str, Any] = {"Metadata": stored.metadata}
        if stored.content_type:
            extra["ContentType"] = stored.content_type
        with self._told(f"writing {bucket}/{key}"):
            self._client.upload_fileobj(stored.stream, bucket, key, ExtraArgs=extra)

    def sha256(self, bucket: str, key: str) -> str:
        """Of an object's bytes, read back for this."""
        digest = hashlib.sha256()
        with self.open(bucket, key) as stored:
            while stored is not None and (piece := stored.stream.read(_PIECE_BYTES)):
                digest.update(piece)
        return digest.hexdigest()

    def _listed(self, bucket: str) -> list[str]:
        found: list[tuple[Any, str]] = []
        with self._told(f"listing {bucket}"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                found += [(item["LastModified"], str(item["Key"])) for item in page.get("Contents", ())]
        # Names of folders are no objects of anybody's.
        return [key for _, key in sorted(found) if not key.endswith("/")]

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise ServiceError(f"S3 at {self._url}: failed while {doing} ({error})") from None
