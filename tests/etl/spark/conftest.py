"""One cluster for all tests of a worker; starting it, and a session on it, takes longer than most tests."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from spark_cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers; a session of this process that transforms use."""
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("Spark needs Java 17 or newer, and none is here: apt-get install openjdk-17-jre-headless")
    with running_cluster(tmp_path_factory.mktemp("spark") / "cluster", workers=2) as running:
        from pyspark.sql import SparkSession

        SparkSession.builder.master(running.master).getOrCreate()
        yield running
