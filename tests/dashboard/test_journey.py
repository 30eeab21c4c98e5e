from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matinee.dashboard.journey import STAGES, journey
from matinee.dashboard.replays import Replay
from matinee.dashboard.servers import ServerSeen
from matinee.dashboard.snapshot import Snapshot
from matinee.dashboard.trainings import Training
from matinee.dashboard.versions import VersionFacts
from matinee.lineage import Artifact
from matinee.lineage.journal import RecordedRun
from matinee.schema.work import Work

NOTHING = Snapshot((), (), (), (), (), (), "")
VERSION = VersionFacts("0a1b", "log", Path("v"), "5c", 10, 1, 2, (5, 3, 2), "time", 0, 0.5, None, 0)
AT = "2026-01-01T10:00:00.000Z"


def run(job: str, state: str = "COMPLETE", *, version: str = "0a1b", sha256: str = "aa", at: str = AT) -> RecordedRun:
    kind = "archive" if job == "extract" else "version"
    output = Artifact(kind, "log", "somewhere", sha256, version=version)
    error = "VersionError: it broke" if state == "FAIL" else ""
    return RecordedRun("1-2-3", job, state, at, "" if state == "START" else at, outputs=(output,), error=error)


def work(command: str, phase: str = "", done: int = 0, total: int | None = None) -> Work:
    return Work(command, 1, "2", phase, done, total, "rows", AT, AT)


def states(seen: Snapshot, version: VersionFacts | None = VERSION) -> dict[str, str]:
    return {stage.name: stage.state for stage in journey(seen, version)}


def test_nothing_has_happened_yet() -> None:
    assert states(NOTHING, None) == dict.fromkeys(STAGES, "waiting")
    assert states(NOTHING) == dict.fromkeys(STAGES, "waiting")


@pytest.mark.parametrize(("state", "told"), [("COMPLETE", "done"), ("FAIL", "failed"), ("START", "stopped")])
def test_lineage_tells_how_a_stage_ended(state: str, told: str) -> None:
    seen = replace(NOTHING, runs=(run("transform", state),))
    assert states(seen) == dict.fromkeys(STAGES, "waiting") | {"transform": told}


def test_what_was_interrupted_has_not_failed() -> None:
    interrupted = replace(run("train", "FAIL"), error="KeyboardInterrupt: ")
    assert states(replace(NOTHING, runs=(interrupted,)))["train"] == "stopped"


def test_the_newest_run_counts_and_those_of_other_versions_do_not() -> None:
    first = run("load", "FAIL", at="2026-01-01T09:00:00.000Z")
    assert states(replace(NOTHING, runs=(first, run("load"))))["load"] == "done"
    assert states(replace(NOTHING, runs=(run("load", version="ffff"),)))["load"] == "waiting"
    assert states(replace(NOTHING, runs=(run("extract", version="", sha256="5c"),)))["extract"] == "done"
    assert states(replace(NOTHING, runs=(run("extract", version="", sha256="6d"),)))["extract"] == "waiting"


def test_events_told_are_extract_and_transform_of_the_version_made_of_them_and_of_no_other() -> None:
    told = run("from-events", version="ffff", sha256="bb")
    seen = replace(NOTHING, runs=(replace(told, inputs=(Artifact("version", "log", "v", "aa", version="0a1b"),)),))
    assert states(seen) == dict.fromkeys(STAGES, "waiting")
    made = states(seen, replace(VERSION, id="ffff"))
    assert [name for name, state in made.items() if state == "done"] == ["extract", "transform"]
    nothing = RecordedRun("1", "from-events", "FAIL", AT, AT, error="SourceNotFoundError: no event was told")
    assert "failed" not in states(replace(NOTHING, runs=(nothing,))).values()


def test_a_training_that_started_from_a_model_is_none_of_that_models_version() -> None:
    parent = Artifact("checkpoint", "sse-pt", "m", "cc", version="0a1b")
    seen = replace(NOTHING, runs=(replace(run("train", version="ffff"), inputs=(parent,)),))
    assert states(seen)["train"] == "waiting"
    assert states(seen, replace(VERSION, id="ffff"))["train"] == "done"


def test_a_command_at_work_is_at_its_stage() -> None:
    seen = replace(NOTHING, runs=(run("transform"),), works=(work("transform", "read", 50, 200),))
    stage = next(stage for stage in journey(seen, VERSION) if stage.name == "transform")
    assert (stage.state, stage.share, stage.detail) == ("running", 0.25, "read: 50 rows of 200 rows")
    assert states(replace(NOTHING, works=(work("data from-events", "write"),)))["transform"] == "running"
    seen = replace(NOTHING, works=(work("versions verify", "read back", 1, 2),))
    assert "running" not in states(seen).values()


@pytest.mark.parametrize(
    ("job", "phase", "stage"),
    [
        ("transform", "read", "transform"),
        ("track", "track", "train"),
        ("load", "", "load"),
        ("train", "evaluate", "evaluate"),
    ],
)  # fmt: skip
def test_a_rehearsal_is_at_the_stage_that_has_begun(job: str, phase: str, stage: str) -> None:
    seen = replace(NOTHING, runs=(run(job, "START", version=""),), works=(work("rehearse", phase),))
    assert [name for name, state in states(seen).items() if state == "running"] == [stage]


def test_evaluations_servers_replays_and_reports_are_known_by_what_they_leave() -> None:
    model = Training(
        "sse-pt-1", "log", "0a1b", Path("m"), True, (), {}, {"test": ({}, Path("e"))}, None, "", False, "", 0
    )
    other = replace(model, name="sasrec-1", evaluations={})
    server = ServerSeen("http://127.0.0.1:1", "sse-pt 0a", "0a1b", "log", 1)
    replay = Replay(
        "20260101-1", Path("r"), "log", "0a1b", "eval", "running", AT, AT, 25, 100, {}, {}, Path("r/live.json"), None,
        {}, {},
    )  # fmt: skip
    seen = replace(NOTHING, trainings=(model, other), servers=(server,), replays=(replay,))
    told = {stage.name: stage for stage in journey(seen, VERSION)}
    assert (told["evaluate"].state, told["evaluate"].detail) == ("done", "1 of 2 models")
    alone = {stage.name: stage for stage in journey(replace(seen, trainings=(model,)), VERSION)}
    assert alone["evaluate"].detail == "1 model"
    assert (told["serve"].state, told["serve"].detail) == ("running", "sse-pt 0a")
    assert (told["replay"].state, told["replay"].share) == ("running", 0.25)
    assert told["report"].state == "waiting"
    for state, expected in (
        ("finished", "done"),
        ("failed", "failed"),
        ("interrupted", "stopped"),
        ("silent", "stopped"),
    ):
        assert states(replace(seen, replays=(replace(replay, state=state),)))["replay"] == expected
    assert states(replace(seen, replays=(replace(replay, page=Path("r/report.html")),)))["report"] == "done"
    elsewhere = replace(VERSION, id="ffff")
    assert set(states(seen, elsewhere).values()) == {"waiting"}
