"""From options as people write them ('user=who,item=what', '0.8,0.1,0.1', '2000-08-01') to TransformSettings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError
from matinee.schema.transform_settings import IdKind, SplitKind, Ties, TimeUnit, TransformSettings, parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["settings_from_options"]

_ROLES: Final = ("user", "item", "rating", "time")
_SEPARATOR_WORDS: Final = {"\\t": "\t", "tab": "\t", "space": " "}


def settings_from_options(
    *,
    name: str,
    split: SplitKind = "time",
    fractions: str | Sequence[float | str] = "0.5,0.25,0.25",
    ties: Ties = "input",
    seed: int = 0,
    columns: str | Mapping[str, str | int] = "",
    sep: str = "",
    member: str = "",
    cut: Sequence[str | int] = (),
    rolling: int = 0,
    ids: IdKind = "auto",
    time_unit: TimeUnit = "auto",
    max_reject_share: float = 0.001,
    min_rating: float | None = None,
    since: str | int | None = None,
    until: str | int | None = None,
    min_user_events: int = 0,
    min_item_events: int = 0,
    raw: bool = True,
) -> TransformSettings:
    """The settings that these options mean; the same defaults as `matinee transform` has.

    Raises:
        UsageError: an option's text says nothing, or options exclude each other.
    """
    return TransformSettings(
        name=name,
        member=member,
        columns=_columns(columns),
        separator=_SEPARATOR_WORDS.get(sep, sep),
        ids=ids,
        time_unit=time_unit,
        max_reject_share=max_reject_share,
        min_rating=min_rating,
        since=_instant(since),
        until=_instant(until),
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        ties=ties,
        seed=seed,
        split=split,
        fractions=_fractions(fractions),
        cuts=tuple(parse_instant(str(instant)) for instant in cut),
        rolling=rolling,
        raw=raw,
    )


def _columns(columns: str | Mapping[str, str | int]) -> tuple[tuple[str, str], ...]:
    pairs = _column_pairs(columns) if isinstance(columns, str) else [(k, str(v)) for k, v in columns.items()]
    told = dict(pairs)
    if len(told) != len(pairs):
        raise UsageError(f"--columns {columns}: a role is given twice")
    for role, column in pairs:
        if role not in _ROLES:
            raise UsageError(f"--columns {columns}: unknown role {role!r}, expected {', '.join(_ROLES)}")
        if not column:
            raise UsageError(f"--columns {columns}: role {role!r} has no column; give its name or 0-based position")
    if pairs and not {"user", "item"} <= told.keys():
        raise UsageError(f"--columns {columns}: expected at least user=... and item=...")
    return tuple((role, told[role]) for role in _ROLES if role in told)


def _column_pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, mark, column = part.partition("=")
        if not mark:
            raise UsageError(f"--columns {text}: expected role=column pairs, as in user=userId,item=movieId")
        pairs.append((role.strip(), column.strip()))
    return pairs


def _fractions(fractions: str | Sequence[float | str]) -> tuple[str, str, str]:
    texts = fractions.split(",") if isinstance(fractions, str) else [str(share) for share in fractions]
    if len(texts) != 3:
        raise UsageError(f"--fractions {','.join(texts)}: expected three shares, as in 0.5,0.25,0.25")
    train, evaluation, test = (text.strip() for text in texts)
    return train, evaluation, test


def _instant(moment: str | int | None) -> int | None:
    return None if moment is None else parse_instant(str(moment))
