"""A server of a version that was made of its own log goes on behind it: no history has anything twice, or lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matinee.errors import UsageError
from matinee.etl.from_events import from_events_in
from matinee.etl.options import settings_from_options
from matinee.model.markov import Markov, MarkovSettings
from matinee.model.recommender import Known, Prior
from matinee.serve.behind import place_behind
from matinee.version import open_version
from served import save

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version
    from served import Starter

pytestmark = pytest.mark.xdist_group("postgres")


def test_the_loop_closes(start: Starter, models: dict[str, Path], version: Version, tmp_path: Path) -> None:
    server = start(models["markov"])
    user, later = int(version.raw_users[2]), 1_100_000_000
    for at, (who, item) in enumerate([(user, 5001), ("777", 4999), (user, 9999), ("777", 5001)]):
        server.tell(user=who, item=item, timestamp=later + at)
    before = {who: server.history(who) for who in (user, 777)}
    server.stop()
    options = settings_from_options(name="unnamed", time_unit="s")
    made = from_events_in(start.url, version.folder, options, past="train", data_dir=tmp_path / "data")
    assert (made.told, made.new_users) == (4, 1)
    assert made.folder is not None
    following = open_version(made.folder)
    known = Known(following.known_users, following.known_items)
    model = Markov.fit(MarkovSettings(), following.sequences("train"), known)
    model.prior = Prior(0.7, None)
    folder = save(tmp_path / "model", model, following)
    second = start(folder, version=str(made.folder), past="test")
    assert {who: second.history(who) for who in (user, 777)} == before
    second.tell(user=777, item=5000, timestamp=later + 9)
    assert second.history(777) == [*before[777], 5000]
    with pytest.raises(UsageError, match=rf"past is train, but version {made.version} has the events of log up to"):
        place_behind(start.url, following, "log", "train")
    assert place_behind(start.url, following, "log", "test") == made.place
    assert place_behind(start.url, following, "log/apart", "train") == 0
    assert place_behind(start.url, version, "log", "train") == 0
