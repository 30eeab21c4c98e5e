"""Replays for tests of the page: what a real one writes, by the same code, from events that nobody serves."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from matinee.replay.journal import OUTCOMES, Asked, Journal, Told
from matinee.replay.live import Live
from matinee.replay.plan import Arm, Arrivals, Plan
from matinee.replay.tally import Tally
from replay_oracle import make_stream

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Play"]

_EVERY = 40  # events between two pauses
_GONE_WRONG = OUTCOMES.index("time limit")


class Play:
    """A replay of `events` made-up events, through arms of different worth; the block is the time that it takes.

    Args:
        data_dir: below whose replays/ its folder is made.
        name: of its folder.
        version: the id of the version that it says it plays.
        models: arm -> the title of its model.
        events: how many.
        per_s: about how many a second.
    """

    def __init__(
        self, data_dir: Path, name: str, version: str, models: dict[str, str], *, events: int = 4000, per_s: int = 400
    ) -> None:
        self.folder = data_dir / "replays" / "ml-100k" / name
        self.folder.mkdir(parents=True)
        self.models, self.per_s = models, per_s
        self.plan = Plan("ml-100k", version, "00" * 32, arrivals=Arrivals(rate=float(per_s)))
        self.stream = make_stream([(number % 7 == 0, number % 5 != 0) for number in range(events)])
        arms = [Arm(arm, title, "", "", "", "") for arm, title in models.items()]
        record = {"format": 1, "id": name, "plan": self.plan.as_json(), "arms": [asdict(arm) for arm in arms]}
        (self.folder / "replay.json").write_text(json.dumps(record | {"sessions": [], "machine": {}}))
        self._live = self._new_live()
        self._stop = threading.Event()
        self._player = threading.Thread(target=self._play)

    def _new_live(self) -> Live:
        titles = {arm: [title] for arm, title in self.models.items()}
        return Live(self.folder, self.stream, self.plan, [*self.models], models=titles)

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

    def report(self) -> dict[str, Any]:
        """Write the report that these journals come to, and a page."""
        titles = {arm: [title] for arm, title in self.models.items()}
        tally = Tally.from_journals(self.folder, self.stream, self.plan, [*self.models], models=titles)
        report: dict[str, Any] = {"format": 1, "id": self.folder.name, "plan": self.plan.as_json()}
        report |= {"events": self.stream.users.size, "arms": tally.figures()}
        (self.folder / "report.json").write_text(json.dumps(report))
        (self.folder / "report.html").write_text("<!doctype html><title>report</title><h1>The report</h1>")
        return report

    def _play(self) -> None:
        chance = random.Random(1)
        journals = {arm: Journal(self.folder, arm, self.plan.k) for arm in self.models}
        for event in range(self.stream.users.size):
            if event % _EVERY == 0 and self._stop.wait(_EVERY / self.per_s):
                break
            for worth, (arm, journal) in enumerate(journals.items(), start=1):
                self._tell(arm, journal, event, chance, worth)
        for journal in journals.values():
            journal.close()

    def _tell(self, arm: str, journal: Journal, event: int, chance: random.Random, worth: int) -> None:
        now_us = time.time_ns() // 1000
        taken_us = int(1500 + chance.expovariate(1 / (900 * worth)))
        outcome = _GONE_WRONG if chance.random() < 0.004 * worth else 0
        rank = int(1 + chance.paretovariate(0.32 / worth**0.3)) if outcome == 0 else 0
        asked = Asked(
            event, outcome, 200 * (outcome == 0), 0, 0, min(rank, 1682), now_us - taken_us, now_us - taken_us + 90,
            now_us, 210, 340, (1,) * self.plan.k,
        )  # fmt: skip
        told = Told(event, 0, 1, 0, now_us, now_us + 20, now_us + int(taken_us * 0.6), 180, 120)
        journal.asked(asked)
        self._live.asked(arm, asked)
        journal.told(told)
        self._live.told(arm, told)
