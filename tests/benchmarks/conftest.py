"""The benchmarks are scripts that import each other by plain names, so their folders go onto the path."""

from __future__ import annotations

import sys
from pathlib import Path

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path[:0] = [str(_BENCHMARKS), str(_BENCHMARKS / "train_peers"), str(Path(__file__).parent)]
