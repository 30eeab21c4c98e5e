"""The certificate of a transform: what was read, what was left out, what the splits hold, and what to be wary of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from matinee.errors import SourceFormatError
from matinee.schema.certificate import Certificate, Reading
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from collections import Counter

    from matinee.etl.base import Base
    from matinee.etl.dialect import Dialect
    from matinee.schema.certificate import SplitFacts, Timeline
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["AllFacts", "Core", "ReadLog", "certify"]


class ReadLog(Protocol):
    """What must be known of the reading."""

    dialect: Dialect
    rows: int
    below_rating: int
    outside_range: int
    rejects: Counter[str]

    @property
    def rejected(self) -> int:
        """Rows that could not be read."""


class Core(Protocol):
    """What became of the k-core."""

    below_core: int
    core_rounds: int


class AllFacts(Protocol):
    """What must be known of the events that remain (docs/format.md, section 9)."""

    @property
    def users(self) -> int:
        """Distinct users."""

    @property
    def items(self) -> int:
        """Distinct items."""

    @property
    def tied_events(self) -> int:
        """Events that share their time with another one."""

    def split_facts(self) -> tuple[SplitFacts, SplitFacts, SplitFacts]:
        """The facts of train, eval and test."""

    def timeline(self) -> Timeline:
        """Events over time."""

    def popularity(self) -> tuple[tuple[int, int], ...]:
        """(rank, events) of items."""

    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(smallest length of a bin, users)."""


def certify(
    identity: str,
    settings: TransformSettings,
    log: ReadLog,
    found: Core | None,
    facts: AllFacts,
    cuts: tuple[int, ...],
    repeats: int,
    ids: tuple[int, int],
    base: Base | None = None,
) -> Certificate:
    """Put the facts together; `ids` are the sizes of the id maps of users and items.

    Raises:
        SourceFormatError: train is empty, so that there is nothing to learn from.
    """
    dialect = log.dialect
    train, evaluation, test = facts.split_facts()
    if not train.rows:
        raise SourceFormatError(
            f"train is empty: of {evaluation.rows + test.rows:,} events the split '{settings.split}' leaves none "
            "to learn from; raise the first of --fractions, or move --cut later"
        )
    reading = Reading(
        rows=log.rows,
        rejects=log.rejected,
        below_rating=log.below_rating,
        outside_range=log.outside_range,
        repeats=repeats,
        below_core=found.below_core if found else 0,
        core_rounds=found.core_rounds if found else 0,
        events=train.rows + evaluation.rows + test.rows,
        separator=dialect.columns.separator.decode(errors="replace"),
        header=dialect.header,
        columns=dialect.names,
        user_kind="integer" if dialect.columns.user_is_integer else "string",
        item_kind="integer" if dialect.columns.item_is_integer else "string",
        time_unit="row" if base and base.without_time else dialect.time_unit,
        reject_reasons=dict(sorted(log.rejects.items())),
    )
    certificate = Certificate(
        version=identity,
        name=settings.name,
        split=settings.split,
        cuts=cuts,
        ties=settings.ties,
        tied_events=facts.tied_events,
        users=facts.users,
        items=facts.items,
        train=train,
        eval=evaluation,
        test=test,
        reading=reading,
        timeline=facts.timeline(),
        popularity=facts.popularity(),
        lengths=facts.lengths(),
        warnings=(),
    )
    warnings = _warnings(certificate)
    if base is not None:
        warnings = (_goes_on(base, ids[0] - facts.users, ids[1] - facts.items), *warnings)
    return replace(certificate, warnings=warnings)


def _goes_on(base: Base, silent_users: int, silent_items: int) -> str:
    """What must be known of ids that come from an earlier version."""
    entry = base.entry
    return (
        f"The ids go on from version {entry.version}: its {entry.users:,} users and {entry.items:,} items keep theirs, "
        "so that ids are not in order of first appearance, and what train has seen is not told by how large an id is. "
        f"{silent_users:,} users and {silent_items:,} items of the id maps have no event here."
    )


def _warnings(certificate: Certificate) -> tuple[str, ...]:
    """Sentences a person should read."""
    warnings = []
    if certificate.split != "time":
        warnings.append(
            f"The split '{certificate.split}' leaks across users in time: {certificate.leaks:,} targets lie before a "
            "training event. Scores on it flatter a model; use the time split to decide what goes live."
        )
    if certificate.reading.time_unit == "row":
        warnings.append("The log has no time column: the row number stands in for time, so order is only the file's.")
    warnings += [f"The {split} split is empty." for split in SPLITS if not getattr(certificate, split).rows]
    return tuple(warnings)
