"""One frozen object with what a machine's owner has chosen: `matinee.toml` and `MATINEE_*`.

The command line and the stack read it; every other function takes plain arguments. Later wins: default, file,
environment, option on the command line. The tables `[train]` and `[model.NAME]` are handed on as they were said: which
keys they may have is known where the settings of training and of each model lie.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import UsageError
from matinee.sizes import parse_size_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CONFIG_FILE", "CloudSettings", "Settings", "read_settings"]

CONFIG_FILE = "matinee.toml"
_PREFIX: Final = "MATINEE_"
_CONFIG_VARIABLE: Final = "MATINEE_CONFIG"
_OPENLINEAGE_VARIABLE: Final = "OPENLINEAGE_URL"  # the name that every OpenLineage client uses, so no prefix


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """The table `[cloud]`: what `matinee cloud` makes, and where. The defaults are Chameleon's.

    Attributes:
        cloud: the entry of `clouds.yaml` for server, volume and network; None is the only one there is.
        object_cloud: the entry for the object container; None is the same.
        name: of the server; every resource carries the tag `matinee=<name>`.
        image: a name or an id.
        flavour: a name or an id.
        key_pair: its name in the cloud; None is `name`.
        public_key: the file that the key pair is made from; None is the first usual one in `~/.ssh`.
        network: the server's own; a name or an id.
        external_network: where its floating IP comes from.
        security_group: None is `name`.
        ssh_from: the addresses that may reach the server by SSH, as a CIDR; None asks `address_service`.
        address_service: a URL that answers with the caller's address.
        availability_zone: of a new server and a new volume; None leaves it to the cloud.
        volume: the block volume's name; None is `name`.
        volume_size_gb: of a new one.
        container: the object container's name; None is `name`.
        ssh_user: the account on the image.
        package: what pip installs on the server; None is this version of Matinee with the stack.
    """

    cloud: str | None = None
    object_cloud: str | None = None
    name: str = "matinee"
    image: str = "CC-Ubuntu24.04"
    flavour: str = "m1.large"
    key_pair: str | None = None
    public_key: Path | None = None
    network: str = "sharednet1"
    external_network: str = "public"
    security_group: str | None = None
    ssh_from: str | None = None
    address_service: str = "https://checkip.amazonaws.com"
    availability_zone: str | None = None
    volume: str | None = None
    volume_size_gb: int = 50
    container: str | None = None
    ssh_user: str = "cc"
    package: str | None = None


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
        cloud: the table `[cloud]`.
        train: the table `[train]`: settings of a training as they were said, texts or values of TOML.
        models: the tables `[model.NAME]`, by name.
        model_variables: what the environment says of models; `of_model` puts the two together.
    """

    data_dir: Path = Path("matinee-data")
    cache: Path | None = None
    memory_limit_bytes: int | None = None
    store: str | None = None
    endpoint: str | None = None
    openlineage_url: str | None = None
    cloud: CloudSettings = field(default_factory=CloudSettings)
    train: Mapping[str, object] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    model_variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def archives(self) -> Path:
        """Where fetched archives go."""
        return self.cache or self.data_dir / "archives"

    def of_model(self, name: str, known: Iterable[str]) -> dict[str, object]:
        """What is said of the model `name`: `[model.NAME]` of the file, then `MATINEE_MODEL_<NAME>_<SETTING>`.

        Raises:
            UsageError: a table or a variable belongs to none of the `known` models.
        """
        said: dict[str, object] = {}
        prefixes = {_model_prefix(each): each for each in known}
        for table in self.models:
            if table not in prefixes.values():
                raise UsageError(f"{CONFIG_FILE}: [model.{table}]: unknown model; known are {', '.join(known)}")
        said |= self.models.get(name, {})
        for variable, text in self.model_variables.items():
            # The longest that fits: one model's name may begin another's.
            prefix = max((each for each in prefixes if variable.startswith(each)), key=len, default="")
            if not prefix:
                raise UsageError(f"{variable}: unknown model; variables begin with {', '.join(prefixes)}; unset it")
            if prefixes[prefix] == name:
                said[variable.removeprefix(prefix).lower()] = text
        return said


_TABLE: Final = "cloud"
_TRAIN: Final = "train"
_MODEL: Final = "model"
_TRAIN_PREFIX: Final = f"{_PREFIX}TRAIN_"
_MODEL_PREFIX: Final = f"{_PREFIX}MODEL_"
# What a file or the environment may say: the key (in a table: 'table.key'), and the field it fills.
_KEYS: Final = {
    ("memory_limit" if each.name == "memory_limit_bytes" else each.name): each.name
    for each in fields(Settings)
    if each.name not in {_TABLE, "train", "models", "model_variables"}
} | {f"{_TABLE}.{each.name}": each.name for each in fields(CloudSettings)}
_PATHS: Final = {"data_dir", "cache", "cloud.public_key"}
_NUMBERS: Final = {"memory_limit", "cloud.volume_size_gb"}  # the file may give them without quotes


