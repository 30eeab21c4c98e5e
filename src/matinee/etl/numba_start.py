"""Numba without what it looks for and Matinee never uses: in a process of our own it is ready sooner.

At the first compiled call Numba imports SciPy (for a BLAS) and cffi where they are installed. A process that is told
here that there are none cannot use Numba for linear algebra, so only the command line and the benchmarks do this, never
the library.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["start_numba_lightly"]

_UNUSED = ("scipy", "cffi")


def start_numba_lightly() -> None:
    """Import Numba as if SciPy and cffi were not there; others find them as before. Nothing happens where it runs."""
    if "numba" in sys.modules:
        return
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes an import fail
    try:
        import_module("numba.np.arraymath")
        import_module("numba.core.typing.cffi_utils")
    finally:
        for name in hidden:
            del sys.modules[name]
