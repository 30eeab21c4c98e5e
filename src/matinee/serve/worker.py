"""One worker process: histories, log and engine put together, and what it does when it is asked or told."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

import numpy as np
from msgspec import UNSET

from matinee.database.told import Told
from matinee.errors import MatineeError
from matinee.model.checkpoint import check_matches
from matinee.model.histories import Histories
from matinee.model.opening import open_model
from matinee.serve.batches import Batches
from matinee.serve.board import Board
from matinee.serve.engine import Engine, Questions
from matinee.serve.ledger import Ledger
from matinee.serve.models import title
from matinee.serve.people import People
from matinee.serve.position import Position
from matinee.serve.refusals import WrongShapeError
from matinee.serve.wire import Answer, Ask, Event, History
from matinee.version import open_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matinee.serve.board import Wanted
    from matinee.serve.measures import Measures
    from matinee.serve.serving import Serving
    from matinee.serve.wire import WireId

__all__ = ["Worker"]

_LOOK_S: Final = 0.1  # how often the board is looked at

_log = logging.getLogger(__name__)


class Worker:
    """What happens behind the doors; all of it in one event loop, but for the engine, which has a thread."""

    def __init__(self, serving: Serving, measures: Measures) -> None:
        self._serving = serving
        self._board = Board(serving.board)
        self._version = open_version(serving.version)
        self._people = People(self._version, serving.past)
        self._position = Position.open(serving.position)
        self._ledger = Ledger(serving.database_url, serving.log, self._people, self._position, measures, serving.after)
        self._batches: Batches[Ask, Answer] = Batches(
            self._answer,
            size=serving.max_batch,
            room=serving.max_queue,
            wait_s=serving.batch_wait_s,
            measures=measures,
        )
        self._thread = ThreadPoolExecutor(1, "engine")
        self._teller, self._number = uuid4(), 0
        self._wanted = 0
        self._engine: Engine

    @property
    def ready(self) -> bool:
        """Whether Postgres answered when it was last spoken to."""
        return self._ledger.reachable

    @property
    def model(self) -> str:
        """Who answers."""
        return self._engine.name

    async def start(self) -> None:
        """Read model, version and log; from here on it can be asked."""
        wanted = self._board.wanted()
        if wanted is None:
            raise MatineeError(f"{self._serving.board}: no model is wanted")
        loading = asyncio.create_task(asyncio.to_thread(self._load, wanted))
        await self._ledger.start()
        await self._take_on(await loading, wanted)
        self._batches.start()
        # What a server is made of lives as long as it does; looking through it for garbage again and again stops all
        # answers for so long that it was their 99th percentile.
        gc.collect()
        gc.freeze()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Answer and write down what has come in, then end."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._batches.stop()
        await self._ledger.stop()
        self._thread.shutdown()
        self._position.close()

    async def recommend(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answers to all of them.

        Raises:
            BusyError: too many questions wait.
            NotDurableError: see `Ledger.up_to_date`.
        """
        return await self._batches.ask(asks)

    async def tell(self, events: Sequence[Event], teller: UUID | None) -> tuple[int, int]:
        """How many were new and how many were known; all are durable.

        Raises:
            WrongShapeError: a number without a teller, or a teller without numbers.
            BusyError, NotDurableError, ConflictError: see `Ledger.tell`.
        """
        now_s = int(time.time())
        told = []
        for event in events:
            if (teller is None) is not (event.number is UNSET):
                raise WrongShapeError("`teller` and `number` belong together: give both, or neither")
            number = event.number
            if number is UNSET:
                number, self._number = self._number, self._number + 1
            moment = now_s if event.timestamp is UNSET else event.timestamp
            told.append((teller or self._teller, Told(number, str(event.user), str(event.item), moment, event.rating)))
        new = await self._ledger.tell(told)
        return new, len(told) - new

    async def history(self, user: WireId, last: int) -> History:
        """What one user took."""
        await self._ledger.up_to_date()
        dense = self._people.users.dense(str(user))
        items = self._people.of(dense)
        shown = items[items.size - min(last, items.size) :]
        return History(
            user=self._people.users.raw(dense) if dense else user,
            known=self._knows(dense),
            events=items.size,
            items=[self._people.items.raw(item) for item in shown.tolist()],
        )

    async def _answer(self, asks: Sequence[Ask]) -> list[Answer]:
        await self._ledger.up_to_date()
        # From here to the engine nothing is awaited: histories and counts are of the same moment.
        engine = self._engine
        users = self._people.users.all_dense([ask.user for ask in asks]).tolist()
        questions = self._questions(asks, users)
        loop = asyncio.get_running_loop()
        ranks, best = await loop.run_in_executor(self._thread, engine.answer, questions, self._people.told)
        return [
            Answer(
                user=ask.user,
                items=[item for item in items[: ask.k] if item is not None],
                known=user < engine.known_users.size and bool(engine.known_users[user]),
                model=engine.name,
                rank=rank if target else UNSET,
            )
            for ask, user, items, rank, target in zip(
                asks,
                users,
                self._people.items.all_raw(best),
                ranks.tolist(),
                questions.targets.tolist(),
                strict=True,
            )
        ]

    def _questions(self, asks: Sequence[Ask], users: Sequence[int]) -> Questions:
        now_s = int(time.time())
        items = self._people.items
        return Questions(
            histories=self._people.gather(users, [self._instead(ask) for ask in asks]),
            exclude=np.array([ask.exclude_seen for ask in asks]),
            times_s=np.array([now_s if ask.timestamp is UNSET else ask.timestamp for ask in asks], np.int64),
            targets=np.array([0 if ask.target is UNSET else items.dense(str(ask.target)) for ask in asks], np.int32),
            k=max(ask.k for ask in asks),
            rows=len(items) + 1,
            told=len(self._people.told),
        )

    def _instead(self, ask: Ask) -> NDArray[np.int32] | None:
        """The history that is asked with; what was never heard of is 0, which no model knows."""
        if ask.history is UNSET:
            return None
        return self._people.items.all_dense(ask.history)

    def _knows(self, user: int) -> bool:
        return user < self._engine.known_users.size and bool(self._engine.known_users[user])

    def _load(self, wanted: Wanted) -> Engine:
        """An engine that has counted everything up to now; takes as long as it takes, in a thread of its own."""
        model, facts = open_model(Path(wanted.folder), engine="onnx", threads=self._serving.threads)
        check_matches(facts, self._version.manifest.users, self._version.manifest.items)
        engine = Engine(model, title(facts), self._version, self._serving.past)
        engine.catch_up(self._people.told, len(self._people.told))
        return engine

    async def _take_on(self, engine: Engine, wanted: Wanted) -> None:
        """Answer with another model from the next batch on."""
        last_s = max((getattr(self._version.certificate, split).last or 0 for split in self._serving.past), default=0)
        nobody = Histories.of([0, 0], [[], []])
        first = Questions(
            histories=nobody,
            exclude=np.ones(2, np.bool_),
            times_s=np.full(2, last_s, np.int64),
            targets=np.zeros(2, np.int32),
            k=1,
            rows=len(self._people.items) + 1,
            told=len(self._people.told),
        )
        # The first answer costs most: kernels are loaded, memory is taken.
        await asyncio.to_thread(engine.answer, first, self._people.told)
        self._engine, self._wanted = engine, wanted.number
        self._board.report(wanted.number, engine.name)

    async def _watch(self) -> None:
        """Fulfil new wishes; one that cannot be is reported, and the old model goes on."""
        while True:
            await asyncio.sleep(_LOOK_S)
            wanted = self._board.wanted()
            if wanted is None or wanted.number <= self._wanted:
                continue
            try:
                await self._take_on(await asyncio.to_thread(self._load, wanted), wanted)
            except Exception as error:  # noqa: BLE001 - whatever it is, the old model goes on
                if not isinstance(error, MatineeError):
                    _log.exception("a model could not be taken on")
                self._wanted = wanted.number
                self._board.report(wanted.number, self._engine.name, str(error) or type(error).__name__)
