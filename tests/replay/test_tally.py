from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from matinee.replay.journal import Asked, Journal, Told
from matinee.replay.latency import FULL, HOUR_US, Latencies, Scale, decoded
from matinee.replay.plan import Plan
from matinee.replay.tally import Tally
from matinee.replay.windows import MOST_WINDOWS
from replay_oracle import exact_percentile, expected_figures, journals, make_stream, write_journals

if TYPE_CHECKING:
    import random

    from matinee.replay.stream import Stream

PLAN = Plan("toy", "0123456789abcdef", "00")
Journals = tuple["Stream", list[Asked], list[Told]]


def _live(stream: Stream, asked: list[Asked], told: list[Told], order: random.Random) -> Tally:
    """Both files grow, interleaved by chance, and are read and asked about in between."""
    tally = Tally(stream, PLAN, ["one", "other"])
    left_asked, left_told = list(reversed(asked)), list(reversed(told))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder, "one", PLAN.k)
        while left_asked or left_told:
            if left_told and (not left_asked or order.random() < 0.5):
                journal.told(left_told.pop())
            else:
                journal.asked(left_asked.pop())
            if order.random() < 0.2:
                tally.read(folder)
                order.choice([tally.figures, tally.windows, tally.buckets, tally.histograms])()
        journal.close()
        tally.read(folder)
    return tally


@given(journals(), st.randoms(use_true_random=False))
def test_figures_are_those_of_a_slow_count(given: Journals, order: random.Random) -> None:
    stream, asked, told = given
    found = _live(stream, asked, told, order).figures()["one"]
    expected = expected_figures(stream, PLAN, asked, told)
    for kind, took_us in expected.pop("took_us").items():
        _check_latency(found["latency_ms"][kind], took_us)
    assert found.pop("models") is not None
    del found["latency_ms"], found["model"]
    assert _close(found, expected)


def _check_latency(found: dict[str, Any], took_us: list[int]) -> None:
    if not took_us:
        assert set(found.values()) == {None}
        return
    assert found["max"] == max(took_us) / 1000
    assert found["mean"] == pytest.approx(sum(took_us) / len(took_us) / 1000)
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        exact_ms = exact_percentile([min(value, HOUR_US) for value in took_us], percent) / 1000
        assert exact_ms <= found[name] <= exact_ms * 1.001


