"""One frozen object with the choices that belong to a machine rather than to a run: `matinee.toml` and `MATINEE_*`.

The command line and the stack read it; every other function takes plain arguments. Later wins: default, file,
environment, option on the command line.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError
from matinee.sizes import parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIG_FILE", "Settings", "read_settings"]

CONFIG_FILE = "matinee.toml"
_PREFIX: Final = "MATINEE_"
_CONFIG_VARIABLE: Final = "MATINEE_CONFIG"
_OPENLINEAGE_VARIABLE: Final = "OPENLINEAGE_URL"  # the name that every OpenLineage client uses, so no prefix


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of one machine.

    Attributes:
        data_dir: where `matinee rehearse` keeps archives, versions, lineage and the embedded store.
        cache: where fetched archives go; None is `archives` in `data_dir`.
        memory_limit_bytes: of a transform; None is a quarter of what the process may use.
        store: the STORE of commands that get none; None is the embedded store in `data_dir`.
        endpoint: the S3 endpoint of `s3://` stores; None is the embedded one.
        openlineage_url: where lineage events are sent, besides the file in `data_dir`.
    """

    data_dir: Path = Path("matinee-data")
    cache: Path | None = None
    memory_limit_bytes: int | None = None
    store: str | None = None
    endpoint: str | None = None
    openlineage_url: str | None = None

    @property
    def archives(self) -> Path:
        """Where fetched archives go."""
        return self.cache or self.data_dir / "archives"


# What a file or the environment may say: the key, and the field it fills.
_KEYS: Final = {
    ("memory_limit" if field.name == "memory_limit_bytes" else field.name): field.name for field in fields(Settings)
}


def read_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from `matinee.toml` in `folder` (default: here) or at $MATINEE_CONFIG, then from the environment.

    Raises:
        UsageError: a key is unknown, a value has the wrong type, or $MATINEE_CONFIG names no readable TOML file.
    """
    environment = os.environ if environment is None else environment
    said = _from_file(environment.get(_CONFIG_VARIABLE, ""), folder or Path())
    said |= _from_environment(environment)
    values: dict[str, object] = {}
    for key, (text, where) in said.items():
        if key in {"data_dir", "cache"}:
            values[key] = Path(text).expanduser()
        elif key == "memory_limit":
            values[_KEYS[key]] = parse_size_bytes(text, where)
        else:
            values[key] = text
    return Settings(**values)  # type: ignore[arg-type]  # each key's type is settled just above


def _from_file(config: str, folder: Path) -> dict[str, tuple[str, str]]:
    """Key -> (text, where it was said) of the configuration file; empty where there is none."""
    path = Path(config).expanduser() if config else folder / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if config:
            raise UsageError(f"{_CONFIG_VARIABLE}={config}: no such file; correct it or unset it") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    import tomllib  # noqa: PLC0415 - most calls have no file, and --help should not pay for the parser

    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    for key, value in plain.items():
        if key not in _KEYS:
            raise UsageError(f"{path}: unknown key {key!r}{_nearest(key)}; known are {', '.join(_KEYS)}")
        if not isinstance(value, str) and not (key == "memory_limit" and type(value) is int):
            raise UsageError(f"{path}: {key} = {value!r}: expected a text in quotes")
    return {key: (str(value), f"{path}: {key}") for key, value in plain.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Key -> (text, variable) of the environment; an empty variable is as good as none."""
    known = {_PREFIX + key.upper(): key for key in _KEYS if key != "openlineage_url"}
    known[_OPENLINEAGE_VARIABLE] = "openlineage_url"
    for variable in environment:
        if variable.startswith(_PREFIX) and variable not in {*known, _CONFIG_VARIABLE}:
            key = variable.removeprefix(_PREFIX).lower()
            raise UsageError(f"{variable}: unknown setting{_nearest(key)}; known are {', '.join(known)}; unset it")
    return {key: (environment[name], name) for name, key in known.items() if environment.get(name)}


def _nearest(key: str) -> str:
    """', did you mean ...?' where a known key resembles it."""
    near = difflib.get_close_matches(key, _KEYS, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
