"""Ranks of a split against the slow oracle; what is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_oracle import Checkered, answers, known_of
from matinee.errors import ModelDamagedError, SourceError, UsageError, VersionDamagedError
from matinee.model.recommender import Prior
from matinee.schema.layout import sequence_path
from matinee.train import ranks as ranks_module
from matinee.train.draws import Negatives
from matinee.train.ranks import Ranking, rank_split
from matinee.version import open_version
from small_version import small_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.histories import Histories

K = 3
ROWS = [(1, 5, 1), (2, 6, 2), (1, 6, 3), (3, 5, 3), (2, 7, 4), (1, 7, 5), (3, 8, 6), (2, 5, 7)]

logs = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(0, 30)), min_size=3, max_size=40)
priors = st.lists(
    st.builds(Prior, st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([None, 1, 5, 20])), min_size=1, max_size=4
)
rankings = st.one_of(
    st.builds(
        Ranking,
        split=st.sampled_from(["eval", "test"]),
        protocol=st.sampled_from(["time", "leave-one-out"]),
        exclude_seen=st.booleans(),
        limit=st.sampled_from([None, 1, 3]),
    ),
    st.builds(Ranking, split=st.just("test"), protocol=st.just("leave-one-out"), negatives=st.just(6)),
)


@settings(max_examples=60)
@given(
    rows=logs,
    split=st.sampled_from(["time", "leave-one-out", "ratio"]),
    ranking=rankings,
    tried=priors,
    history_limit=st.sampled_from([None, 1, 3]),
)
def test_ranks_are_those_of_the_oracle(
    rows: list[tuple[int, int, int]], split: str, ranking: Ranking, tried: list[Prior], history_limit: int | None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        try:
            version = small_version(Path(name), rows, split=split)
        except SourceError:
            return  # nothing is left of the log
        model = Checkered(None, known_of(version), history_limit=history_limit)
        drawn = {}
        if ranking.negatives:
            own = np.flatnonzero(np.diff(version.sequences("test").offsets) > 0).astype(np.int32)
            try:
                drawn = dict(zip(own.tolist(), Negatives(version, ranking.negatives, 0).of(own).tolist(), strict=True))
            except UsageError:
                return  # somebody has everything
        ranked = rank_split(model, version, ranking, tried, k=K)
        for prior, ranks in zip(tried, ranked.ranks, strict=True):
            expected = answers(model, version, ranking, prior, K, drawn)
            assert ranks.tolist() == [answer.rank for answer in expected]
        expected = answers(model, version, ranking, tried[0], K, drawn)
        assert ranked.users.tolist() == [answer.user for answer in expected]
        assert ranked.targets.tolist() == [answer.target for answer in expected]
        assert ranked.times_s.tolist() == [answer.time for answer in expected]
        assert ranked.repeats.tolist() == [answer.repeat for answer in expected]
        best = [] if ranking.negatives else [item for answer in expected for item in answer.best]
        assert ranked.recommended.tolist() == np.bincount(best, minlength=version.items + 1).tolist()


def test_many_events_and_small_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)
    rows = [(*chance.integers(1, 20, 2).tolist(), time // 3) for time in range(900)]
    version = small_version(tmp_path, rows)
    model = Checkered(None, known_of(version))
    tried = [Prior(0.5, 40), Prior(0.5), Prior()]
    whole = rank_split(model, version, Ranking("test"), tried, k=K)
    assert whole.ranks.shape == (3, version.certificate.test.rows)
    monkeypatch.setattr(ranks_module, "_ASKED_AT_ONCE", 7)
    monkeypatch.setattr("matinee.version._BATCH_ROWS", 11)
    pieces = rank_split(model, open_version(version.folder), Ranking("test"), tried, k=K)
    assert (pieces.ranks == whole.ranks).all()
    assert (pieces.recommended == whole.recommended).all()


def test_a_sample_of_users_gives_their_ranks_as_if_all_were_asked(tmp_path: Path) -> None:
    chance = np.random.default_rng(4)
    version = small_version(tmp_path, [(*chance.integers(1, 12, 2).tolist(), time) for time in range(200)])
    model = Checkered(None, known_of(version))
    everybody = rank_split(model, version, Ranking("test"), [Prior(1.0, 50)])
    some = rank_split(model, version, Ranking("test", users=4, seed=1), [Prior(1.0, 50)])
    chosen = np.isin(everybody.users, np.unique(some.users))
    assert np.unique(some.users).size == 4
    assert some.ranks[0].tolist() == everybody.ranks[0][chosen].tolist()
    others = rank_split(model, version, Ranking("test", users=4, seed=2), [Prior(1.0, 50)])
    assert np.unique(others.users).tolist() != np.unique(some.users).tolist()


def test_a_model_that_knows_fewer_items_than_the_version_has(tmp_path: Path) -> None:
    version = small_version(tmp_path, ROWS)
    known = known_of(version)
    warm = int(np.flatnonzero(known.items).max())
    shorter = Checkered(None, type(known)(known.users, known.items[: warm + 1]))
    assert warm < version.items
    ranking = Ranking("test")
    found = rank_split(shorter, version, ranking, [Prior(), Prior(1.0)])
    assert (found.ranks == rank_split(Checkered(None, known), version, ranking, [Prior(), Prior(1.0)]).ranks).all()


def test_progress_counts_every_event(tmp_path: Path) -> None:
    class Heard:
        def __init__(self) -> None:
            self.total: int | None = None
            self.done = 0
            self.finished = False

        def start(self, phase: str, total: int | None, unit: str) -> None:
            assert (phase, unit) == ("rank", "events")
            self.total = total

        def advance(self, amount: int) -> None:
            self.done += amount

        def finish(self, note: str = "") -> None:
            assert not note
            self.finished = True

        def say(self, line: str) -> None:
            raise AssertionError(line)

    version = small_version(tmp_path, ROWS)
    for ranking in (Ranking("test"), Ranking("test", "leave-one-out"), Ranking("test", limit=1)):
        heard = Heard()
        rank_split(Checkered(None, known_of(version)), version, ranking, [Prior()], phase="rank", progress=heard)
        assert heard.finished
        assert heard.total == heard.done > 0


def test_a_diverged_model_is_not_ranked(tmp_path: Path) -> None:
    class Diverged(Checkered):
        def scores(self, asked: Histories) -> NDArray[np.float32]:
            return super().scores(asked) * np.float32(np.nan)

    version = small_version(tmp_path, ROWS)
    with pytest.raises(ModelDamagedError, match="checkered: gives scores that are not finite"):
        rank_split(Diverged(None, known_of(version)), version, Ranking("test"), [Prior()])


def test_a_random_split_has_no_histories(tmp_path: Path) -> None:
    version = small_version(
        tmp_path, [(user, item, user + item) for user in range(9) for item in range(9)], split="random"
    )
    with pytest.raises(UsageError, match="split at random"):
        rank_split(Checkered(None, known_of(version)), version, Ranking("test"), [Prior()])


def test_events_that_contradict_the_sequences_are_noticed(tmp_path: Path) -> None:
    version = small_version(tmp_path, ROWS)
    path = version.folder / sequence_path("test", "items")
    items = np.load(path)
    items[0] = items[0] % version.items + 1
    np.save(path, items)
    with pytest.raises(VersionDamagedError, match="tell different stories; transform again"):
        rank_split(Checkered(None, known_of(version)), open_version(version.folder), Ranking("test"), [Prior()])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"split": "validation"}, "split = 'validation': expected one of train, eval, test"),
        ({"protocol": "leave_one_out"}, "protocol = 'leave_one_out': expected one of time, leave-one-out"),
        ({"negatives": 100}, "leave-one-out"),
        ({"negatives": -1, "protocol": "leave-one-out"}, "negatives is -1, expected 0 or more"),
        ({"users": 0}, "users is 0, expected 1 or more"),
        ({"limit": 0}, "limit is 0, expected 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Ranking(**values)
