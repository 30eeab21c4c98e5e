"""A server goes on with another model: nobody is refused, what cannot be served is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.errors import ModelMismatchError, ModelNotFoundError, UsageError
from matinee.model import checkpoint
from matinee.model.popularity import Popularity, PopularitySettings
from matinee.model.recommender import Known
from matinee.schema.manifest import IdMapEntry
from matinee.serve.board import Board
from matinee.serve.promotion import promote
from served import save

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version
    from served import Starter

pytestmark = pytest.mark.xdist_group("postgres")


def test_a_promotion_is_between_two_answers(
    start: Starter, models: dict[str, Path], version: Version, tmp_path: Path
) -> None:
    server = start(models["markov"], workers=2)
    server.tell(user="u", item=5001, timestamp=1_003_000_000)
    answers: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answers.append(server.ask(user="u")["model"])

    asking = threading.Thread(target=ask)
    asking.start()
    promoted = promote(models["sse-pt"], data_dir=server.data_dir)
    assert (promoted.before.partition("@")[0], promoted.model.partition("@")[0]) == ("markov", "sse-pt")
    assert promoted.workers == 2
    seen = len(answers)
    while len(answers) < seen + 10:
        pass
    ended.set()
    asking.join()
    assert {*answers} == {promoted.before, promoted.model}
    assert {*answers[seen + 2 :]} == {promoted.model}

    # The same as if it had served from the beginning, counts and all.
    asked = {"user": 101, "k": 50, "timestamp": 1_003_000_100}
    answer = server.ask(**asked)
    fresh = start(models["sse-pt"])
    assert fresh.ask(**asked) == answer
    with pytest.raises(UsageError, match="servers run on the ports"):
        promote(models["markov"], data_dir=server.data_dir)
    fresh.stop()

    # Another id map is refused, and so is what is no model; the server goes on.
    known = Known(np.ones(4, np.bool_), np.ones(6, np.bool_))
    known.users[0] = known.items[0] = False
    stranger = Popularity(PopularitySettings(), known)
    foreign = save(tmp_path / "foreign", stranger, version)
    facts = checkpoint.read_facts(foreign)
    entry = IdMapEntry(5, "integer", "c" * 64)
    checkpoint.save(
        foreign, stranger, type(facts)(**_fields(facts) | {"users": IdMapEntry(3, "integer", "d" * 64), "items": entry})
    )
    with pytest.raises(ModelMismatchError, match="was trained on"):
        promote(foreign, data_dir=server.data_dir, port=server.port)
    with pytest.raises(ModelNotFoundError):
        promote(tmp_path / "nothing", data_dir=server.data_dir)
    board = Board(server.data_dir / "serve" / str(server.port))
    wanted = board.wanted()
    assert wanted is not None
    assert wanted.title == promoted.model
    assert server.ask(**asked) == answer


def test_nobody_to_promote_to(tmp_path: Path, models: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no server runs here; 'matinee serve' starts one"):
        promote(models["plain"], data_dir=tmp_path)


def _fields(facts: checkpoint.CheckpointFacts) -> dict[str, object]:
    return {name: getattr(facts, name) for name in facts.__dataclass_fields__}
