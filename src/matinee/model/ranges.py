"""Checks of settings: a value within its range or among its choices, or one line that says what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["among", "within"]


def within(name: str, value: float, *, least: float | None = None, most: float | None = None) -> None:
    """Refuse a number outside its range.

    Raises:
        UsageError: names the setting, its range and what was found.
    """
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        bounds = (("at least", least), ("at most", most))
        expected = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
        raise UsageError(f"{name} = {value}: expected {expected}")


def among(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a word that is no choice.

    Raises:
        UsageError: names the setting, its choices and what was found.
    """
    if value not in (known := [*choices]):
        raise UsageError(f"{name} = {value!r}: expected one of {', '.join(known)}")
