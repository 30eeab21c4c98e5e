"""The notebook that a stack's Jupyter has, every cell of it run as Jupyter would, over a version that was published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

import matinee
from matinee import database
from matinee.lineage import Recorder
from stack_notebooks import execute, placed

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.register import Registered
    from matinee.stack import Stack

EVENTS, USERS, ITEMS = 600, 40, 30

# Appended to the notebook: what its cells found, as JSON.
FOUND = """
import json

print(json.dumps({
    "version": newest.id,
    "rows": [certificate.train.rows, certificate.eval.rows, certificate.test.rows],
    "people": [known.users, known.items],
    "busiest": busiest,
    "links": [[link.kind, link.state] for link in chain.links],
    "run": run.info.run_id,
    "digest": dataset.digest,
    "artifacts": artifacts,
}))
"""

pytestmark = pytest.mark.xdist_group("stack")


def test_every_cell_runs_over_what_was_published(stack_service: Stack, tmp_path: Path) -> None:
    registered = publish(stack_service, tmp_path)
    notebook = placed(stack_service, "01_data.ipynb")
    notebook.cells.append(nbformat.v4.new_code_cell(FOUND))
    outputs = execute(notebook, stack_service)
    found: dict[str, Any] = json.loads(outputs[-1]["text"])

    known = database.version(stack_service.postgres_url, registered.id)
    assert found["version"] == registered.id
    assert found["rows"] == [known.train, known.eval, known.test]
    assert sum(found["rows"]) == EVENTS
    assert found["people"] == [registered.users, registered.items] == [USERS, ITEMS]
    assert found["busiest"][0] == "7"
    kinds = ("source", "archive", "version", "published", "registered", "registered")
    assert found["links"] == [[kind, "ok"] for kind in kinds]
    assert any(f"  registered  ok         {registered.id}\n" in output.get("text", "") for output in outputs)
    assert found["run"] == registered.run
    assert known.manifest_sha256.startswith(found["digest"])
    assert found["artifacts"] == ["certificate.html", "certificate.json"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    password = stack_service.postgres_url.split("@")[0].rpartition(":")[2]
    assert password not in json.dumps(outputs)


def publish(stack: Stack, folder: Path) -> Registered:
    """A version of a log of its own, published to the stack and registered in it; users come one after the other."""
    log = folder / "notebook.csv"
    users = [7 if number % 3 == 0 else number * USERS // EVENTS for number in range(EVENTS)]
    lines = [f"{user},{n % ITEMS},3.0,{1_000_000_000 + 86_400 * n}" for n, user in enumerate(users)]
    log.write_text("\n".join(["userId,movieId,rating,timestamp", *lines, ""]))
    lineage = Recorder(stack.data_dir / "lineage")
    made = matinee.transform(log, out=folder / "version", name="notebook", lineage=lineage)
    loaded = matinee.versions.publish(made.folder, data_dir=stack.data_dir, lineage=lineage)
    return matinee.register(made.folder, location=loaded.location, data_dir=stack.data_dir, lineage=lineage)
