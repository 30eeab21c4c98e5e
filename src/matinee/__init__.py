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

# Not looked up late like the others: a module of the package has the same name, and whoever imports that module first
# must not change what `matinee.rehearse` means. It is light itself.
from matinee.rehearse import rehearse

if TYPE_CHECKING:
    from matinee.checkup.doctor import doctor
    from matinee.etl import data, versions
    from matinee.etl.stages import extract, load, transform
    from matinee.etl.tracing import trace
    from matinee.etl.versions import mount, unmount

    __version__: str

__all__ = [
    "__version__",
    "data",
    "doctor",
    "extract",
    "load",
    "mount",
    "rehearse",
    "trace",
    "transform",
    "unmount",
    "versions",
]

# Public name -> its module, and the name there; an empty name is the module itself.
_PLACES = {
    "data": ("matinee.etl.data", ""),
    "doctor": ("matinee.checkup.doctor", "doctor"),
    "extract": ("matinee.etl.stages", "extract"),
    "load": ("matinee.etl.stages", "load"),
    "mount": ("matinee.etl.versions", "mount"),
    "trace": ("matinee.etl.tracing", "trace"),
    "transform": ("matinee.etl.stages", "transform"),
    "unmount": ("matinee.etl.versions", "unmount"),
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
