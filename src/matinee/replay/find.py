"""Which replay a person means: a folder, or an id below the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matinee.errors import ReplayError, UsageError
from matinee.replay.folder import RECORD

__all__ = ["REPLAYS", "find_replay"]

REPLAYS: Final = "replays"  # in the data folder


def find_replay(replay: str | Path | None, data_dir: Path, *, otherwise: str = "or name the folder of one") -> Path:
    """The folder of a replay.

    Args:
        replay: a folder, or an id below `data_dir`, or its beginning; None is the newest.
        data_dir: whose replays are meant.
        otherwise: what else to do where there is none.

    Raises:
        UsageError: several are meant.
        ReplayError: there is none.
    """
    root = data_dir / REPLAYS
    if replay is not None and (Path(replay) / RECORD).is_file():
        return Path(replay)
    found = sorted((path.parent for path in root.glob(f"*/*/{RECORD}")), key=lambda folder: folder.name)
    if replay is not None:
        found = [folder for folder in found if folder.name.startswith(str(replay))]
        if len(found) > 1:
            raise UsageError(f"{str(replay)!r} is the beginning of {', '.join(folder.name for folder in found)}")
    if not found:
        named = f"no replay {str(replay)!r}" if replay is not None else "no replay yet"
        raise ReplayError(f"{root}: {named}; run 'matinee replay', {otherwise}")
    return found[-1]
