"""What a replay does, fixed before it begins: which events, when each is due, in which order, through which arms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

from matinee.errors import UsageError

__all__ = ["MAX_CONNECTIONS", "MAX_K", "Arm", "Arrivals", "Order", "Plan"]

Order = Literal["user", "log"]
Split = Literal["eval", "test"]
MAX_K: Final = 100  # each answer's list is kept in the journal
MAX_CONNECTIONS: Final = 1000  # of an arm: the usual limit of a process is 1,024 open files


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When events are due: as the log says, at a rate, or as soon as a connection is free. At most one is given.

    Attributes:
        speed: how many times faster than the log.
        max_gap_s: the longest pause between two events, in seconds of the replay; with `speed` alone.
        rate: events per second, evenly spaced.
    """

    speed: float | None = None
    max_gap_s: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        """Raise UsageError where they cannot be."""
        for name in ("speed", "max_gap_s", "rate"):
            value = getattr(self, name)
            if value is None:
                continue
            if not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value:g}, expected more than 0")
            object.__setattr__(self, name, float(value))  # 500 and 500.0 are one plan
        if self.speed is not None and self.rate is not None:
            raise UsageError("speed and rate are both given; the arrivals come from the log or from a rate")
        if self.max_gap_s is not None and self.speed is None:
            raise UsageError("max_gap_s belongs to speed: only the log's own times have gaps")

    @property
    def connections(self) -> int:
        """How many are usual: enough to keep a server busy, or so many that nobody who is due waits for one."""
        return 128 if self.is_open_loop else 32

    @property
    def is_open_loop(self) -> bool:
        """Whether events are due at moments of their own, whatever the server does."""
        return self.speed is not None or self.rate is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """One replay; the same plan with the same arms is the same replay, which is taken up where it was killed.

    Attributes:
        dataset, version, version_sha256: whose events; the hash is that of the manifest.
        split: whose events are asked about; what lies before it has happened already.
        arrivals: when each is due.
        order: 'user' asks about an event when those of the same person before it were told, as live traffic does;
            'log' when all before it were told, which makes models whose prior counts everybody's events comparable
            with an evaluation, rank by rank.
        users: so many people, drawn by the seed; None for all.
        since_s, until_s: Unix seconds; events before `since_s` are told and not asked about, those at `until_s` and
            later are left out.
        limit: the first so many events of those.
        k: length of a list.
        exclude_seen: leave the items of a history out of the lists.
        connections: of each arm, to its server.
        time_limit_s: of a question; then it is unanswered.
        patience_s: how long an event is told again before the replay gives up.
        seed: of draws.
    """

    dataset: str
    version: str
    version_sha256: str
    split: Split = "eval"
    arrivals: Arrivals = Arrivals()
    order: Order = "user"
    users: int | None = None
    since_s: int | None = None
    until_s: int | None = None
    limit: int | None = None
    k: int = 10
    exclude_seen: bool = True
    connections: int = 32
    time_limit_s: float = 10.0
    patience_s: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError where a value cannot be."""
        for name in ("users", "limit", "k", "connections"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}, expected 1 or more")
        for name, most in (("k", MAX_K), ("connections", MAX_CONNECTIONS)):
            if getattr(self, name) > most:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at most {most}")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}, expected 0 or more")
        for name in ("time_limit_s", "patience_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name):g}, expected more than 0")
        if self.since_s is not None and self.until_s is not None and self.until_s <= self.since_s:
            raise UsageError(f"until ({self.until_s}) is not after from ({self.since_s})")

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        """As `as_json` gave it."""
        return cls(**plain | {"arrivals": Arrivals(**plain["arrivals"])})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def fingerprint(self, arms: list[str]) -> str:
        """Of the plan with these arms, each told by name and model or address: 12 hex digits."""
        text = json.dumps([self.as_json(), sorted(arms)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Arm:
    """One served model that takes part.

    Attributes:
        name: what the report calls it.
        model: the title that its server gives itself.
        folder: of the trained model where the replay has started its server; empty for a server that ran already.
        checkpoint_sha256: of the model's checkpoint.json; empty where only the address is known.
        log: under which its server writes down what it is told: the data set's name, a slash, the rehearsal's name;
            empty where it is not known.
        teller: UUID under which its events are told.
    """

    name: str
    model: str
    folder: str
    checkpoint_sha256: str
    log: str
    teller: str

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)
