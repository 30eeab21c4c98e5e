"""The whole checkup, in the order in which a person asks: software, machine, folders, services, what is reached."""

from __future__ import annotations

from pathlib import Path

from matinee.checkup.finding import Report
from matinee.checkup.folders import folders
from matinee.checkup.machine import machine
from matinee.checkup.packages import packages
from matinee.checkup.programs import programs
from matinee.checkup.reach import mirrors, reached
from matinee.checkup.services import services
from matinee.place import DATA_DIR

__all__ = ["doctor"]


def doctor(
    *,
    online: bool = False,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = DATA_DIR,
) -> Report:
    """Look at everything that Matinee needs on this machine; nothing is changed, started or kept.

    Args:
        online: ask the catalogue's mirrors too; without it nothing beyond this machine is asked but the store.
        store: the store to reach; None is the one of `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: the data folder whose disk, rights and services are looked at.
    """
    folder = Path(data_dir)
    findings = [
        *packages(),
        *programs(),
        *machine(),
        *folders(folder),
        *services(folder),
        *reached(store, endpoint),
    ]
    if online:
        findings += mirrors()
    return Report(tuple(findings))
