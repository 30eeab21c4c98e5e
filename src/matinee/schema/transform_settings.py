"""What decides a version's bytes, besides its source: one frozen object, hashed into the version's id."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from matinee.errors import UsageError, VersionDamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMAT", "IdKind", "SplitKind", "Ties", "TimeUnit", "TransformSettings", "parse_instant"]

FORMAT = 1  # the number of the version layout and its rules (docs/format.md); a new one gives every version a new id

SplitKind = Literal["time", "leave-one-out", "ratio", "random"]
Ties = Literal["input", "shuffle"]
IdKind = Literal["auto", "integer", "string"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]


@dataclass(frozen=True, slots=True)
class TransformSettings:
    """The settings of one transform that change its result.

    Attributes:
        name: stem of the split files and the data set's name in a store.
        member: the archive member to read; empty lets the archive decide.
        columns: role -> column name or 0-based position ('user', 'item', 'rating', 'time'); empty detects them.
        separator: the column separator; empty detects it.
        ids: whether raw ids are integers or strings; 'auto' looks at the first rows.
        time_unit: unit of the time column; 'auto' recognises milli-, micro- and nanoseconds.
        max_reject_share: unreadable rows allowed, as a share of all rows.
        min_rating: events rated below it, or not rated, are dropped; None keeps all.
        since, until: keep events with since <= timestamp < until, Unix seconds; None leaves the end open.
        min_user_events, min_item_events: iterated k-core; 0 or 1 keeps all.
        ties: order of events that share a timestamp.
        seed: of shuffled ties and of the random split.
        split: how events are divided.
        fractions: train, eval, test as decimal texts, exact, summing to 1.
        cuts: explicit cut instants in Unix seconds (first instant of eval, of test); empty uses fractions.
        rolling: number of rolling folds recorded in folds.json; 0 is none.
        raw: keep the archive as fetched inside the version.
    """

    name: str
    member: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    separator: str = ""
    ids: IdKind = "auto"
    time_unit: TimeUnit = "auto"
    max_reject_share: float = 0.001
    min_rating: float | None = None
    since: int | None = None
    until: int | None = None
    min_user_events: int = 0
    min_item_events: int = 0
    ties: Ties = "input"
    seed: int = 0
    split: SplitKind = "time"
    fractions: tuple[str, str, str] = ("0.5", "0.25", "0.25")
    cuts: tuple[int, ...] = ()
    rolling: int = 0
    raw: bool = True

    def __post_init__(self) -> None:
        """Raise UsageError where settings are impossible or exclude each other."""
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name) or self.name[0] in ".-":
            raise UsageError(f"name {self.name!r}: expected letters, digits, '-', '_' and '.'; pass --name")
        for value, kind, option in (
            (self.split, SplitKind, "--split"),
            (self.ties, Ties, "--ties"),
            (self.ids, IdKind, "--ids"),
            (self.time_unit, TimeUnit, "--time-unit"),
        ):
            if value not in get_args(kind):
                raise UsageError(f"{option} {value!r}: expected one of {', '.join(get_args(kind))}")
        shares = self.exact_fractions
        if min(shares) < 0 or shares[0] == 0 or sum(shares) != 1:
            raise UsageError(
                f"--fractions {','.join(self.fractions)}: expected three shares that sum to 1, the first above 0"
            )
        if not 0 <= self.max_reject_share <= 1:
            raise UsageError(f"--max-reject-share {self.max_reject_share}: expected a share between 0 and 1")
        if self.cuts and (len(self.cuts) != 2 or self.cuts[0] > self.cuts[1]):
            raise UsageError("--cut: expected two instants, the earlier first, as in --cut 2015-01-01 --cut 2017-01-01")
        if (self.cuts or self.rolling) and self.split != "time":
            raise UsageError(f"--cut and --rolling belong to --split time, found --split {self.split}")
        if self.cuts and self.rolling:
            raise UsageError("--cut and --rolling exclude each other: rolling folds follow from the fractions")
        if self.rolling < 0 or min(self.min_user_events, self.min_item_events) < 0:
            raise UsageError("--rolling, --min-user-events and --min-item-events: expected 0 or more")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed {self.seed}: expected 0 up to 2**63 - 1")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(f"--since {self.since} --until {self.until}: expected the first to be earlier")

    @property
    def exact_fractions(self) -> tuple[Fraction, Fraction, Fraction]:
        """The shares of train, eval and test as exact fractions.

        Raises:
            UsageError: there are not three of them, or one is not a decimal number.
        """
        try:
            train, evaluation, test = (Fraction(text) for text in self.fractions)
        except (ValueError, ZeroDivisionError):
            raise UsageError(
                f"--fractions {','.join(self.fractions)}: expected three numbers, as in 0.5,0.25,0.25"
            ) from None
        return train, evaluation, test

    def as_json(self) -> dict[str, object]:
        """A plain dictionary, keys in a fixed order, that goes into the manifest and the version's id."""
        plain = asdict(self)
        plain["columns"] = dict(self.columns)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], where: str) -> Self:
        """The settings that `as_json` gave, as a manifest carries them; `where` names that manifest in errors.

        Raises:
            VersionDamagedError: these are not settings.
        """
        try:
            columns = tuple((role, column) for role, column in plain["columns"].items())
            listed = {"columns": columns, "fractions": tuple(plain["fractions"]), "cuts": tuple(plain["cuts"])}
            return cls(**{**plain, **listed})
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise VersionDamagedError(f"{where}: its settings cannot be read ({error!r}); transform again") from None


def parse_instant(text: str) -> int:
    """Unix seconds from '1998-03-08', '1998-03-08T12:00:00' (UTC unless it says otherwise) or plain seconds.

    Raises:
        UsageError: the text is none of these.
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"instant {text!r}: expected a date like 1998-03-08, or Unix seconds") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
