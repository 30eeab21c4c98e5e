"""What an evaluation says of its events: the parts add up, the course is in order, and nothing is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evaluation_oracle import Checkered, answers, known_of
from matinee.metrics.significance import interval
from matinee.model.recommender import Prior
from matinee.train.evaluate import evaluate_split
from matinee.train.ranks import Ranking
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version

CROSSED = [f"{who}, {what}" for who in ("warm users", "cold users") for what in ("warm items", "cold items")]


@pytest.fixture
def version(tmp_path: Path) -> Version:
    chance = np.random.default_rng(1)
    rows = [
        (int(chance.integers(place // 30, place // 30 + 9)), int(chance.integers(place // 60, place // 60 + 25)), place)
        for place in range(400)
    ]
    return small_version(tmp_path, rows)


@pytest.mark.parametrize("prior", [Prior(), Prior(0.5, 60)])
def test_metrics_are_means_over_the_oracles_answers(version: Version, prior: Prior) -> None:
    model = Checkered(None, known_of(version), prior)
    found = evaluate_split(model, version, split="test", k=5)
    expected = answers(model, version, Ranking("test"), prior, 5, {})
    ranks = [answer.rank for answer in expected]
    assert found.metrics == pytest.approx(
        {
            "hr@5": np.mean([rank <= 5 for rank in ranks]),
            "ndcg@5": np.mean([1 / np.log2(1 + rank) if rank <= 5 else 0 for rank in ranks]),
            "mrr@5": np.mean([1 / rank if rank <= 5 else 0 for rank in ranks]),
        }
    )
    lists = [item for answer in expected for item in answer.best]
    popularity = np.bincount(version.sequences("train").items, minlength=version.items + 1)
    assert found.coverage == pytest.approx(len(set(lists)) / version.items)
    assert found.popularity_recommended == pytest.approx(popularity[lists].mean())
    assert found.popularity_taken == pytest.approx(np.mean([popularity[answer.target] for answer in expected]))
    assert found.repeats.sum() == sum(answer.repeat for answer in expected) > 0


def test_warm_and_cold_are_those_of_the_certificate_and_add_up(version: Version) -> None:
    found = evaluate_split(Checkered(None, known_of(version), Prior(1.0)), version, split="test")
    parts, facts = found.segments, version.certificate.test
    assert [*parts] == ["all", "warm users", "cold users", "warm items", "cold items", *CROSSED]
    assert parts["all"].events == facts.rows
    assert parts["all"].users == facts.users
    assert parts["cold users"].events == facts.by_cold_users > 0
    assert parts["cold items"].events == facts.on_cold_items > 0
    assert parts["cold users, cold items"].events == facts.cold_both > 0
    for names in (["warm users", "cold users"], ["warm items", "cold items"], CROSSED):
        chosen = [parts[name] for name in names]
        assert sum(part.events for part in chosen) == facts.rows
        for metric, value in found.metrics.items():
            assert sum(part.metrics[metric] * part.events for part in chosen) == pytest.approx(value * facts.rows)
    cold = ~version.known_users[found.users]
    values = np.stack([*found.values.values()], axis=1)[cold]
    low, high = interval(values, found.users[cold])
    assert [*parts["cold users"].intervals.values()] == [*zip(low, high, strict=True)]


def test_the_course_is_ten_equal_parts_in_order(version: Version) -> None:
    found = evaluate_split(Checkered(None, known_of(version)), version, split="test")
    buckets, facts = found.buckets, version.certificate.test
    assert len(buckets) == 10
    assert max(bucket.events for bucket in buckets) - min(bucket.events for bucket in buckets) <= 1
    assert (buckets[0].first_s, buckets[-1].last_s) == (facts.first, facts.last)
    assert all(bucket.first_s <= bucket.last_s for bucket in buckets)
    assert sum(bucket.by_cold_users for bucket in buckets) == facts.by_cold_users
    assert sum(bucket.on_cold_items for bucket in buckets) == facts.on_cold_items
    mean = sum(bucket.metrics["ndcg@10"] * bucket.events for bucket in buckets) / facts.rows
    assert mean == pytest.approx(found.metrics["ndcg@10"])


def test_leave_one_out_has_no_course_and_negatives_make_no_lists(version: Version) -> None:
    model = Checkered(None, known_of(version))
    found = evaluate_split(model, version, split="test", protocol="leave-one-out", negatives=20)
    assert found.buckets == ()
    assert found.coverage is found.popularity_recommended is None
    assert found.ranks.max() <= 21
    assert found.ranks.size == version.certificate.test.users
    assert evaluate_split(model, version, split="test", protocol="leave-one-out").coverage is not None


def test_repeats_are_missed_unless_the_history_stays_in(version: Version) -> None:
    model = Checkered(None, known_of(version), Prior(1.0))
    out = evaluate_split(model, version, split="test")
    within = evaluate_split(model, version, split="test", exclude_seen=False)
    assert (out.ranks[out.repeats] == version.items).all()
    assert (within.ranks[within.repeats] < version.items).any()


def test_the_report_is_plain_json(version: Version, tmp_path: Path) -> None:
    found = evaluate_split(Checkered(None, known_of(version)), version, split="test", users=3)
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain["users_asked"] == 3
    assert (plain["split"], plain["protocol"], plain["prior"]) == ("test", "time", {"weight": 0.0, "window_s": None})
    assert plain["segments"]["all"]["metrics"] == plain["metrics"] == pytest.approx(found.metrics)
    # An empty part has no mean, and JSON no NaN.
    small = small_version(tmp_path / "small", [(1, 1, 1), (1, 2, 2), (1, 1, 3), (1, 2, 4)])
    empty = evaluate_split(Checkered(None, known_of(small)), small, split="test").as_json()
    assert empty["segments"]["cold users"] == {
        "events": 0,
        "users": 0,
        "metrics": {"hr@10": None, "ndcg@10": None, "mrr@10": None},
        "intervals": {name: [None, None] for name in ("hr@10", "ndcg@10", "mrr@10")},
    }


def test_a_split_without_events_is_an_empty_report(tmp_path: Path) -> None:
    version = small_version(tmp_path, [(1, 1, 5), (2, 2, 5), (3, 3, 5)])
    for prior in (Prior(), Prior(1.0, 9)):
        found = evaluate_split(Checkered(None, known_of(version), prior), version, split="test")
        assert found.ranks.size == 0
        assert found.buckets == ()
        assert np.isnan(found.metrics["hr@10"])
        assert found.as_json()["metrics"]["hr@10"] is None
