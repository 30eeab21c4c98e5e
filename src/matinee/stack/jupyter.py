"""JupyterLab over the data folder's notebooks: what it is told, and whether it is well."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import httpx

__all__ = ["command", "environment", "is_healthy", "prepare"]

_ANSWER_TIMEOUT_S: Final = 5.0
_NOTEBOOKS: Final = Path(__file__).with_name(
    "notebooks"
)  # links into the repository's; an installed Matinee has copies


def prepare(folder: Path) -> None:
    """Make the folder of the notebooks, with Jupyter's own settings in it, so that they move along with it.

    Matinee's own notebooks are put there where they are missing; one that is there is the user's and stays as it is.
    """
    for place in (folder, folder / ".jupyter"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for notebook in _NOTEBOOKS.glob("*.ipynb"):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)


def command(folder: Path, port: int, listen: str) -> list[str]:
    """The argv of a server in the foreground; its token comes with `environment`."""
    return [
        *(sys.executable, "-P", "-m", "jupyterlab", "--no-browser"),
        *(f"--ServerApp.ip={listen}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--ServerApp.root_dir={folder}",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def environment(folder: Path, runtime: Path, *, token: str, notebooks: dict[str, str]) -> dict[str, str]:
    """The server's environment: the caller's, the token, and `notebooks`, which every notebook sees as well."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER_", "MLFLOW_"))}
    return ours | notebooks | {
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTER_DATA_DIR": str(folder / ".jupyter" / "share"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
    }  # fmt: skip


def is_healthy(url: str, token: str) -> bool:
    """Whether the server at `url` answers and takes the token."""
    try:
        with httpx.Client(trust_env=False, timeout=_ANSWER_TIMEOUT_S) as client:
            return client.get(f"{url}/api/status", headers={"Authorization": f"token {token}"}).is_success
    except httpx.TransportError:
        return False