def read_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from `matinee.toml` in `folder` (default: here) or at $MATINEE_CONFIG, then from the environment.

    Raises:
        UsageError: a key is unknown, a value has the wrong type, or $MATINEE_CONFIG names no readable TOML file.
    """
    environment = os.environ if environment is None else environment
    path = _config_path(environment.get(_CONFIG_VARIABLE, ""), folder or Path())
    plain = _read_file(path, wanted=bool(environment.get(_CONFIG_VARIABLE)))
    train, models = _table(plain, _TRAIN, path), _table(plain, _MODEL, path)
    for name in models:
        _table(dict(models), name, path, f"{_MODEL}.")
    said = _from_file(plain, path) | _from_environment(environment)
    values: dict[str, object] = {}
    cloud: dict[str, object] = {}
    for key, (text, where) in said.items():
        of = cloud if key.startswith(f"{_TABLE}.") else values
        of[_KEYS[key]] = _value(key, text, where)
    return Settings(
        cloud=CloudSettings(**cloud),  # type: ignore[arg-type]  # `_value` settles each key's type
        train=train | _variables_of(environment, _TRAIN_PREFIX),
        models=models,
        model_variables={name: text for name, text in environment.items() if name.startswith(_MODEL_PREFIX) and text},
        **values,  # type: ignore[arg-type]  # as above
    )


def _value(key: str, text: str, where: str) -> object:
    """A text as its key's type."""
    if key in _PATHS:
        return Path(text).expanduser()
    if key == "memory_limit":
        return parse_size_bytes(text, where)
    if key in _NUMBERS:
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise UsageError(f"{where} = {text!r}: expected a whole number above 0")
        return int(text)
    return text


def _config_path(config: str, folder: Path) -> Path:
    return Path(config).expanduser() if config else folder / CONFIG_FILE


def _read_file(path: Path, *, wanted: bool) -> dict[str, Any]:
    """The configuration file as plain values; empty where there is none, unless it was named."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if wanted:
            raise UsageError(f"{_CONFIG_VARIABLE}={path}: no such file; correct it or unset it") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    import tomllib  # noqa: PLC0415 - most calls have no file, and --help should not pay for the parser

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def _table(plain: dict[str, Any], name: str, path: Path, within: str = "") -> dict[str, Any]:
    """Take the table `name` out of the file's values; empty where there is none."""
    table = plain.pop(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {within}{name} = {table!r}: expected a table, [{within}{name}]")
    return table


def _from_file(plain: dict[str, Any], path: Path) -> dict[str, tuple[str, str]]:
    """Key -> (text, where it was said) of the file's values that are a machine's."""
    table = _table(plain, _TABLE, path)
    plain |= {f"{_TABLE}.{key}": value for key, value in table.items()}
    for key, value in plain.items():
        if key not in _KEYS:
            known = ", ".join([*_KEYS, f"[{_TRAIN}]", f"[{_MODEL}.NAME]"])
            raise UsageError(f"{path}: unknown key {key!r}{_nearest(key)}; known are {known}")
        if not isinstance(value, str) and not (key in _NUMBERS and type(value) is int):
            raise UsageError(f"{path}: {key} = {value!r}: expected a text in quotes")
    return {key: (str(value), f"{path}: {key}") for key, value in plain.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Key -> (text, variable) of the environment; an empty variable is as good as none."""
    known = {_PREFIX + key.upper().replace(".", "_"): key for key in _KEYS if key != "openlineage_url"}
    known[_OPENLINEAGE_VARIABLE] = "openlineage_url"
    for variable in environment:
        if variable.startswith((_TRAIN_PREFIX, _MODEL_PREFIX)):
            continue
        if variable.startswith(_PREFIX) and variable not in {*known, _CONFIG_VARIABLE}:
            key = variable.removeprefix(_PREFIX).lower().replace(f"{_TABLE}_", f"{_TABLE}.", 1)
            raise UsageError(f"{variable}: unknown setting{_nearest(key)}; known are {', '.join(known)}; unset it")
    return {key: (environment[name], name) for name, key in known.items() if environment.get(name)}


def _variables_of(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Setting -> text of the variables that begin with `prefix`."""
    return {
        name.removeprefix(prefix).lower(): text
        for name, text in environment.items()
        if name.startswith(prefix) and text
    }


def _model_prefix(name: str) -> str:
    return f"{_MODEL_PREFIX}{name.upper().replace('-', '_')}_"


def _nearest(key: str) -> str:
    """', did you mean ...?' where a known key resembles it."""
    near = difflib.get_close_matches(key, _KEYS, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
