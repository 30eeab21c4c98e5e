"""The notebooks of notebooks/chameleon: valid, without stored outputs, and every code cell runs against the double."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from double import Double

    from matinee.settings import Settings

FOLDER = Path(__file__).parents[2] / "notebooks" / "chameleon"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


def _run(path: Path) -> dict[int, str]:
    """Runs every code cell; cell's place -> what it printed and showed."""
    book: Any = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=120, kernel_name="python3").execute(cwd=str(Path.cwd()))
    return {
        place: "".join(
            output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs
        )
        for place, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code")
    }


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_it_is_valid_and_stores_no_output(path: Path) -> None:
    book: Any = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
    first = next(place for place, cell in enumerate(code) if "plan" in cell.source)
    acts = [
        place
        for place, cell in enumerate(code)
        if "cloud.up(" in cell.source or ".down(settings=settings)" in cell.source
    ]
    assert first < min(acts), "the plan comes first"


def test_they_run_one_after_the_other(
    machine: Callable[..., Settings], kvm: Double, chi: Double, public_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()  # writes clouds.yaml
    settings = {"cloud": "kvm", "object_cloud": "chi", "public_key": str(public_key), "ssh_from": "203.0.113.7/32"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    Path("matinee.toml").write_text("\n".join(["[cloud]", *lines]))
    monkeypatch.setenv("IPYTHONDIR", str(Path.cwd() / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    assert [path.stem for path in BOOKS] == ["1_create_server", "2_object", "3_block", "4_delete"]

    made = _run(BOOKS[0])
    assert "create   server" in made[1]
    assert "matinee is ACTIVE at 127.0.0.70" in made[3]
    (first,) = kvm.compute.servers

    assert "matinee at chi: 0 objects, 0 bytes" in _run(BOOKS[1])[1]
    taken_over = _run(BOOKS[2])
    assert "action='keep'" in taken_over[0]
    assert "the same volume" in taken_over[2]
    (second,) = kvm.compute.servers
    assert first != second
    (volume,) = kvm.compute.volumes.values()
    assert volume["attachments"][0]["server_id"] == second

    gone = _run(BOOKS[3])
    assert "delete   server" in gone[0]
    assert "server=None" in gone[1]
    assert kvm.compute.servers == {}
    assert len(kvm.compute.volumes) == len(chi.containers) == 1
