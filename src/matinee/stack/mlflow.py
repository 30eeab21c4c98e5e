"""MLflow's tracking server over the stack's Postgres and S3: what it is told, and whether it is well."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import httpx

from matinee.stack.state import in_url

if TYPE_CHECKING:
    from matinee.stack.endpoint import Endpoint

__all__ = ["BUCKET", "DATABASE", "command", "environment", "is_healthy"]

BUCKET: Final = "mlflow"
DATABASE: Final = "mlflow"
_ANSWER_TIMEOUT_S: Final = 5.0
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


def command() -> list[str]:
    """The argv of a server in the foreground; all it needs comes with `environment`."""
    return [sys.executable, "-P", "-m", "matinee.stack.mlflow_server"]


def environment(port: int, listen: str, *, database: str, s3: Endpoint) -> dict[str, str]:
    """The server's environment: the caller's without what is meant for other servers, with database, bucket and keys.

    Args:
        port: where it listens.
        listen: on which address.
        database: the address of its database in Postgres.
        s3: where artifacts go; clients send them through this server and need no keys.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_", "_MLFLOW_"))}
    return ours | {
        "MLFLOW_HOST": listen,
        "MLFLOW_PORT": str(port),
        "MLFLOW_BACKEND_STORE_URI": database.replace("postgresql://", "postgresql+psycopg://", 1),
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(_hosts(port, listen)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # another process, for what is not used here
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_S3_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": s3.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def is_healthy(url: str) -> bool:
    """Whether the server at `url` says that it is well."""
    try:
        with httpx.Client(trust_env=False, timeout=_ANSWER_TIMEOUT_S) as client:
            return client.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False


def _hosts(port: int, listen: str) -> list[str]:
    """The Host headers that are let in: names of this machine, and of the address that was opened, if any.

    A page in somebody's browser that makes its own name lead here (DNS rebinding) sends another, and gets a 403.
    """
    names = [*_LOCAL_NAMES]
    if listen in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        names += _addresses()
    elif in_url(listen) not in names:
        names.append(in_url(listen))
    return [text for name in names for text in (name, f"{name}:{port}")]


def _addresses() -> list[str]:
    """This machine's names and addresses."""
    import socket  # noqa: PLC0415 - as psutil below

    import psutil  # noqa: PLC0415 - only a stack that listens everywhere needs to know them

    found = {socket.gethostname(), socket.getfqdn()}
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family in {socket.AF_INET, socket.AF_INET6}:
                found.add(in_url(address.address.partition("%")[0]))
    return sorted(found - set(_LOCAL_NAMES))
