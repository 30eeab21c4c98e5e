"""The transform on a real Spark cluster on loopback beside the same on one machine: the same bytes, at what price.

    python benchmarks/spark.py --rows 5e6

Starts a master and one worker, then two (a core and a gigabyte each), gives both the log that `generate.py` writes, and
compares every file with what the local engine makes of it on one core and on two. The first transform of a cluster
includes starting Java, as for a person who types the command; the second only executors and their Python.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from generate import generate
from machine import busy_share, describe_machine
from matinee.etl.transform import transform
from matinee.schema.transform_settings import TransformSettings

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from spark_cluster import running_cluster

_RESULTS = Path(__file__).parent / "results" / "spark.json"


def main() -> None:
    """Parse the options, measure, tell, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=5e6)
    parser.add_argument("--ties", choices=["input", "shuffle"], default="input")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="matinee-spark-") as name:
        folder = Path(name)
        log = folder / "ratings.csv"
        generate(log, rows=int(options.rows))
        found = _measure(log, folder, TransformSettings(name="log", ties=options.ties))
    report = {
        "machine": describe_machine(("matinee", "numba", "numpy", "pyarrow", "pyspark")),
        "rows": int(options.rows),
        "ties": options.ties,
        **found,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def _measure(log: Path, folder: Path, settings: TransformSettings) -> dict[str, Any]:
    """Seconds of each way, and whether all files are the same."""
    busy = busy_share()
    local: dict[str, Any] = {}
    for workers in (1, 2):
        local[f"{workers} core"] = _timed(log, folder / "local", settings, workers=workers)
    expected = _contents(folder / "local")
    shutil.rmtree(folder / "local")
    spark: dict[str, Any] = {}
    for workers in (1, 2):
        with running_cluster(folder / f"cluster-{workers}", workers, memory_mb=1024, quick=False) as cluster:
            for start in ("cold", "warm"):
                out = folder / "spark"
                with nullcontext() if start == "cold" else _session(cluster.master):
                    figures = _timed(log, out, settings, spark=cluster.master)
                if _contents(out) != expected:
                    raise SystemExit(f"{workers} workers, {start}: not the bytes of one machine")
                spark[f"{workers} worker, {start}"] = figures
                print(f"{workers} worker, {start}: {figures}", file=sys.stderr)
                shutil.rmtree(out)
    return {"busy_before": busy, "busy_after": busy_share(), "same_bytes": True, "local": local, "spark": spark}


def _session(master: str) -> Any:
    """A session that transforms use and leave open, with its executors there."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the local engine is measured without it

    session = SparkSession.builder.master(master).getOrCreate()
    session.range(1000).repartition(4).count()
    return session


def _timed(log: Path, out: Path, settings: TransformSettings, **how: Any) -> dict[str, Any]:
    start = time.perf_counter()
    transform(log, out, settings, force=True, **how)
    seconds = time.perf_counter() - start
    phases = json.loads((out / "run.json").read_text())["phases_s"]
    return {"seconds": round(seconds, 2), "phases_s": phases}


def _contents(folder: Path) -> dict[str, str]:
    """Size and SHA-256 of every file, as the manifest has them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {file["path"]: f"{file['size']} {file['sha256']}" for file in manifest["files"]}


if __name__ == "__main__":
    main()
