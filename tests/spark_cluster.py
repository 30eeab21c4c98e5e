"""A real standalone Spark cluster on loopback: a master, workers that can be killed, small JVMs that always stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cluster", "running_cluster"]

_START_S = 60.0
_DEFAULTS = """
spark.executor.cores 1
spark.driver.memory 512m
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
"""
# Small logs: compiling takes longer than running.
_QUICK = """
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.executor.extraJavaOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.driver.extraJavaOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1
"""
_LOGGING = """
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n%ex
"""


class Cluster:
    """The master's address, and its workers' processes."""

    def __init__(self, folder: Path, memory_mb: int, *, quick: bool) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        conf = folder / "conf"
        conf.mkdir(parents=True)
        (conf / "spark-defaults.conf").write_text(
            f"spark.executor.memory {memory_mb}m" + _DEFAULTS + (_QUICK if quick else "")
        )
        (conf / "log4j2.properties").write_text(_LOGGING)
        self.environment = {
            "SPARK_HOME": str(home),
            "SPARK_CONF_DIR": str(conf),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARK_DAEMON_MEMORY": "192m",
            "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            "PYSPARK_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
        }
        self._folder, self._home, self._memory_mb = folder, home, memory_mb
        self._port, self._page = _free_port(), _free_port()
        self.master = f"spark://127.0.0.1:{self._port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._page)]
        self._master = self._start("master", "org.apache.spark.deploy.master.Master", *options)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker, with one core; returns at once."""
        number = len(self.workers)
        options = [
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--webui-port",
            "0",
            "--cores",
            "1",
            "--memory",
            f"{self._memory_mb}m",
        ]
        folder = ["--work-dir", str(self._folder / f"work-{number}")]
        worker = self._start(
            f"worker-{number}", "org.apache.spark.deploy.worker.Worker", *options, *folder, self.master
        )
        self.workers.append(worker)
        return worker

    def wait(self, workers: int) -> None:
        """Until the master knows so many living workers."""
        until = time.monotonic() + _START_S
        while (alive := self._alive()) != workers:
            if time.monotonic() > until:
                raise TimeoutError(f"{alive} of {workers} workers after {_START_S:.0f} s; see {self._folder}")
            time.sleep(0.1)

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a worker and the executors that it started, as when a machine goes."""
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        """Everything, whatever state it is in."""
        for process in [*self.workers, self._master]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _alive(self) -> int:
        try:
            with urlopen(f"http://127.0.0.1:{self._page}/json/", timeout=5) as answer:
                return int(json.load(answer)["aliveworkers"])
        except OSError:
            return -1

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [str(self._home / "bin" / "spark-class"), *command],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@contextlib.contextmanager
def running_cluster(folder: Path, workers: int, *, memory_mb: int = 512, quick: bool = True) -> Iterator[Cluster]:
    """A cluster with so many workers of one core, ready; its settings in this process's environment meanwhile."""
    cluster = Cluster(folder, memory_mb, quick=quick)
    before = {name: os.environ.get(name) for name in cluster.environment}
    try:
        for _ in range(workers):
            cluster.add_worker()
        cluster.wait(workers)
        os.environ.update(cluster.environment)
        yield cluster
    finally:
        _stop_driver()
        cluster.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _stop_driver() -> None:
    """The JVM that PySpark keeps until this process ends."""
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context.stop()
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
