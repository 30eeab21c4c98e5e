"""A session on a Spark cluster, opened for one transform or the caller's own, and what its failures come down to."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError  # type: ignore[import-untyped]  # it ships no types
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from matinee.errors import SparkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cluster_session", "one_line"]

_CONNECT_S = 5.0
_WORKERS_S = 60.0
_NO_WORKERS = "has no worker with a free core and memory for an executor"


@contextmanager
def cluster_session(master: str) -> Iterator[SparkSession]:
    """A session with this master; one that is active in this process already is used, and left as it is.

    All else about the cluster (memory, cores, packages, keys of S3) is read from `spark-defaults.conf`, as Spark does.

    Raises:
        UsageError: no Java, or another session is active here.
        SparkError: nobody listens at the master, it has no workers, or a job on it failed.
    """
    active = SparkSession.getActiveSession()
    if active is not None and active.sparkContext.master != master:
        raise UsageError(
            f"--master {master}: this process has a session of {active.sparkContext.master}; stop it first"
        )
    try:
        with warnings.catch_warnings():
            # No pandas has a part in what we do, but PySpark warns of its version wherever it meets an array.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            session = active or _open(master)
            try:
                _wait_for_workers(session, master)
                yield session
            except BaseException:
                session.sparkContext.cancelAllJobs()
                raise
            finally:
                if active is None:
                    session.stop()
    except (PySparkException, Py4JError) as failure:
        text = str(failure)
        if "No space left on device" in text:
            raise OSError(errno.ENOSPC, "no space left on a worker of the cluster") from failure
        raise SparkError(f"{master}: a job failed ({one_line(text)}); the workers' logs tell more") from failure


def one_line(failure: str) -> str:
    """What a traceback, of Python within Java as a rule, comes down to: its last line that names an error."""
    lines = [line.strip() for line in failure.splitlines()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.{3}", line) and not line.endswith(":")]
    python = [line for line in named if not line.startswith(("org.", "java.", "py4j."))]
    return ((python or named or [line for line in lines if line] or ["no reason given"])[-1])[:300]


def _open(master: str) -> SparkSession:
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which(f"{home}/bin/java") if home else shutil.which("java")):
        raise UsageError("--engine spark: no Java found; install Java 17 or newer (see 'matinee doctor')")
    _knock(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("matinee transform")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _knock(master: str) -> None:
    """Spark itself would try for minutes, and then say it in a hundred lines."""
    if not master.startswith("spark://"):
        return
    failure = "no address"
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_S).close()
        except (OSError, ValueError) as refused:
            failure = str(refused)
        else:
            return
    raise SparkError(f"{master}: nobody answers ({failure}); start the master, or correct --master")


def _wait_for_workers(session: SparkSession, master: str) -> None:
    """A job on a cluster without workers would wait for ever."""
    if master.startswith("local"):
        return
    context = session.sparkContext._jsc.sc()  # noqa: SLF001 - PySpark shows executors nowhere else
    until = time.monotonic() + _WORKERS_S
    while context.getExecutorMemoryStatus().size() < 2:  # the driver counts as one
        if time.monotonic() > until:
            raise SparkError(f"{master}: {_NO_WORKERS}; start one, or lower spark.executor.memory and .cores")
        time.sleep(0.1)
