"""From settings as people write them (`--set dropout=0.5`, a line of `matinee.toml`) to a model's settings."""

from __future__ import annotations

import difflib
import types
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matinee.model.table import ModelEntry

__all__ = ["divide", "settings_from", "settings_of"]

Kind = TypeVar("Kind")

_WORDS: Final = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_EXPECTED: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def settings_from(entry: ModelEntry, said: Mapping[str, object]) -> Any:
    """The settings of a model, everything that is not said by its default.

    Raises:
        UsageError: the model has no such setting, or the value is not of its type or outside its range.
    """
    return settings_of(entry.load()[1], said, f"model {entry.name}")


def settings_of(kind: type[Kind], said: Mapping[str, object], what: str) -> Kind:
    """An object of the settings dataclass `kind`; `what` it belongs to is named in errors.

    Values are texts, or what TOML has for them.

    Raises:
        UsageError: there is no such setting, or the value is not of its type or outside its range.
    """
    expected = _types(kind)
    _refuse_unknown(said, expected, what)
    return kind(**{name: _converted(name, value, expected[name]) for name, value in said.items()})


def divide(said: Mapping[str, object], kinds: Iterable[type[Any]], what: str) -> list[dict[str, object]]:
    """Hand each setting to the first of several dataclasses that has it, as to a model's and to its training's.

    Raises:
        UsageError: none of them has it.
    """
    names = [[*_types(kind)] for kind in kinds]
    _refuse_unknown(said, [name for each in names for name in each], what)
    owner = {name: place for place in reversed(range(len(names))) for name in names[place]}
    return [{name: value for name, value in said.items() if owner[name] == place} for place in range(len(names))]


def _types(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


def _refuse_unknown(said: Iterable[str], known: Iterable[str], what: str) -> None:
    known = [*known]
    for name in said:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            listed = f"known are {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{what} has no setting {name!r}{hint}; {listed}")


def _converted(name: str, value: object, expected: Any) -> Any:
    """The value as `expected`: bool, int, float, str, a Literal of texts, or one of these or None."""
    optional = get_origin(expected) in (Union, types.UnionType)
    if optional:
        if value is None or value == "none":
            return None
        (expected,) = (each for each in get_args(expected) if each is not types.NoneType)
    try:
        return _plain(value, expected)
    except ValueError:
        wanted = " or ".join(get_args(expected)) if get_origin(expected) is Literal else _EXPECTED[expected]
        raise UsageError(f"{name} = {value!r}: expected {wanted}{' or none' if optional else ''}") from None


def _plain(value: object, expected: Any) -> Any:
    """As `_converted`, without None; raises ValueError."""
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            raise ValueError
        return value
    if isinstance(value, expected) and not (expected is int and isinstance(value, bool)):
        return value
    if expected is float and type(value) is int:
        return float(value)
    if expected is str or not isinstance(value, str):
        raise ValueError
    if expected is bool:
        if value.lower() not in _WORDS:
            raise ValueError
        return _WORDS[value.lower()]
    return expected(value)
