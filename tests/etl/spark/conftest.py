"""One cluster for all tests of a worker; starting it, and a session on it, takes longer than most tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers; a session of this process that transforms use."""
    with running_cluster(tmp_path_factory.mktemp("spark") / "cluster", workers=2) as running:
        from pyspark.sql import SparkSession

        SparkSession.builder.master(running.master).getOrCreate()
        yield running
