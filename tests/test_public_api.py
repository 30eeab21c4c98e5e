"""What `import matinee` offers, and that every command and its function are twins."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

import matinee
from matinee.cli.app import COMMANDS, Command
from matinee.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What the command line takes from the settings of the machine, or does by printing.
FUNCTIONS_ALONE = {
    "ask",
    "progress",
    "lineage",
    "archives",
    "openlineage_url",
    "settings",
    "confirm",
    "opened",
    "ready",
    "show",
}
COMMANDS_ALONE = {"yes"}  # a function asks nobody unless it is told whom
SET_BY_MACHINE = {"data_dir"}


def test_everything_public_is_there() -> None:
    for name in matinee.__all__:
        assert getattr(matinee, name) is not None, name
    assert set(matinee.__all__) <= set(dir(matinee))


def test_what_is_not_public_says_what_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'transfrom'; public are .*transform"):
        _ = matinee.transfrom  # type: ignore[attr-defined]


def test_importing_matinee_is_light(tmp_path: Path) -> None:
    code = (
        "import sys; before = set(sys.modules); import matinee;"
        "import matinee.rehearse as late; from matinee import rehearse;"
        "assert late is rehearse is matinee.rehearse and callable(rehearse);"
        "third = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "sys.exit('' .join(sorted(third - {'matinee'})) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_a_command_and_its_function_take_the_same(command: Command) -> None:
    module, _, name = command.target.partition(":")
    ours = _options(getattr(importlib.import_module(module), name))
    twin = {
        parameter.name: parameter.default
        for parameter in inspect.signature(_twin(command)).parameters.values()
        if parameter.name not in FUNCTIONS_ALONE
    }
    assert ours.keys() - COMMANDS_ALONE == twin.keys()
    for option in ours.keys() - SET_BY_MACHINE - COMMANDS_ALONE:
        assert ours[option] == twin[option], option


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_a_function_describes_each_parameter_or_says_where(command: Command) -> None:
    twin = _twin(command)
    text = inspect.getdoc(twin) or ""
    names = [name for name in inspect.signature(twin).parameters if name not in FUNCTIONS_ALONE]
    assert "see `matinee" in text.lower() or all(name in text for name in names) or len(names) <= 4, command.words


def _twin(command: Command) -> Callable[..., Any]:
    found = reduce(getattr, command.twin.split("."), matinee)
    assert callable(found)
    return found


def _options(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter -> default, the shared groups of options taken apart, those about output left out."""
    hints = get_type_hints(function)
    options: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        kind = hints[parameter.name]
        if kind is Output:
            continue
        if is_dataclass(kind):
            options |= {field.name: field.default for field in fields(kind)}
        else:
            options[parameter.name] = parameter.default
    return options
