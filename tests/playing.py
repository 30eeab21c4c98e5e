"""Replays whose servers are made up: what a real one writes, by the same code, from answers that nobody gave."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from typing import TYPE_CHECKING, Self

from matinee.replay.folder import Record
from matinee.replay.journal import OUTCOMES, Asked, Journal, Told
from matinee.replay.live import Live
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.report import Report, make_report
from matinee.replay.stage import Begun
from matinee.schema.layout import MANIFEST
from replay_oracle import make_stream

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Play"]

_EVERY = 20  # events between two pauses
_GONE_WRONG = OUTCOMES.index("time limit")


class Play:
    """A replay of `events` events, through arms of different worth; the block is the time that it takes.

    Args:
        data_dir: below whose replays/ its folder is made.
        name: of its folder.
        version: the folder of the version that it says it plays.
        models: arm -> the title of its model.
        events: how many.
        per_s: about how many a second.
        checkpoints: arm -> SHA-256 of its model's checkpoint.json.
    """

    def __init__(
        self,
        data_dir: Path,
        name: str,
        version: Path,
        models: dict[str, str],
        *,
        events: int = 4000,
        per_s: int = 400,
        checkpoints: dict[str, str] | None = None,
    ) -> None:
        self.folder = data_dir / "replays" / "log" / name
        self.folder.mkdir(parents=True)
        self.stream = make_stream([(number % 7 == 0, number % 5 != 0) for number in range(events)])
        self._models, self._per_s = models, per_s
        sha256 = hashlib.sha256((version / MANIFEST).read_bytes()).hexdigest()
        plan = Plan("log", version.name, sha256, arrivals=Arrivals(rate=float(per_s)))
        arms = tuple(Arm(arm, title, "", (checkpoints or {}).get(arm, ""), "", "") for arm, title in models.items())
        self._record = Record(name, plan, arms, (), {}).begun()
        self._record.write(self.folder)
        for arm, title in models.items():
            (self.folder / f"{arm}.models").write_text(f"{title}\n")
        self._live = Live(Begun(self.folder, self._record, self.stream))
        self._stop = threading.Event()
        self._player = threading.Thread(target=self._play)

    def __enter__(self) -> Self:
        self._live.__enter__()
        self._player.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._player.join()
        self._live.__exit__(None, None, None)

    def wait(self) -> None:
        """Until all events are told."""
        self._player.join()

    def report(self) -> Report:
        """Make the report, as the end of a replay does."""
        return make_report(self.folder, self.stream)

    def _play(self) -> None:
        chance = random.Random(1)
        k = self._record.plan.k
        journals = {arm: Journal(self.folder, arm, k) for arm in self._models}
        for event in range(self.stream.users.size):
            if event % _EVERY == 0 and self._stop.wait(_EVERY / self._per_s):
                break
            for worth, journal in enumerate(journals.values(), start=1):
                self._answer(journal, event, chance, worth)
        for journal in journals.values():
            journal.close()

    def _answer(self, journal: Journal, event: int, chance: random.Random, worth: int) -> None:
        """An arm of worth 2 answers later than one of worth 1, and with worse ranks."""
        now_us = time.time_ns() // 1000
        taken_us = int(1500 + chance.expovariate(1 / (900 * worth)))
        outcome = _GONE_WRONG if chance.random() < 0.004 * worth else 0
        rank = min(int(1 + chance.paretovariate(0.32 / worth**0.3)), 1682) if outcome == 0 else 0
        due_us, status = now_us - taken_us, 200 if outcome == 0 else 0
        items = (1,) * self._record.plan.k
        asked = Asked(event, outcome, status, 0, 0, rank, due_us, due_us + 90, now_us, 210, 340, items)
        told = Told(event, 0, 1, 0, now_us, now_us + 20, now_us + int(taken_us * 0.6), 180, 120)
        journal.asked(asked)
        journal.told(told)
