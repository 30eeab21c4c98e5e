"""What a rehearsal remembers of its replay, also where there is little to remember, or nothing that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matinee.cli.output import SPEAKING
from matinee.cli.rehearse import _print_replay
from matinee.receipt import Receipt, ReplayedSplit

if TYPE_CHECKING:
    from pathlib import Path

FACTS = {
    "arms": {
        "net": {
            "answered": 0,
            "asked": 5,
            "metrics": {"hr@10": None, "ndcg@10": None, "mrr@10": None},
            "latency_ms": {"ask": dict.fromkeys(("p50", "p95", "p99", "max", "mean"))},
            "per_s": 12.0,
        }
    }
}


@pytest.fixture
def receipt(tmp_path: Path) -> Receipt:
    (tmp_path / "report.json").touch()
    split = ReplayedSplit.of("20261125-120000-aaaaaaaaaaaa", tmp_path, FACTS)
    return Receipt("embedded", "0" * 16, "s3://matinee/x", "00", "2026-11-25", replay=split.as_json())


def test_a_replay_without_an_answer_is_told(
    receipt: Receipt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt.write(tmp_path / "receipt.json")
    again = Receipt.read(tmp_path / "receipt.json")
    assert again is not None
    assert again.replayed == receipt.replayed
    assert again.replayed is not None
    _print_replay(again.replayed, SPEAKING)
    *_, row = (line for line in capsys.readouterr().out.splitlines() if line)
    assert row.split() == ["net", "0", "5", *["\u2013"] * 5, "12.0"]


def test_a_replay_that_another_matinee_remembered_is_none(receipt: Receipt) -> None:
    assert receipt.replay is not None
    assert receipt.replayed is not None
    receipt.replay["arms"][0]["p42_ms"] = 1.0
    assert receipt.replayed is None
    del receipt.replay["arms"]
    assert receipt.replayed is None
