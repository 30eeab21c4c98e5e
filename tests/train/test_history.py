"""What is read back of a training's own notes, also where a kill has torn their last line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matinee.train.history import SystemLog, read
from matinee.train.plots import epochs_plot

if TYPE_CHECKING:
    from pathlib import Path


def line(epoch: int, **metrics: float) -> str:
    return json.dumps(
        {"epoch": epoch, "step": 9, "loss": 1.5 - epoch, "learning_rate": 0.1, "sequences_per_s": 5.0, "seconds": 2.0,
         "metrics": metrics, "best": True}
    )  # fmt: skip


def test_epochs_with_how_the_machine_was(tmp_path: Path) -> None:
    (tmp_path / "epochs.jsonl").write_text(f"{line(0)}\n{line(1, **{'hr@10': 0.25})}\n")
    SystemLog(tmp_path).note(1)
    first, second = read(tmp_path)
    assert (first.number, first.metrics["loss"]) == (0, 1.5)
    assert not any(name.startswith(("eval/", "system/")) for name in first.metrics)
    assert second.metrics["eval/hr@10"] == 0.25
    assert second.metrics["system/process_memory_usage_megabytes"] > 1
    assert 0 <= second.metrics["system/cpu_utilization_percentage"] <= 100


def test_a_torn_line_and_a_number_that_is_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "epochs.jsonl").write_text(line(0, **{"hr@10": float("nan")}) + "\n")
    (tmp_path / "system.jsonl").write_text('{"epoch": 0, "at_ms": 5, "system": {}}\n{"epoch": 1, "at')
    (epoch,) = read(tmp_path)
    assert epoch.at_ms == 5
    assert "eval/hr@10" not in epoch.metrics


def test_nothing_trained_yet(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_the_picture_is_the_same_for_the_same_training(tmp_path: Path) -> None:
    (tmp_path / "epochs.jsonl").write_text("".join(line(n, **{"hr@10": n / 9}) + "\n" for n in range(3)))
    epochs = read(tmp_path)
    png = epochs_plot(epochs, "eval/hr@10", "sse-pt on toys")
    assert png.startswith(b"\x89PNG")
    assert png == epochs_plot(epochs, "eval/hr@10", "sse-pt on toys")
    assert png != epochs_plot(epochs[:2], "eval/hr@10", "sse-pt on toys")
    assert epochs_plot(epochs, "eval/auc", "never measured").startswith(b"\x89PNG")
