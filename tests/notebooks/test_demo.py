"""The online demo, every cell of it run as Jupyter would: a published version, a registered network, a real replay."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest

import matinee
from matinee.model.histories import Histories
from matinee.model.opening import open_model
from matinee.train.evaluate import evaluate_split
from small_version import small_version
from stack_notebooks import execute, placed

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack import Stack
    from matinee.version import Version

TINY = {"item_dim": 4, "user_dim": 4, "blocks": 1, "maxlen": 6, "negatives": 4, "epochs": 2, "batch_size": 32}

# Appended to the notebook: what its cells found, as JSON.
FOUND = """
import json

print(json.dumps({
    "version": version.id,
    "busiest": busiest,
    "best": np.argsort(-scores)[:5].tolist(),
    "arm": {key: arm[key] for key in ("model", "answered", "told", "metrics", "warm_users", "cold_users")},
    "steps": [[step.number, [item.raw for item in step.last], str(step.taken)] for step in person.steps],
    "user": person.user,
    "published": [replayed.publication.page, replayed.publication.location],
}))
"""

pytestmark = pytest.mark.xdist_group("stack")


def test_every_cell_runs_over_a_replay_of_its_own(stack_service: Stack, tmp_path: Path) -> None:
    version = publish(stack_service, tmp_path)
    trained = matinee.train(version.folder, options=TINY, prior="off", data_dir=stack_service.data_dir)
    assert trained.champion
    notebook = placed(stack_service, "demo.ipynb")
    notebook.cells.append(nbformat.v4.new_code_cell(FOUND))
    outputs = execute(notebook, stack_service)
    found: dict[str, Any] = json.loads(outputs[-1]["text"])

    assert found["version"] == version.id
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert all(found["published"])
    password = stack_service.postgres_url.split("@")[0].rpartition(":")[2]
    assert password not in json.dumps(outputs)

    model, facts = open_model(trained.folder, engine="onnx")
    history = version.sequences("train").of(found["busiest"])
    scores = model.scores(Histories.of([found["busiest"]], [history.tolist()]))[0]
    scores[history] = -np.inf
    assert found["best"] == np.argsort(-scores)[:5].tolist()

    # There are fewer people than it asks for, and the model has no prior: the same as the evaluation of all of eval.
    expected = evaluate_split(model, version, split="eval")
    arm = found["arm"]
    assert arm["model"] == f"sse-pt@{facts.weights_sha256[:12]}"
    assert arm["answered"] == arm["told"] == expected.ranks.size
    assert arm["metrics"] == pytest.approx(expected.metrics)
    for people in ("warm users", "cold users"):
        part = expected.segments[people]
        assert arm[people.replace(" ", "_")] == {"events": part.events, "metrics": pytest.approx(part.metrics)}
        assert part.events

    taken = own_items(version, found["user"])
    before = len(taken) - expected.users.tolist().count(version.raw_users.tolist().index(found["user"]) + 1)
    assert found["steps"] == [
        [number, taken[max(0, place - 3) : place], f"Film {taken[place]} (1999)"]
        for number, place in enumerate(range(before, min(before + 3, len(taken))), 1)
    ]


def publish(stack: Stack, folder: Path) -> Version:
    """A version of a log with a movie file, published to the stack; people come and go, so that eval has both kinds."""
    chance = random.Random(11)
    rows = []
    for number in range(600):
        user = 500 + number // 40 + chance.randrange(12)
        rows.append((user, 10 + int(chance.paretovariate(0.8)) % 40, 10**9 + 3600 * number))
    movies = "movieId,title,genres\n" + "".join(f"{item},Film {item} (1999),Drama\n" for item in range(10, 60))
    version = small_version(folder, rows, name="demo", beside={"movies.csv": movies})
    matinee.versions.publish(version.folder, data_dir=stack.data_dir)
    return version


def own_items(version: Version, user: int) -> list[int]:
    """Raw ids of all that somebody took in train and eval, the oldest first."""
    dense = version.raw_users.tolist().index(user) + 1
    items = np.concatenate([version.sequences(split).of(dense) for split in ("train", "eval")])
    taken: list[int] = version.raw_items[items - 1].tolist()
    return taken
