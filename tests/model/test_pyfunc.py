"""The pyfunc in MLflow for real: logged, loaded where there is neither Matinee nor PyTorch, asked with raw ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from matinee.errors import ModelMismatchError, ModelNotFoundError, VersionNotFoundError
from matinee.model import pyfunc
from matinee.model.checkpoint import load
from matinee.model.histories import Histories
from matinee.schema.layout import ITEM_IDS, USER_IDS
from matinee.schema.manifest import IdMapEntry, Manifest, SourceEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USERS = [7 * user for user in range(1, 61)]
ITEMS = [f"film {item}" for item in range(1, 25)]

LOG = """
import os, sys, warnings
warnings.simplefilter("ignore")
import mlflow
from matinee.model import pyfunc
mlflow.set_tracking_uri(sys.argv[3])
experiment = mlflow.create_experiment("toys", artifact_location=sys.argv[4])
with mlflow.start_run(experiment_id=experiment):
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=pyfunc.PYTHON_MODEL,
        artifacts=pyfunc.artifacts(sys.argv[1], sys.argv[2]),
        pip_requirements=pyfunc.requirements(),
    )
print(logged.model_uri)
"""

ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
for name in ("matinee", "torch", "onnx"):
    sys.modules[name] = None
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
asked = json.load(sys.stdin)
answers = [model.predict(asked["rows"])]
answers.append(model.predict(pandas.DataFrame(asked["rows"])))
answers.append([model.predict([row])[0] for row in asked["rows"]])
for row in asked["wrong"]:
    try:
        answers.append(model.predict([row]))
    except ValueError as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
"""


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """What the pyfunc takes of a version: its manifest and id maps."""
    folder = tmp_path / "version"
    for path, raw in ((USER_IDS, USERS), (ITEM_IDS, ITEMS)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"id": pa.array(range(1, len(raw) + 1), pa.int32()), "raw": raw})
        parquet.write_table(table.take([*reversed(range(len(raw)))]), folder / path)
    manifest = Manifest(
        id="0123456789abcdef",
        name="toys",
        format=1,
        source=SourceEntry("toys", "toys.csv", 1, "e" * 64, "toys.csv"),
        settings={},
        users=IdMapEntry(len(USERS), "integer", "a" * 64),
        items=IdMapEntry(len(ITEMS), "string", "b" * 64),
        files=(),
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def test_raw_ids_in_ranked_raw_ids_out(exported: Callable[[str], Path], version: Path, tmp_path: Path) -> None:
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    address = _python(LOG, exported("sse-pt"), version, tracking, (tmp_path / "artifacts").as_uri())
    rows: list[dict[str, Any]] = [
        {"user": 14, "history": ["film 1", "film 2", "film 9"], "k": 4},
        {"user": "14", "history": ["film 1", "film 2", "film 9"], "k": 4, "exclude_seen": False},
        {"user": "nobody we know", "history": ["a film we have not", "film 3"], "k": 3},
        {"user": None, "history": []},
        {"user": "--14", "history": ["--3"]},
        {"user": 21, "history": ITEMS * 3, "k": 2},
        {"user": 28, "history": ["film 5"], "k": 1_000},
    ]
    wrong = [{"user": 1, "historie": []}, {"user": 1, "history": "film 1"}, {"user": 1, "k": 0}, 5]
    asked = json.dumps({"rows": rows, "wrong": wrong})
    listed, framed, alone, *refused = json.loads(_python(ASK, tracking, address, given=asked))
    assert listed == framed
    assert [answer["items"] for answer in alone] == [answer["items"] for answer in listed]
    expected = _expected(exported("sse-pt"), rows)
    assert [answer["items"] for answer in listed] == [items for items, _ in expected]
    for answer, (_, scores) in zip(listed, expected, strict=True):
        np.testing.assert_allclose(answer["scores"], scores, atol=1e-5)
    assert [len(answer["items"]) for answer in listed] == [4, 4, 3, 10, 10, 0, 18]
    assert refused == [
        "field 'historie' is unknown; known are exclude_seen, history, k, user",
        "history is 'film 1', expected a list of ids",
        "k is 0, expected 1 or more",
        "a question is 5, expected a record with user and history",
    ]


def _expected(folder: Path, rows: list[dict[str, Any]]) -> list[tuple[list[str], list[float]]]:
    """By PyTorch, one question after the other."""
    model, _ = load(folder)
    answers = []
    for row in rows:
        history = [ITEMS.index(item) + 1 if item in ITEMS else 0 for item in row["history"]]
        user = next((at + 1 for at, raw in enumerate(USERS) if str(raw) == str(row["user"])), 0)
        scores = model.scores(Histories.of([user], [history]))[0]
        if row.get("exclude_seen", True):
            scores[history] = -np.inf
        best = [item for item in np.argsort(-scores, kind="stable").tolist() if np.isfinite(scores[item])]
        best = best[: row.get("k", 10)]
        answers.append(([ITEMS[item - 1] for item in best], [float(scores[item]) for item in best]))
    return answers


def test_the_files_are_those_that_belong_together(
    exported: Callable[[str], Path], version: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported("sasrec"), tmp_path / "model")
    assert set(pyfunc.artifacts(folder, version)) == {"model", "checkpoint", "users", "items"}
    manifest = (version / "manifest.json").read_text()
    (version / "manifest.json").write_text(manifest.replace("b" * 64, "d" * 64))
    with pytest.raises(ModelMismatchError, match="item ids"):
        pyfunc.artifacts(folder, version)
    (version / "manifest.json").write_text(manifest)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match=r"no model\.onnx; run 'matinee export"):
        pyfunc.artifacts(folder, version)
    with pytest.raises(VersionNotFoundError):
        pyfunc.artifacts(folder, tmp_path / "none")


def test_requirements_are_pinned() -> None:
    assert [line.split("==")[0] for line in pyfunc.requirements()] == ["mlflow", "numpy", "onnxruntime", "pyarrow"]
    assert all(line.count("==") == 1 and line[-1].isdigit() for line in pyfunc.requirements())


def _python(code: str, *arguments: object, given: str = "") -> str:
    """What a process of its own prints: MLflow warns on import, and keeps choices for the whole of a process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
