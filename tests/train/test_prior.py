"""The prior that is chosen is the one that ranks best when each is tried alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from evaluation_oracle import Checkered, known_of
from matinee.errors import UsageError
from matinee.etl.transform import transform
from matinee.model.recommender import Prior
from matinee.schema.transform_settings import TransformSettings
from matinee.train.evaluate import evaluate_split
from matinee.train.prior import WEIGHTS, WINDOWS_DAYS, choose_prior
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400


def drifting(events: int) -> list[tuple[int, int, int]]:
    """A log in which people take what is new: an item is there for 16 days."""
    chance = np.random.default_rng(0)
    return [
        (int(chance.integers(1, 30)), int(chance.integers(place // 20, place // 20 + 8)), place * DAY_S // 10)
        for place in range(events)
    ]


@pytest.mark.parametrize("protocol", ["time", "leave-one-out"])
def test_the_best_of_all_that_were_tried(tmp_path: Path, protocol: str) -> None:
    version = small_version(tmp_path, drifting(400))
    model = Checkered(None, known_of(version))
    found = choose_prior(model, version, protocol=protocol, weights=(0, 0.5, 3), windows_days=(2, 10, None))
    assert [(tried.prior.weight, tried.prior.window_s) for tried in found.tried] == [
        (0, None), (0.5, 2 * DAY_S), (0.5, 10 * DAY_S), (0.5, None), (3, 2 * DAY_S), (3, 10 * DAY_S), (3, None),
    ]  # fmt: skip
    for tried in found.tried:
        model.prior = tried.prior
        assert evaluate_split(model, version, split="eval", protocol=protocol).metrics == pytest.approx(tried.metrics)
    best = max(tried.metrics["ndcg@10"] for tried in found.tried)
    assert found.prior == next(tried.prior for tried in found.tried if tried.metrics["ndcg@10"] == best)


def test_where_people_take_what_is_new_the_recent_is_chosen(tmp_path: Path) -> None:
    version = small_version(tmp_path, drifting(2000))
    model = Checkered(None, known_of(version))
    found = choose_prior(model, version)
    assert len(found.tried) == 1 + (len(WEIGHTS) - 1) * len(WINDOWS_DAYS)
    assert found.prior.weight >= 1
    assert found.prior.window_s == 7 * DAY_S
    assert found == choose_prior(model, version)
    assert model.prior == Prior()


def test_of_equals_the_first_is_chosen(tmp_path: Path) -> None:
    version = small_version(tmp_path, drifting(60))
    tried = choose_prior(Checkered(None, known_of(version)), version, weights=(0.5, 0.5), windows_days=(None, None))
    assert tried.prior == tried.tried[0].prior
    only = choose_prior(Checkered(None, known_of(version)), version, weights=(0.0,))
    assert only.prior == Prior(0.0, None)


def test_a_log_without_times_has_no_windows(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("".join(f"{place % 7}\t{place % 11}\n" for place in range(90)))
    settings = TransformSettings(name="log", split="leave-one-out", columns={"user": "0", "item": "1"})
    version = open_version(transform(tmp_path / "log.txt", tmp_path / "version", settings).folder)
    found = choose_prior(Checkered(None, known_of(version)), version, protocol="leave-one-out", weights=(0, 1))
    assert [tried.prior for tried in found.tried] == [Prior(0), Prior(1)]


def test_without_validation_events_there_is_nothing_to_choose_by(tmp_path: Path) -> None:
    version = small_version(tmp_path, [(1, 1, 5), (2, 2, 5), (3, 3, 5)])
    assert not version.certificate.eval.rows
    with pytest.raises(UsageError, match="eval has no events"):
        choose_prior(Checkered(None, known_of(version)), version)
