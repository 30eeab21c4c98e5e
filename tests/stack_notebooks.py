"""The notebooks that a stack's Jupyter has, run for tests as Jupyter would run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from matinee.stack.folders import Folders
from matinee.stack.services import SERVICES
from matinee.stack.state import StackState

if TYPE_CHECKING:
    from matinee.stack import Stack

__all__ = ["NAMES", "ROOT", "execute", "placed", "shipped"]

ROOT = Path(__file__).parents[1]
NAMES = ("01_data.ipynb", "demo.ipynb")


def shipped(name: str) -> nbformat.NotebookNode:
    """As it lies in the repository."""
    return nbformat.read(ROOT / "notebooks" / name, as_version=4)


def placed(stack: Stack, name: str) -> nbformat.NotebookNode:
    """As it lies in the folder of the stack's Jupyter."""
    return nbformat.read(stack.data_dir / "jupyter" / name, as_version=4)


def execute(notebook: nbformat.NotebookNode, stack: Stack) -> list[dict[str, Any]]:
    """Run every cell in a kernel with the environment that the stack's Jupyter gives its own; all their outputs."""
    folders = Folders.of(stack.data_dir)
    state = StackState.read(folders.state)
    assert state is not None
    jupyter_itself = SERVICES["jupyter"].program(folders, state)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": jupyter_itself.folder}}
    )
    client.execute(env=jupyter_itself.environment)
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
