"""A small version split leave-one-out, for tests of the benchmark of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matinee
from matinee.version import open_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matinee.version import Version

__all__ = ["make_version"]


def make_version(folder: Path, events: Sequence[tuple[int, int]]) -> Version:
    """The version of these (user, item), one a second."""
    log = folder / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"{who},{what},{at + 1000}\n" for at, (who, what) in enumerate(events)))
    return open_version(matinee.transform(log, out=folder / "version", name="toy", split="leave-one-out").folder)
