"""A server asked and told event by event, against the evaluation of the same events: not one rank differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from matinee.model.opening import open_model
from matinee.train.evaluate import evaluate_split

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.evaluation import Evaluation
    from matinee.version import Version
    from served import Server, Starter

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.mark.parametrize(
    ("name", "workers", "split"),
    [("sse-pt", 1, "eval"), ("sse-pt", 2, "eval"), ("markov", 2, "test"), ("plain", 1, "test")],
)
def test_every_rank_is_the_evaluations(
    name: str, workers: int, split: str, models: dict[str, Path], version: Version, start: Starter
) -> None:
    model, _ = open_model(models[name], engine="onnx")
    evaluated = evaluate_split(model, version, split=split)  # type: ignore[arg-type]
    server = start(models[name], workers=workers, past={"eval": "train", "test": "eval"}[split])
    ranks, lists = _replay(server, evaluated, version)
    assert ranks == evaluated.ranks.tolist()
    # The lists are the ranking's own beginning, and as many events hit as the metric says.
    hits = [event in asked for event, asked in zip(_raw(evaluated.targets, version.raw_items), lists, strict=True)]
    assert np.mean(hits) == pytest.approx(evaluated.metrics["hr@10"], abs=0.02)  # ties count against the target
    assert evaluated.repeats.any()
    assert (~evaluated.warm_items).any()


def _replay(server: Server, evaluated: Evaluation, version: Version) -> tuple[list[int], list[list[int]]]:
    """Ask, then tell, an event at a time, over four connections so that each worker has its share of both."""
    clients = [httpx.Client(base_url=server.client.base_url, timeout=60, trust_env=False) for _ in range(4)]
    events = zip(
        _raw(evaluated.users, version.raw_users),
        _raw(evaluated.targets, version.raw_items),
        evaluated.times_s.tolist(),
        strict=True,
    )
    ranks, lists = [], []
    for number, (user, item, time_s) in enumerate(events):
        server.client = clients[number % 4]
        answer = server.ask(user=user, target=item, timestamp=time_s)
        ranks.append(answer["rank"])
        lists.append(answer["items"])
        server.client = clients[number * 7 // 3 % 4]
        assert server.tell(user=user, item=item, timestamp=time_s) == {"new": 1, "known": 0}
    for client in clients:
        client.close()
    return ranks, lists


def _raw(dense: np.ndarray, raw: np.ndarray) -> list[int]:
    return [int(raw[each - 1]) for each in dense]
