"""A light start hides SciPy and cffi from Numba alone."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from matinee.etl.numba_start import start_numba_lightly
start_numba_lightly()
import numpy as np
from matinee.etl.ids import DenseIds
assert DenseIds(9, 10**6).assign(np.array([7, 3, 7], np.uint32)).tolist() == [1, 2, 1]
assert not {"scipy", "cffi"} & set(sys.modules), "hidden while Numba starts, and not left behind as missing"
start_numba_lightly()
"""


def test_numba_works_and_nothing_is_left_hidden() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True)
