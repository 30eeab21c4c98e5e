"""Replays side by side: the same events found again, a test where there are any, and what cannot be compared said."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import matinee
from matinee.cli import main
from matinee.errors import ReplayError, UsageError
from matinee.metrics.ranking import metrics_at
from matinee.metrics.significance import compare
from matinee.replay.compare import compare_replays
from matinee.replay.journal import asked_records
from matinee.replay.plan import Arrivals
from matinee.replay.report import RANKS, REPORT, read_report
from page_outline import Outline, loads_nothing
from replayed import PLAN, lively_stream, quick_report, replayed

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.replay.stream import Stream

STREAM = lively_stream(300)


def a_replay(root: Path, name: str, stream: Stream = STREAM, **how: Any) -> Path:
    folder = root / "replays" / "toy" / name
    replayed(folder, stream, **how)
    quick_report(folder, stream)
    return folder


def part_of(stream: Stream, chosen: Any) -> Stream:
    """The same events, but only some of them."""
    arrays = ("users", "items", "times_s", "warm_users", "warm_items")
    raw = {name: np.array(getattr(stream, name))[chosen].tolist() for name in ("raw_users", "raw_items")}
    return dataclasses.replace(stream, **{name: getattr(stream, name)[chosen] for name in arrays}, **raw)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two replays."""
    root = tmp_path_factory.mktemp("data")
    a_replay(root, "20261125-120000-aaaaaaaaaaaa", arms={"net": 0.4, "counts": 0.15})
    a_replay(root, "20261126-120000-bbbbbbbbbbbb", arms={"net": 0.2}, seed=9, unanswered=30)
    return root


def test_quality_is_compared_on_what_both_have_answered(root: Path) -> None:
    found = matinee.compare_replays("20261125", "20261126", data_dir=root).facts
    assert list(found["arms"]) == ["A net", "A counts", "B net"]
    one = asked_records(root / "replays/toy/20261125-120000-aaaaaaaaaaaa", "net", 10)
    two = asked_records(root / "replays/toy/20261126-120000-bbbbbbbbbbbb", "net", 10)
    both = two["outcome"] == 0
    ours, theirs = metrics_at(two["rank"][both], 10), metrics_at(one["rank"][both], 10)
    difference = found["differences"]["B net"]
    assert (difference["against"], difference["events"]) == ("A net", 290)
    for metric, test in difference["metrics"].items():
        expected = compare(ours[metric], theirs[metric], STREAM.users[both])
        assert test == dataclasses.asdict(expected)
    assert found["differences"]["A counts"]["events"] == 300
    assert found["arms"]["B net"]["metrics"]["ndcg@10"] == pytest.approx(ours["ndcg@10"].mean())
    report = read_report(root / "replays/toy/20261126-120000-bbbbbbbbbbbb").facts["arms"]["net"]
    assert found["arms"]["B net"]["latency_ms"] == report["latency_ms"]
    assert found["arms"]["B net"]["unanswered"] == report["unanswered"]
    assert found["differs"]["model of counts"] == {"A": "toy/counts-0a1b2c3d", "B": None}
    assert found["careful"] == []


def test_an_event_is_found_again_in_a_replay_of_some_people_only(root: Path, tmp_path: Path) -> None:
    chosen = STREAM.users <= 10
    plan = dataclasses.replace(PLAN, users=10)
    part = a_replay(tmp_path, "part", part_of(STREAM, chosen), plan=plan, arms={"net": 0.4}, seed=3)
    whole = root / "replays/toy/20261125-120000-aaaaaaaaaaaa"
    found = compare_replays(whole, part).facts
    ours = metrics_at(asked_records(part, "net", 10)["rank"], 10)
    theirs = metrics_at(asked_records(whole, "net", 10)["rank"][chosen], 10)
    expected = compare(ours["ndcg@10"], theirs["ndcg@10"], STREAM.users[chosen])
    assert found["differences"]["B net"]["metrics"]["ndcg@10"] == dataclasses.asdict(expected)
    assert found["differs"]["users"] == {"A": None, "B": 10}
    assert "B differs from A in people" in found["careful"][0]


def test_events_that_are_alike_are_matched_one_by_one(tmp_path: Path) -> None:
    alike = dataclasses.replace(
        lively_stream(6),
        users=np.array([1, 1, 1, 2, 2, 3], np.int32),
        items=np.array([5, 5, 5, 5, 5, 6], np.int32),
        times_s=np.array([7, 7, 7, 7, 7, 8], np.int64),
    )
    folders = [a_replay(tmp_path, name, alike, seed=seed) for seed, name in enumerate(("one", "two"))]
    found = compare_replays(*folders).facts["differences"]["B one"]
    ranks = [asked_records(folder, "one", 10)["rank"] for folder in folders]
    assert found["events"] == 6
    expected = metrics_at(ranks[1], 10)["mrr@10"].mean() - metrics_at(ranks[0], 10)["mrr@10"].mean()
    assert found["metrics"]["mrr@10"]["difference"] == pytest.approx(expected)


