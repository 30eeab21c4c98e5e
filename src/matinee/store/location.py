"""What STORE may be: a folder, an rclone remote:path, or s3://bucket with its endpoint and keys."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Location", "parse_location"]

_S3: Final = "s3://"
_S3_REMOTE: Final = "matinee_s3_store"  # lives in the environment of rclone alone; no file has ever heard of it
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_REMOTE: Final = re.compile(r"[\w.+@-][\w.+@ -]*:.*", re.DOTALL)
_DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed STORE.

    Attributes:
        kind: 'folder', 'remote' or 's3'.
        display: how it is shown to people; free of credentials.
        root: what rclone calls it. Ends with '/', so that rclone takes it for a folder without asking: its question
            whether an S3 prefix is a file turns every refusal into 'is a file'.
        folder: the folder itself; None for the others.
        environment: variables that rclone needs to reach it, secrets among them.
        user_config: rclone reads the user's own configuration file.
    """

    kind: Literal["folder", "remote", "s3"]
    display: str
    root: str
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_config: bool = False

    def show(self, path: str) -> str:
        """The address of something inside, for people."""
        return _join(self.display, path)

    def inside(self, path: str) -> str:
        """What rclone calls something inside."""
        return _join(self.root, path) + "/"

    @property
    def container(self) -> str:
        """What rclone calls the bucket or container this lies in; of a folder, the folder itself."""
        if self.folder is not None:
            return self.root
        remote, _, path = self.root.partition(":")
        return f"{remote}:{path.partition('/')[0]}"


def parse_location(
    to: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Location:
    """Understand a STORE; endpoint, keys and region of an `s3://` one default to the AWS_* variables.

    `config` is the file of rclone's that knows the remote, instead of the user's own.

    Raises:
        UsageError: it is none of the three, or an `s3://` one lacks endpoint or keys.
    """
    if to.startswith(_S3):
        variables = os.environ if environment is None else environment
        return _s3(to, endpoint, access_key, secret_key, region, variables)
    if not to.strip():
        raise UsageError("store '': expected a folder, an rclone remote:path, or s3://bucket")
    if "://" in to:
        raise UsageError(
            f"store {to.partition('://')[0]}://...: expected a folder, an rclone remote:path, or s3://bucket"
        )
    if to.startswith(":") or re.match(r"[^/]*,[^/]*:", to):
        # Its options may hold secrets, and would end up in a shell's history, in `ps` and in lineage.
        raise UsageError(
            "store: an rclone connection string is not accepted; give the remote a name with 'rclone config' and "
            "pass NAME:path"
        )
    if _REMOTE.fullmatch(to) and not Path(to).exists():
        root = to if to.endswith((":", "/")) else f"{to}/"
        elsewhere = {} if config is None else {"RCLONE_CONFIG": str(config.expanduser().absolute())}
        return Location(kind="remote", display=to, root=root, environment=elsewhere, user_config=True)
    folder = Path(to).expanduser().absolute()
    return Location(kind="folder", display=str(folder), root=str(folder), folder=folder)


def _join(root: str, path: str) -> str:
    return f"{root}{'' if root.endswith((':', '/')) else '/'}{path}" if path else root


def _s3(
    to: str,
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    region: str | None,
    variables: Mapping[str, str],
) -> Location:
    bucket, _, prefix = to.removeprefix(_S3).strip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in prefix.split("/"):
        raise UsageError("store s3://...: expected s3://bucket or s3://bucket/prefix, with keys given apart")
    # Keys that come as a pair are used as a pair: a session's token belongs to the variables' keys only.
    own_keys = access_key is not None or secret_key is not None
    access = access_key if own_keys else variables.get("AWS_ACCESS_KEY_ID")
    secret = secret_key if own_keys else variables.get("AWS_SECRET_ACCESS_KEY")
    token = "" if own_keys else variables.get("AWS_SESSION_TOKEN", "")
    address = endpoint or variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    wanted = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
    missing = [name for name, value in wanted.items() if not value]
    if missing or not address:
        raise UsageError(
            f"store s3://{bucket}: set {', '.join(missing)} (an endpoint is an address like https://s3.example.org; "
            "for Amazon https://s3.us-east-1.amazonaws.com)"
        )
    if not re.fullmatch(r"https?://[^/@\s?#]+/?", address):
        raise UsageError(f"store s3://{bucket}: the endpoint is not an address like https://s3.example.org")
    options = {
        "type": "s3",
        "provider": "AWS" if ".amazonaws.com" in address else "Other",
        "env_auth": "false",
        "endpoint": address,
        "access_key_id": access or "",
        "secret_access_key": secret or "",
        "session_token": token,
        "region": region or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION,
        "force_path_style": "true",
        # Every file is read back and its SHA-256 compared, so rclone's MD5 pass before and HEAD after are not needed.
        "disable_checksum": "true",
        "no_head": "true",
        "chunk_size": "16Mi",
        "upload_concurrency": "4",
    }
    path = f"{bucket}/{prefix}" if prefix else bucket
    return Location(
        kind="s3",
        display=f"s3://{path}",
        root=f"{_S3_REMOTE}:{path}/",
        environment={f"RCLONE_CONFIG_{_S3_REMOTE.upper()}_{key.upper()}": value for key, value in options.items()},
    )