def _close(found: Any, expected: Any) -> bool:
    """Equal, but for the last digits of sums of fractions."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        return all(_close(found[key], expected[key]) for key in expected)
    assert found == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)
    return True


@given(journals(), st.randoms(use_true_random=False))
def test_live_is_what_the_journals_say(
    tmp_path_factory: pytest.TempPathFactory, given: Journals, order: random.Random
) -> None:
    stream, asked, told = given
    folder = tmp_path_factory.mktemp("replay")
    write_journals(folder, "one", asked, told)
    live, read = _live(stream, asked, told, order), Tally.from_journals(folder, stream, PLAN, ["one", "other"])
    assert live.figures() == read.figures()
    assert live.windows() == read.windows()
    assert live.buckets() == read.buckets()
    assert live.histograms() == read.histograms()


@given(journals(), st.randoms(use_true_random=False))
def test_windows_and_buckets_add_up_to_the_figures(given: Journals, order: random.Random) -> None:
    stream, asked, told = given
    tally = _live(stream, asked, told, order)
    figures, windows, buckets = tally.figures()["one"], tally.windows()["one"], tally.buckets()["one"]
    assert len(windows) <= MOST_WINDOWS
    assert [window["at_s"] for window in windows] == sorted({window["at_s"] for window in windows})
    for key in ("bytes_in", "bytes_out"):
        assert sum(window[key] for window in windows) == figures[key]
    assert sum(window["events"] for window in windows) == figures["told"]
    assert sum(window["unanswered"] for window in windows) == sum(figures["unanswered"].values())
    assert sum(bucket["answered"] for bucket in buckets) == figures["answered"]
    assert sum(bucket["by_cold_users"] for bucket in buckets) == figures["cold_users"]["events"]
    assert sum(bucket["on_cold_items"] for bucket in buckets) == figures["cold_items"]["events"]
    assert sum(bucket["events"] for bucket in buckets) == stream.users.size - stream.asked_from


def test_a_window_has_what_was_done_in_it(tmp_path: Path) -> None:
    stream = make_stream([(True, True)] * 4)
    due_us = 1_764_000_000_000_000
    asked = [
        Asked(event, 0, 200, 0, 0, rank, due_us, due_us, due_us + took_us, 10, 20, (0,) * 10)
        for event, (took_us, rank) in enumerate([(1_000, 1), (2_000, 20), (700_000, 3)])
    ]
    asked.append(Asked(3, 1, 0, 0, 0, 0, due_us, due_us, due_us + 900_000, 10, 0, (0,) * 10))
    write_journals(tmp_path, "one", asked, [])
    tally = Tally.from_journals(tmp_path, stream, PLAN, ["one"])
    first, second, third, last = tally.windows()["one"]
    assert (first["at_s"], first["hr@10"], first["p99_ms"], first["unanswered"]) == (
        0.0,
        0.5,
        pytest.approx(2, 0.01),
        0,
    )
    assert (second["p50_ms"], second["ndcg@10"], second["bytes_in"]) == (None, None, 0)
    assert (third["at_s"], third["mrr@10"], third["p50_ms"]) == (0.5, pytest.approx(1 / 3), pytest.approx(700, 0.01))
    assert (last["unanswered"], last["hr@10"], last["bytes_out"]) == (1, None, 10)


def test_a_long_replay_has_few_wide_windows_and_no_gap_between_its_sessions(tmp_path: Path) -> None:
    stream, told = make_stream([(True, True)] * 1000), []
    for event in range(1000):
        session = event // 500
        due_us = 1_764_000_000_000_000 + event * 60_000_000 + session * 10**13  # a minute apart; months in between
        told.append(Told(event, 0, 1, session, due_us, due_us, due_us + 1000, 1, 1))
    write_journals(tmp_path, "one", [], told)
    tally = Tally.from_journals(tmp_path, stream, PLAN, ["one"])
    windows = tally.windows()["one"]
    width_s = windows[1]["at_s"] - windows[0]["at_s"]
    assert MOST_WINDOWS / 2 - 3 < len(windows) <= MOST_WINDOWS
    assert np.diff([window["at_s"] for window in windows]) == pytest.approx(width_s)
    assert {window["session"] for window in windows} == {0, 1}
    assert tally.figures()["one"]["busy_s"] == pytest.approx(2 * 499 * 60, rel=1e-6)


def test_who_answered_is_named(tmp_path: Any) -> None:
    stream = make_stream([(True, True)] * 3)
    asked = [Asked(event, 0, 200, min(event, 1), 0, 1, 0, 0, 1, 1, 1, (0,) * 10) for event in range(3)]
    write_journals(tmp_path, "one", asked, [])
    (tmp_path / "one.models").write_text("sse-pt 1\nsse-pt 2\n")
    figures = Tally.from_journals(tmp_path, stream, PLAN, ["one"]).figures()["one"]
    assert figures["model"] == "sse-pt 2"
    assert figures["models"] == [{"title": "sse-pt 1", "answered": 1}, {"title": "sse-pt 2", "answered": 2}]


@pytest.mark.parametrize("digits", [2, 3])
@given(durations_us=st.lists(st.integers(0, HOUR_US), min_size=1))
def test_counters_are_the_librarys(digits: int, durations_us: list[int]) -> None:
    scale, library = Scale(digits), HdrHistogram(1, HOUR_US, digits)
    for duration_us in durations_us:
        library.record_value(duration_us)
    counts = scale.counted(np.array(durations_us, np.int64))
    assert counts.tolist() == list(library.counts)
    for percent in (1, 25, 50, 99, 100):
        exact_us = exact_percentile(durations_us, percent)
        assert scale.percentile_us(counts, percent) == library.get_highest_equivalent_value(exact_us)
    assert scale.encoded(counts) == library.encode().decode()


@given(st.lists(st.lists(st.integers(0, HOUR_US)), max_size=4))
def test_histograms_of_several_replays_can_be_merged(parts: list[list[int]]) -> None:
    merged, together = HdrHistogram(1, HOUR_US, 3), Latencies()
    for part in parts:
        alone = Latencies()
        alone.add(np.array(part, np.int64))
        together.add(np.array(part, np.int64))
        merged.decode_and_add(alone.encoded())
    assert merged.encode().decode() == together.encoded()
    assert decoded(together.encoded()).tolist() == together.counts.tolist()


@pytest.mark.parametrize("text", ["", "no base64!", "SGlzdG8=", FULL.encoded(np.zeros(FULL.size, np.int64))[:20]])
def test_what_is_no_histogram_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="no HdrHistogram"):
        decoded(text)
