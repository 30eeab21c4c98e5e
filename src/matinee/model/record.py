"""A frozen dataclass from JSON that anybody may have written: each field is of its declared type, or it fails."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["parse_json", "record"]

Record = TypeVar("Record")


def parse_json(text: str | bytes) -> Any:
    """JSON as the standard has it: no NaN, no infinity.

    Raises:
        ValueError: it is not that, or nested without end.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def record(kind: type[Record], plain: object, where: str = "") -> Record:
    """The dataclass `kind` from a plain dictionary; fields that are missing take their default.

    Args:
        kind: a dataclass of plain values, tuples and dictionaries of these, Literals, and dataclasses.
        plain: as `json.loads` gave it.
        where: the way to this record from the document's top, for the error.

    Raises:
        ValueError: a field is unknown, missing or of another type; says which.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"{where or 'the document'} is {_shown(plain)}, expected a record")  # noqa: TRY004 - one kind for all that a document can be wrong in
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass, says the docstring
    unknown = sorted(plain.keys() - known.keys())
    if unknown:
        raise ValueError(f"{_path(where, unknown[0])} is unknown; a newer Matinee may know it")
    missing = [
        name
        for name, field in known.items()
        if name not in plain and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"{_path(where, missing[0])} is missing")
    return kind(**{name: _value(hints[name], value, _path(where, name)) for name, value in plain.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    """`value` as `hint` says: lists become tuples, whole numbers floats where floats are meant."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in {Union, UnionType}:
        return _either(arguments, value, where)
    if origin is Literal and any(value == one and type(value) is type(one) for one in arguments):
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        if len(kinds) == len(value):
            return tuple(_value(kind, one, where) for kind, one in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: _value(arguments[1], one, _path(where, key)) for key, one in value.items()}
    if is_dataclass(hint):
        return record(hint, value, where)  # type: ignore[arg-type]  # mypy takes it for an instance
    if hint is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if hint in {bool, int, float, str, NoneType} and type(value) is hint:
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise ValueError(f"{where} is {_shown(value)}, expected 64 bits")
        return value
    name = hint.__name__ if isinstance(hint, type) and origin is None else str(hint).replace("typing.", "")
    raise ValueError(f"{where} is {_shown(value)}, expected {name}")


def _either(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The first of `kinds` that takes the value; the last one's complaint where none does."""
    for kind in kinds[:-1]:
        try:
            return _value(kind, value, where)
        except ValueError:
            continue
    return _value(kinds[-1], value, where)


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def _shown(value: object) -> str:
    """A value for one line of text, whatever its size."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
