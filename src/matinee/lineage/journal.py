"""The file of events: appended one whole line at a time, read back whatever a killed process left at its end."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from matinee.errors import DiskFullError, LineageError
from matinee.lineage.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DIGEST", "EVENTS", "JOB_NAMESPACE", "RecordedRun", "append", "read"]

EVENTS = "events.jsonl"
JOB_NAMESPACE = "matinee"
DIGEST = "matinee_digest"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of a stage as its events tell it.

    Attributes:
        id: the run's UUID.
        job: the stage, as in 'transform'.
        state: 'START' while it lasts or where it was killed, then 'COMPLETE' or 'FAIL'.
        started, ended: ISO 8601 in UTC; `ended` is empty while it lasts.
        inputs, outputs: artifacts, as of the last event.
        error: why it failed.
    """

    id: str
    job: str
    state: str
    started: str
    ended: str = ""
    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    error: str = field(default="")


def append(path: Path, line: bytes) -> None:
    """Add one line (with its newline) in a single write, so that no other writer's line is ever split.

    A line that a killed process left unfinished is closed first; when the disk is full the file is as before.

    Raises:
        DiskFullError: no space left.
        LineageError: the file cannot be written for another reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with suppress(OSError):  # a network file system without locks still appends whole lines
                fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(file, line) != len(line):
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(
                f"{path}: no space left for a lineage event of {len(line)} bytes; make room and run the stage again"
            ) from None
        raise LineageError(
            f"{path}: cannot be written ({error.strerror}); make the folder writable, or choose another one"
        ) from None


def read(path: Path) -> tuple[RecordedRun, ...]:
    """The runs in the file, in the order in which they started; empty where there is no file.

    Lines that are no event of Matinee (a torn one, another program's) are passed over.

    Raises:
        LineageError: the file is there and cannot be read.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise LineageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    runs: dict[str, RecordedRun] = {}
    for event in _events(content):
        with suppress(KeyError, TypeError, AttributeError, ValueError):
            _add(runs, event)
    return tuple(runs.values())


def _events(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        # A torn line is not JSON; with a kill in the middle of a character it is not even UTF-8 (a ValueError too).
        with suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


def _add(runs: dict[str, RecordedRun], event: dict[str, Any]) -> None:
    if event["job"]["namespace"] != JOB_NAMESPACE:
        return
    run_id, state, moment = event["run"]["runId"], event["eventType"], event["eventTime"]
    inputs, outputs = (_artifacts(event.get(side) or []) for side in ("inputs", "outputs"))
    known = runs.get(run_id) or RecordedRun(id=run_id, job=event["job"]["name"], state=state, started=moment)
    message = (event["run"].get("facets") or {}).get("errorMessage", {}).get("message", "")
    runs[run_id] = replace(
        known,
        state=state,
        ended="" if state == "START" else moment,
        inputs=inputs or known.inputs,
        outputs=outputs or known.outputs,
        error=message,
    )


def _artifacts(datasets: list[dict[str, Any]]) -> tuple[Artifact, ...]:
    found = []
    for dataset in datasets:
        digest = dataset.get("facets", {}).get(DIGEST)
        if digest is None:
            continue
        statistics = dataset.get("outputFacets", {}).get("outputStatistics", {})
        columns = dataset["facets"].get("schema", {}).get("fields", [])
        found.append(
            Artifact(
                kind=digest["kind"],
                name=digest["name"],
                location=digest["location"],
                sha256=digest["sha256"],
                size_bytes=statistics.get("size"),
                rows=statistics.get("rowCount"),
                files=statistics.get("fileCount"),
                version=digest["version"],
                source_sha256=digest["sourceSha256"],
                files_sha256=digest["filesSha256"],
                columns=tuple((column["name"], column["type"]) for column in columns),
                contents=tuple((digest.get("contents") or {}).items()),
            )
        )
    return tuple(found)
