"""What a training wrote down, epoch by epoch: `epochs.jsonl` from the loop, and `system.jsonl`, how the machine was.

The two files are the truth about a training; MLflow gets a copy whenever it answers.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["EPOCHS", "SYSTEM", "Epoch", "SystemLog", "read"]

EPOCHS: Final = "epochs.jsonl"
SYSTEM: Final = "system.jsonl"
_MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch that is done.

    Attributes:
        number: from 0.
        at_ms: when it ended, Unix milliseconds.
        metrics: loss, learning rate, speed; 'eval/ndcg@10' and so on where it was validated; 'system/...'.
    """

    number: int
    at_ms: int
    metrics: dict[str, float]


def read(folder: Path) -> list[Epoch]:
    """All epochs so far; none where nothing was trained in epochs."""
    system = {line["epoch"]: line for line in _lines(folder / SYSTEM)}
    found = []
    for line in _lines(folder / EPOCHS):
        told = system.get(line["epoch"], {})
        # Trained without tracking, nobody looked at the clock.
        at_ms = told.get("at_ms") or int((folder / EPOCHS).stat().st_mtime * 1000)
        numbers = {name: line[name] for name in ("loss", "learning_rate", "sequences_per_s", "seconds")}
        numbers |= {f"eval/{name}": value for name, value in line["metrics"].items()}
        numbers |= {f"system/{name}": value for name, value in told.get("system", {}).items()}
        found.append(Epoch(line["epoch"], at_ms, {name: v for name, v in numbers.items() if math.isfinite(v)}))
    return found


class SystemLog:
    """Notes after each epoch how the machine was during it, under the names that MLflow has for these numbers."""

    def __init__(self, folder: Path) -> None:
        import psutil  # noqa: PLC0415 - it comes with the stack, and a training without tracking does without

        self._path = folder / SYSTEM
        self._psutil: Any = psutil
        self._process = psutil.Process()
        psutil.cpu_percent()  # the next call tells of the time since this one

    def note(self, epoch: int) -> None:
        """Add a line for an epoch that has just ended."""
        memory = self._psutil.virtual_memory()
        system = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MB,
            "system_memory_usage_percentage": memory.percent,
            "process_memory_usage_megabytes": self._process.memory_info().rss / _MB,
            **_gpu(),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, "at_ms": time.time_ns() // 1_000_000, "system": system}) + "\n")


def _gpu() -> dict[str, float]:
    """Memory of the GPU that PyTorch uses, if it does."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {"gpu_0_memory_usage_megabytes": (total - free) / _MB}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # what a kill left at the end of a file that is added to
            continue
