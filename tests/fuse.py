"""Whether this machine can mount; tests that need it are skipped loudly where it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

__all__ = ["FUSERMOUNT", "needs_fuse"]

FUSERMOUNT = shutil.which("fusermount3")

needs_fuse = pytest.mark.skipif(
    not Path("/dev/fuse").exists() or FUSERMOUNT is None,
    reason="mounting needs /dev/fuse (docker run --device /dev/fuse) and fusermount3 (tests/debian.sh installs it)",
)
