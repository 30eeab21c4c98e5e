"""A rehearsal before the evening show, for recommenders that learn from sequences.

Every verb of the command line is a function here, with the same parameters:

    import matinee

    version = matinee.transform("ratings.csv", out="versions/ratings")
    matinee.load(version.folder, to="/srv/matinee")
    matinee.versions.list(store="/srv/matinee")

A name is looked up when it is first used, so `import matinee` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not looked up late like the others: modules of the package have the same names, and whoever imports such a module
# first must not change what `matinee.rehearse` means. They are light themselves. (`from matinee.train import loop` and
# `from matinee.train.loop import fit` find the room of that name; `import matinee.train.loop as loop` does not.)
from matinee.dashboard.stage import dashboard
from matinee.export import export
from matinee.register import register
from matinee.rehearse import rehearse
from matinee.replay_and_report import replay
from matinee.serve.stage import serve
from matinee.train.stage import train

if TYPE_CHECKING:
    from matinee import cloud
    from matinee.checkup.doctor import doctor
    from matinee.etl import data, versions
    from matinee.etl.stages import extract, load, transform
    from matinee.etl.tracing import trace
    from matinee.etl.versions import mount, unmount
    from matinee.network import monitor
    from matinee.one_person.stage import person
    from matinee.place import open_named_version as open_version
    from matinee.replay.compare import compare_replays
    from matinee.serve.promotion import promote
    from matinee.stack.backup import backup
    from matinee.stack.credentials import credentials
    from matinee.stack.lifecycle import down, restart, up
    from matinee.stack.logs import logs
    from matinee.stack.restore import restore
    from matinee.stack.status import status
    from matinee.store import remotes as stores
    from matinee.train.report import evaluate

    __version__: str

__all__ = [
    "__version__",
    "backup",
    "cloud",
    "compare_replays",
    "credentials",
    "dashboard",
    "data",
    "doctor",
    "down",
    "evaluate",
    "export",
    "extract",
    "load",
    "logs",
    "monitor",
    "mount",
    "open_version",
    "person",
    "promote",
    "register",
    "rehearse",
    "replay",
    "restart",
    "restore",
    "serve",
    "status",
    "stores",
    "trace",
    "train",
    "transform",
    "unmount",
    "up",
    "versions",
]

# Public name -> its module, and the name there; an empty name is the module itself.
_PLACES = {
    "backup": ("matinee.stack.backup", "backup"),
    "cloud": ("matinee.cloud", ""),
    "compare_replays": ("matinee.replay.compare", "compare_replays"),
    "credentials": ("matinee.stack.credentials", "credentials"),
    "data": ("matinee.etl.data", ""),
    "doctor": ("matinee.checkup.doctor", "doctor"),
    "down": ("matinee.stack.lifecycle", "down"),
    "evaluate": ("matinee.train.report", "evaluate"),
    "extract": ("matinee.etl.stages", "extract"),
    "load": ("matinee.etl.stages", "load"),
    "logs": ("matinee.stack.logs", "logs"),
    "monitor": ("matinee.network", "monitor"),
    "open_version": ("matinee.place", "open_named_version"),
    "person": ("matinee.one_person.stage", "person"),
    "promote": ("matinee.serve.promotion", "promote"),
    "mount": ("matinee.etl.versions", "mount"),
    "restart": ("matinee.stack.lifecycle", "restart"),
    "restore": ("matinee.stack.restore", "restore"),
    "status": ("matinee.stack.status", "status"),
    "stores": ("matinee.store.remotes", ""),
    "trace": ("matinee.etl.tracing", "trace"),
    "transform": ("matinee.etl.stages", "transform"),
    "unmount": ("matinee.etl.versions", "unmount"),
    "up": ("matinee.stack.lifecycle", "up"),
    "versions": ("matinee.etl.versions", ""),
}


def __getattr__(name: str) -> Any:
    """Look a public name up where it lives, once."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - reading metadata costs more than all else here

        value: Any = version("matinee")
    elif name in _PLACES:
        module, attribute = _PLACES[name]
        value = import_module(module)
        if attribute:
            value = getattr(value, attribute)
    else:
        raise AttributeError(f"module 'matinee' has no attribute {name!r}; public are {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is public, looked up or not."""
    return sorted({*globals(), *__all__})
