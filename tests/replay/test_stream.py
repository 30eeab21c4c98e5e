"""The events that a plan takes from a version: whose, in which order, from where to where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from matinee.errors import UsageError
from matinee.etl.stages import transform
from matinee.replay.plan import Plan
from matinee.replay.stream import read_stream
from matinee.train.ranks import sample_users
from matinee.version import open_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version


def plan(version: Version, **values: Any) -> Plan:
    return Plan(version.name, version.id, version.sha256, **values)


@pytest.mark.parametrize("split", ["eval", "test"])
def test_it_is_the_split_in_order_with_raw_ids(version: Version, split: Any) -> None:
    stream = read_stream(version, plan(version, split=split))
    (events,) = version.events(split)
    assert stream.users.tolist() == events.user.tolist()
    assert stream.items.tolist() == events.item.tolist()
    assert stream.times_s.tolist() == events.timestamp.tolist()
    assert stream.raw_users == [int(version.raw_users[user - 1]) for user in events.user]
    assert stream.raw_items == [int(version.raw_items[item - 1]) for item in events.item]
    trained = version.sequences("train")
    assert stream.warm_users.tolist() == [trained.of(user).size > 0 for user in events.user]
    assert stream.warm_items.tolist() == np.isin(events.item, trained.items).tolist()
    assert stream.asked_from == 0
    assert stream.asked == len(stream) == events.user.size


def test_people_are_drawn_as_an_evaluation_draws_them(version: Version) -> None:
    stream = read_stream(version, plan(version, users=7, seed=3))
    drawn = sample_users(version.sequences("eval"), 7, 3)
    assert np.unique(stream.users).tolist() == np.flatnonzero(drawn).tolist()
    everybody = read_stream(version, plan(version))
    theirs = drawn[everybody.users]
    assert stream.items.tolist() == everybody.items[theirs].tolist(), "all of theirs, in order"
    assert len(read_stream(version, plan(version, users=10**6))) == len(everybody)


def test_from_until_and_limit(version: Version) -> None:
    everything = read_stream(version, plan(version))
    since_s, until_s = int(everything.times_s[40]), int(everything.times_s[120])
    stream = read_stream(version, plan(version, since_s=since_s, until_s=until_s, limit=30))
    assert stream.asked == 30
    assert stream.times_s[stream.asked_from] == since_s
    assert stream.times_s[stream.asked_from - 1] < since_s
    assert stream.items.tolist() == everything.items[: len(stream)].tolist(), "what comes before is told"
    unlimited = read_stream(version, plan(version, until_s=until_s))
    assert unlimited.times_s[-1] < until_s
    assert everything.times_s[len(unlimited)] >= until_s
    with pytest.raises(UsageError, match=r"no event of eval is asked about; it lasts from \d+ to \d+"):
        read_stream(version, plan(version, since_s=int(everything.times_s[-1]) + 1))


def test_ratings_and_ids_that_are_texts(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [("ann", "a b", 4.5), ("bob", "ü", ""), ("ann", "ü", 0.5), ("bob", "a b", ""), ("ann", "c", 3)]
    log.write_text(
        "user,item,rating,time\n"
        + "".join(f"{who},{what},{how},{10 + at}\n" for at, (who, what, how) in enumerate(rows))
    )
    version = open_version(transform(log, out=tmp_path / "v", fractions=(0.2, 0.6, 0.2), time_unit="s").folder)
    stream = read_stream(version, plan(version))
    assert stream.raw_users == ["bob", "ann", "bob"]
    assert stream.raw_items == ["ü", "ü", "a b"]
    assert stream.ratings is not None
    assert np.array_equal(stream.ratings, [np.nan, 0.5, np.nan], equal_nan=True)


def test_a_log_without_ratings_has_none(version: Version) -> None:
    assert read_stream(version, plan(version)).ratings is None
