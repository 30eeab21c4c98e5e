"""A network with rows for new ids answers as it did, whoever is asked about and whatever they took."""

from __future__ import annotations

import numpy as np
import pytest

from matinee.model.extend import extended
from matinee.model.histories import Histories
from matinee.model.recommender import Known, Prior
from matinee.model.sasrec import SASRec, SASRecSettings
from matinee.model.sse_pt import SSEPT, SSEPTSettings

USERS, ITEMS = 9, 12
SIZES = {"maxlen": 5, "item_dim": 4, "blocks": 1}


def known(users: set[int], items: set[int], *, sizes: tuple[int, int]) -> Known:
    return Known(*(np.isin(np.arange(size + 1), [*ids]) for size, ids in zip(sizes, (users, items), strict=True)))


OLD = known({1, 2, 5}, {1, 2, 3, 7}, sizes=(6, 8))  # ids 3, 4, 6 and 4, 5, 6, 8 are there, and cold
NEW = known({1, 2, 5, 4, 8}, {1, 2, 3, 7, 5, 11}, sizes=(USERS, ITEMS))
HISTORIES = [[1, 2, 3], [7], [], [5, 1], [11, 12, 2], [1, 4, 3, 2, 7, 7]]


@pytest.mark.parametrize("stranger", ["mean", "unk", "clip", "sasrec"])
def test_nothing_changes_before_the_first_step(stranger: str) -> None:
    if stranger == "sasrec":
        old: SSEPT | SASRec = SASRec.initial(SASRecSettings(**SIZES), OLD, 3)  # type: ignore[arg-type]
    else:
        settings = SSEPTSettings(**SIZES, user_dim=4, stranger=stranger)  # type: ignore[arg-type]
        old = SSEPT.initial(settings, OLD, 3)
    with np.errstate(all="raise"):
        weights = old.network.items.weight.detach()
        weights[0] = weights[1:].mean() + weights[2]  # a trained UNK is not zero
    old.prior = Prior(0.5)
    before = {name: array.copy() for name, array in old.arrays().items()}
    new = extended(old, NEW)
    assert new.prior == Prior()
    assert new.known is NEW
    for user in range(USERS + 2):
        asked = Histories.of([user] * len(HISTORIES), HISTORIES)
        ours, theirs = new.scores(asked), old.scores(asked)
        columns = np.flatnonzero(OLD.items)
        np.testing.assert_allclose(ours[:, columns], theirs[:, columns], rtol=0, atol=1e-6)
        assert np.isfinite(ours[:, NEW.items]).all()
        assert np.isneginf(ours[:, ~NEW.items]).all()
    for name, array in old.arrays().items():
        np.testing.assert_array_equal(array, before[name], err_msg="the old model is as it was")


def test_rows_that_were_never_trained_are_made_new() -> None:
    old = SSEPT.initial(SSEPTSettings(**SIZES, user_dim=4, stranger="unk"), OLD, 3)  # type: ignore[arg-type]
    new = extended(old, NEW).arrays()
    for name, trained in (("items.weight", OLD.items), ("users.weight", OLD.users)):
        table = old.arrays()[name]
        kept = np.append(0, np.flatnonzero(trained))
        np.testing.assert_array_equal(new[name][kept], table[kept])
        others = np.setdiff1d(np.arange(len(new[name])), kept)
        np.testing.assert_array_equal(new[name][others], np.tile(table[0], (others.size, 1)))