def test_what_means_nothing_is_not_compared(tmp_path: Path) -> None:
    first = a_replay(tmp_path, "first")
    seen = a_replay(tmp_path, "seen", plan=dataclasses.replace(PLAN, exclude_seen=False))
    other = a_replay(tmp_path, "other", part_of(lively_stream(900, seed=5), slice(0, 50)))
    silent = a_replay(tmp_path, "silent", unanswered=1)
    found = compare_replays(first, seen, other, silent).facts["differences"]
    assert "left out of one ranking" in found["B one"]["cannot"]
    assert found["C one"]["cannot"] == found["D one"]["cannot"] == "no event was answered in both"


def test_what_makes_latencies_questionable_is_said(tmp_path: Path) -> None:
    first = a_replay(tmp_path, "first")
    plan = dataclasses.replace(PLAN, arrivals=Arrivals(speed=10.0), k=5, order="log")
    second = a_replay(tmp_path, "second", plan=plan, why="interrupted")
    report = json.loads((second / REPORT).read_text())
    report["machine"]["processors"] = "64"
    report["client"]["complaints"] = ["the client could not keep up"]
    (second / REPORT).write_text(json.dumps(report))
    found = compare_replays(first, second).facts
    assert [sentence.partition(":")[0] for sentence in found["careful"]] == [
        "B is not finished (interrupted).",
        "B",
        "B had other arrivals than A",
        "B differs from A in order",
        "B was not measured on the same machine with the same libraries as A.",
        "B asked for lists of 5; its metrics here are at A's k.",
    ]
    assert found["differs"]["speed"] == {"A": None, "B": 10.0}
    assert "ndcg@10" in found["arms"]["B one"]["metrics"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("version", "fedcba9876543210"), ("split", "test"), ("dataset", "other"), ("version_sha256", "cd")],
)
def test_replays_of_other_events_are_refused(tmp_path: Path, name: str, value: str) -> None:
    first = a_replay(tmp_path, "first")
    second = a_replay(tmp_path, "second", plan=dataclasses.replace(PLAN, **{name: value}))
    with pytest.raises(UsageError, match=f"is {value}, expected .* only replays of the same split of the same version"):
        compare_replays(first, second)


def test_a_comparison_needs_two_replays_with_reports(root: Path, tmp_path: Path) -> None:
    (first, _) = sorted((root / "replays/toy").iterdir())
    with pytest.raises(UsageError, match="1 replays are named, expected 2 to 26"):
        compare_replays(first)
    with pytest.raises(UsageError, match="cannot be compared with itself"):
        compare_replays(first, first.name, data_dir=root)
    with pytest.raises(ReplayError, match="no replay 'monday'"):
        compare_replays(first, "monday", data_dir=root)
    replayed(tmp_path / "going-on", STREAM)
    with pytest.raises(ReplayError, match="no report of a replay is there"):
        compare_replays(first, tmp_path / "going-on")
    (a_replay(tmp_path, "torn") / RANKS).write_bytes(b"PAR1")
    with pytest.raises(ReplayError, match="not the ranks of this replay"):
        compare_replays(first, tmp_path / "replays/toy/torn")


def test_a_report_that_lacks_something_is_named(root: Path, tmp_path: Path) -> None:
    torn = a_replay(tmp_path, "torn")
    report = json.loads((torn / REPORT).read_text())
    del report["arms"]["one"]["latency_ms"]
    (torn / REPORT).write_text(json.dumps(report))
    with pytest.raises(ReplayError, match=r"torn/report\.json: one of them lacks 'latency_ms'"):
        compare_replays("20261125", torn, data_dir=root)


def test_the_command_prints_tables_and_writes_a_page(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "compared.html"
    words = ["replay", "compare", "20261125", "20261126", "--data-dir", str(root)]
    assert main([*words, "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert f"{facts['differences']['B net']['metrics']['ndcg@10']['difference']:+.4f}" in printed
    assert "without an answer" in printed
    text = page.read_text()
    Outline(text).check()
    loads_nothing(text)
    assert f"{facts['arms']['B net']['metrics']['ndcg@10']:.4f}" in text
    assert f"{facts['arms']['A counts']['latency_ms']['ask']['p99']:.1f}" in text
    assert main(["replay", "compare", "20261125", "--data-dir", str(root)]) == 2
