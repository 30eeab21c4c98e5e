"""A replay of a split against the evaluation of the same split: not one rank differs, and so no metric."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prometheus_client.mmap_dict import MmapedDict

import matinee
from matinee.replay.journal import asked_records, told_records
from matinee.replay_and_report import Replayed

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.evaluation import Evaluation
    from matinee.version import Version
    from served import Server, Starter

pytestmark = pytest.mark.xdist_group("postgres")

PAST = {"eval": "train", "test": "eval"}
WORKERS = {"one": 1, "two": 2}


# Connections are used in turn, so both workers of the second server are asked and told, unless the system gives all of
# them to one; then it is played again.
# 'frozen' and 'plain' know nothing but a person's own history, so people need not wait for each other; the priors of
# 'sse-pt' and 'markov' count everybody's events.
@pytest.mark.parametrize(
    ("name", "order", "split"),
    [("frozen", "user", "eval"), ("sse-pt", "log", "eval"), ("plain", "user", "test"), ("markov", "log", "test")],
)
def test_every_rank_is_the_evaluations(
    name: str, order: Any, split: Any, models: dict[str, Path], version: Version, start: Starter, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    (evaluated,) = matinee.evaluate(
        models[name], version=version.folder, split=split, out=tmp_path / "evaluation", data_dir=data_dir
    ).models
    expected = evaluated.evaluation
    assert expected.engine == ("onnx" if name in {"frozen", "sse-pt"} else "numpy")
    assert expected.repeats.any()
    assert (~expected.warm_items).any()
    for attempt in range(5):
        servers = {
            arm: start(models[name], workers=workers, past=PAST[split], rehearsal=f"{arm}{attempt}")
            for arm, workers in WORKERS.items()
        }
        arms = [f"{arm}={server.url}" for arm, server in servers.items()]
        done = matinee.replay(version.folder, split=split, arms=arms, order=order, data_dir=data_dir)
        assert isinstance(done, Replayed)
        for arm in WORKERS:
            check_ranks(done.folder, arm, expected, in_order=order == "log")
            check_figures(done.report.facts["arms"][arm], expected)
        if len([events for events in told_by_workers(servers["two"]) if events]) == WORKERS["two"]:
            return
        for server in servers.values():
            server.stop()
    pytest.fail("one worker has taken all connections before the other woke up, five times")


def told_by_workers(server: Server) -> list[float]:
    """How many events each worker has written down."""
    files = (server.data_dir / "serve" / str(server.port)).rglob("counter_*.db")
    found = [[*MmapedDict.read_all_values_from_file(str(file))] for file in files]
    return [sum(value for key, value, *_ in values if "matinee_told_events" in key) for values in found]


def check_ranks(folder: Path, arm: str, expected: Evaluation, *, in_order: bool) -> None:
    asked = asked_records(folder, arm, 10)
    order = np.argsort(asked["event"])
    assert bool((np.diff(order) > 0).all()) is in_order, "people wait for each other with the order of the log alone"
    asked = asked[order]
    events = [*range(expected.ranks.size)]
    assert asked["event"].tolist() == np.sort(told_records(folder, arm)["event"]).tolist() == events
    assert asked["rank"].tolist() == expected.ranks.tolist()
    # What is offered is the beginning of what was ranked; of items that tie with the target some may be offered first.
    offered = (asked["items"] == expected.targets[:, None]).any(axis=1)
    assert offered[expected.ranks <= 10].all()


def check_figures(figures: dict[str, Any], expected: Evaluation) -> None:
    assert figures["answered"] == figures["told"] == expected.ranks.size
    assert not figures["unanswered"]
    for part, segment in expected.segments.items():
        found = figures["segments"][part]
        assert (found["events"], found["metrics"]) == (segment.events, asdict(segment)["metrics"]), part
    assert figures["metrics"]["hr@10"] == expected.metrics["hr@10"]
    assert figures["metrics"] == pytest.approx(expected.metrics, rel=1e-12)  # as it adds up while the replay runs
