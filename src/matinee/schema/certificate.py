"""The certificate: the facts that say whether a version's splits can be trusted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from matinee.errors import VersionDamagedError, VersionNotFoundError
from matinee.schema.layout import CERTIFICATE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Certificate", "Reading", "SplitFacts", "Timeline"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the text was read, and what was left out on the way, in the order in which it was left out.

    Attributes:
        rows: data rows in the log (blank lines and the header aside).
        rejects: rows that could not be read.
        below_rating: readable rows dropped by the rating threshold (or without the rating it needs).
        outside_range: of the rest, dropped by the time range.
        repeats: of the rest, exact repeats (same user, item, rating, timestamp), the first kept.
        below_core: of the rest, dropped by the iterated minimum of events per user and item.
        core_rounds: sweeps until that minimum held.
        events: what remains: rows minus all of the above.
        separator, header, columns: the dialect in use; columns maps roles to names or positions.
        user_kind, item_kind: 'integer' or 'string'.
        time_unit: 's', 'ms', 'us', 'ns', or 'row' where the log has no time and the row number stands in.
        reject_reasons: reason -> count.
    """

    rows: int
    rejects: int
    below_rating: int
    outside_range: int
    repeats: int
    below_core: int
    core_rounds: int
    events: int
    separator: str
    header: bool
    columns: dict[str, str]
    user_kind: str
    item_kind: str
    time_unit: str
    reject_reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split. Cold means: not seen in train; for train itself the cold counts are 0.

    Attributes:
        rows, users, items: events, and distinct users and items among them.
        first, last: smallest and largest timestamp; None when empty.
        cold_users, cold_items: distinct users and items that train has not seen.
        by_cold_users, on_cold_items, cold_both: events by a cold user, on a cold item, both at once. For a split
            other than by time `cold_both` is None: it would need a second sweep.
        before_train: events (targets) that lie strictly before some training event.
    """

    rows: int
    users: int
    items: int
    first: int | None
    last: int | None
    cold_users: int
    cold_items: int
    by_cold_users: int
    on_cold_items: int
    cold_both: int | None
    before_train: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Events over time in equal bins, for the plots.

    Attributes:
        edges: len(events) + 1 instants, Unix seconds; a bin holds edges[i] <= t < edges[i + 1].
        events: events a bin.
        by_cold_users, on_cold_items: of these, by users or on items that `train` has not seen; empty for a split
            that is not by time.
    """

    edges: tuple[int, ...]
    events: tuple[int, ...]
    by_cold_users: tuple[int, ...]
    on_cold_items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts about one version's splits.

    Attributes:
        version: the version's id.
        name: the data set's name.
        split: 'time', 'leave-one-out', 'ratio' or 'random'.
        cuts: first instant of eval and of test; empty for a split that is not by time.
        ties: 'input' or 'shuffle'.
        tied_events: events that share their timestamp with another.
        users, items: distinct in all splits.
        train, eval, test: one SplitFacts each.
        reading: see Reading.
        timeline: see Timeline.
        popularity: (rank, count) points of the items' long tail, rank 1 the most popular, at most 200 points.
        lengths: (events, users) points: how many users have that many events in all, at most 200 log-spaced bins
            given by their smallest length.
        warnings: sentences a person should read (leave-one-out leaks in time, row numbers stand in for time, ...).
    """

    version: str
    name: str
    split: str
    cuts: tuple[int, ...]
    ties: str
    tied_events: int
    users: int
    items: int
    train: SplitFacts
    eval: SplitFacts
    test: SplitFacts
    reading: Reading
    timeline: Timeline
    popularity: tuple[tuple[int, int], ...]
    lengths: tuple[tuple[int, int], ...]
    warnings: tuple[str, ...]

    @property
    def leaks(self) -> int:
        """Targets of eval and test that lie before a training event; 0 for every split by time."""
        return self.eval.before_train + self.test.before_train

    def to_json(self) -> str:
        """Readable JSON, the same bytes for the same facts."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Read a certificate back; `where` names it in errors.

        Raises:
            VersionDamagedError: this is not a certificate.
        """
        try:
            plain: dict[str, Any] = json.loads(text)
            for split in ("train", "eval", "test"):
                plain[split] = SplitFacts(**plain[split])
            plain["reading"] = Reading(**plain["reading"])
            plain["timeline"] = Timeline(**{key: tuple(values) for key, values in plain["timeline"].items()})
            for key in ("popularity", "lengths"):
                plain[key] = tuple((first, second) for first, second in plain[key])
            for key in ("cuts", "warnings"):
                plain[key] = tuple(plain[key])
            return cls(**plain)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VersionDamagedError(f"{where}: not a certificate ({error!r}); transform again") from None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The certificate of the version in `folder`.

        Raises:
            VersionNotFoundError: there is none.
            VersionDamagedError: see `from_json`.
        """
        path = folder / CERTIFICATE
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise VersionNotFoundError(f"{folder}: no {CERTIFICATE}; transform again") from None
        return cls.from_json(text, str(path))
