"""What is read from the data folder: nothing that somebody may write there stops the page, or is taken for more."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.dashboard.charts import Line, line_chart
from matinee.dashboard.figures import cut_off, measures
from matinee.dashboard.reading import Reading, number, text
from matinee.dashboard.replays import read_replays
from matinee.dashboard.snapshot import Lookout
from matinee.dashboard.trainings import read_trainings
from matinee.dashboard.words import moment, shown

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shown

_KEYS = st.sampled_from(
    [
        "arms",
        "windows",
        "network",
        "plan",
        "state",
        "events",
        "metrics",
        "updated",
        "began",
        "a",
        ":x",
        "told",
        "ndcg@²",
    ]
)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)


@given(live=_ANY, report=_ANY, record=_ANY)
def test_whatever_a_replay_is_said_to_be_can_be_shown(
    live: Any, report: Any, record: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any" / "replays" / "log" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    for name, plain in (("live.json", live), ("report.json", report), ("replay.json", record)):
        (folder / name).write_text(json.dumps(plain))
    for replay in read_replays(folder.parents[2], Reading()):
        assert replay.share is None or 0 <= replay.share <= 1
        assert isinstance(moment(replay.began), str)
        k = cut_off(replay.arms)
        for figures in replay.arms.values():
            for measure in measures(k):
                assert isinstance(shown(measure.of(figures), measure.unit), str)
        for points in replay.windows.values():
            line_chart(
                [Line("a", 0, [(number(point, "at_s") or 0.0, number(point, "a")) for point in points])], x_name="s"
            )


@pytest.mark.parametrize("metrics", [True, 1, "ndcg@10", ["ndcg@20"], {"ndcg@²": 1}, {"ndcg@" + "9" * 5000: 1}])
def test_metrics_that_are_none_have_no_k_of_their_own(metrics: Any) -> None:
    assert cut_off({"a": {"metrics": metrics}, "b": {"metrics": {"ndcg@20": 0.1}}}) == 20


def test_numbers_and_moments_beyond_all_bounds_are_none(tmp_path: Path) -> None:
    assert number({"a": 10**400}, "a") is None
    assert number({"a": float("nan")}, "a") is None
    assert number({"a": -1}, "a") == -1
    assert moment("0001-01-01T00:00:00+23:00") == "0001-01-01T00:00:00+23:00"
    model = tmp_path / "models" / "log" / "0a1b" / "sse-pt-1"
    model.mkdir(parents=True)
    epoch = {"learning_rate": 1, "sequences_per_s": 1, "seconds": 1, "metrics": {}}
    for wrong in ({"epoch": 0, "loss": 10**400}, {"epoch": "0", "loss": 1.0}, {"epoch": [], "loss": 1.0}):
        (model / "epochs.jsonl").write_text(json.dumps(epoch | wrong) + "\n")
        (training,) = read_trainings(tmp_path, Reading())
        assert training.epochs == ()


def test_only_evaluations_of_all_people_on_the_own_version_stand_beside_each_other(tmp_path: Path) -> None:
    model = tmp_path / "models" / "log" / "0a1b" / "markov-1"
    model.mkdir(parents=True)
    (model / "trained.json").write_text("{}")
    usual = {"split": "test", "version": "0a1b", "users": None, "metrics": {"ndcg@10": 0.5}}
    for told, shown_ones in ((usual, ["test"]), (usual | {"users": 5}, []), (usual | {"version": "ffff"}, [])):
        (model / "evaluation-test-time.json").write_text(json.dumps(told))
        (training,) = read_trainings(tmp_path, Reading())
        assert [*training.evaluations] == shown_ones


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path, read = tmp_path / "a.json", []

    def parse(path: Path) -> str:
        read.append(path)
        return path.read_text()

    reading = Reading()
    assert reading.get(path, parse) is None
    path.write_text("1")
    assert [reading.get(path, parse) for _ in range(3)] == ["1"] * 3
    assert len(read) == 1
    path.with_name("b").write_text("2")
    os.replace(path.with_name("b"), path)  # noqa: PTH105 - as a writer does it
    assert reading.get(path, parse) == "2"
    path.unlink()
    assert reading.get(path, parse) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b"null"])
def test_what_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert Reading().json(tmp_path / "a.json") is None


def test_only_numbers_are_numbers() -> None:
    plain = {"a": {"b": 1.5, "c": True, "d": "1", "e": float("nan"), "f": float("inf"), "g": None}}
    assert number(plain, "a", "b") == 1.5
    assert [number(plain, "a", key) for key in "cdefgh"] == [None] * 6
    assert (text(plain, "a", "d"), text(plain, "a", "b"), text(None, "a"), text(plain, "a", "d", "x")) == (
        "1",
        "",
        "",
        "",
    )


def test_a_replay_that_is_not_heard_of_is_silent(tmp_path: Path) -> None:
    folder = tmp_path / "replays" / "log" / "one"
    folder.mkdir(parents=True)
    for updated, state in ((datetime.now(UTC), "running"), (datetime.now(UTC) - timedelta(seconds=60), "silent")):
        (folder / "live.json").write_text(json.dumps({"state": "running", "updated": updated.isoformat(), "arms": {}}))
        (replay,) = read_replays(tmp_path, Reading())
        assert replay.state == state


def test_numbers_and_moments_are_written_one_way() -> None:
    assert [shown(0.5, "ratio"), shown(1234.56, "ms"), shown(12, "per_s"), shown(2_000_000, "bytes"), shown(1234)] == [
        "0.5000", "1,234.6 ms", "12.0/s", "2.0 MB", "1,234",
    ]  # fmt: skip
    assert (shown(None), moment("2026-11-25T19:15:06.123+02:00"), moment("soon")) == (
        "-",
        "2026-11-25 17:15:06",
        "soon",
    )


@pytest.mark.xdist_group("chromium")
def test_a_second_look_costs_little_and_mlflow_is_linked_only_while_it_runs(shown: Shown) -> None:
    lookout = Lookout(shown.data_dir)
    first, second = lookout.look_now(), lookout.look_now()
    assert first.versions[0] is second.versions[0]
    assert first.mlflow_url == ""
    (markov,) = (model for model in first.trainings if model.name.startswith("markov"))
    assert markov.finished
    assert markov.evaluations["test"][0]["ndcg@10"] > 0
    (replay,) = first.replays
    assert [*replay.arms] == ["net", "counts"]
    assert replay.source.name == "report.json"
    assert [*replay.checkpoints] == ["net"]
