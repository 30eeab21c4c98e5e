"""A compose file as `docker compose` would see it: merged, and with its variables filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FOLDER", "interpolate", "load", "variables"]

FOLDER = Path(__file__).parent.parent / "docker"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?:(:[-+?])((?:[^${}]|\$\{[^{}]*\})*))?\}")


def load(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The file, its anchors merged, its variables replaced, without the `x-` parts."""
    plain = yaml.safe_load((FOLDER / name).read_text())
    kept = {key: value for key, value in plain.items() if not key.startswith("x-")}
    filled = _walk(kept, environment)
    assert isinstance(filled, dict)
    return filled


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Compose's `${NAME}`, `${NAME:-default}`, `${NAME:+instead}` and `${NAME:?message}`, one inside another too."""

    def value(found: re.Match[str]) -> str:
        name, how, word = found[1], found[2], found[3] or ""
        there = environment.get(name, "")
        if how == ":+":
            return interpolate(word, environment) if there else ""
        if not there and how == ":?":
            raise KeyError(f"{name}: {word}")
        return there or (interpolate(word, environment) if how == ":-" else "")

    replaced = _VARIABLE.sub(value, text)
    assert "${" not in replaced, replaced
    return replaced


def variables(name: str) -> set[str]:
    """Every variable that the file asks for."""
    return {found[1] for found in re.finditer(r"\$\{([A-Z][A-Z0-9_]*)", (FOLDER / name).read_text())}


def _walk(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, environment) for inner in value]
    return interpolate(value, environment) if isinstance(value, str) else value
