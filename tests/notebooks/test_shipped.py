"""What is true of each notebook that a stack's Jupyter has, whatever is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import nbformat
import pytest

from matinee.stack import jupyter
from stack_notebooks import NAMES, ROOT, shipped

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_all_of_them_are_meant() -> None:
    assert sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_jupyter_offers_it(name: str, stack_service: Stack) -> None:
    address, _, token = stack_service.jupyter_url.partition("/lab?token=")
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        told = client.get(f"{address}/api/contents/{name}").raise_for_status().json()
    assert told["type"] == "notebook"
    assert [cell["id"] for cell in told["content"]["cells"]] == [cell["id"] for cell in shipped(name).cells]


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_there_is_left_alone(name: str, tmp_path: Path) -> None:
    jupyter.prepare(tmp_path)
    assert (tmp_path / name).read_bytes() == (ROOT / "notebooks" / name).read_bytes()
    (tmp_path / name).write_text("mine")
    jupyter.prepare(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_kept_without_outputs(name: str) -> None:
    notebook = shipped(name)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
