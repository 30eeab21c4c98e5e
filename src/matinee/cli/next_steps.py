"""What a person may want to type next, as command lines that can be pasted, each with what it is for."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from matinee.cli.output import Output
from matinee.settings import read_settings

__all__ = ["data_dir_words", "print_next_steps", "program"]


def print_next_steps(title: str, commands: Mapping[str, str], output: Output) -> None:
    """The command lines under a title, what each is for behind it."""
    output.line(title)
    width = max(len(command) for command in commands)
    for command, meaning in commands.items():
        output.line(f"  {command:<{width}}  # {meaning}")


def data_dir_words(data_dir: Path) -> str:
    """The option that leads a command to the data folder; none where it finds it by itself."""
    if data_dir == read_settings().data_dir:
        return ""
    return f" --data-dir {shlex.quote(str(data_dir))}"


def program() -> str:
    """How a shell finds this program: by its name where that leads here, else by the path it was called by."""
    called = Path(sys.argv[0])
    if called.name != "matinee":
        return "matinee"
    found = shutil.which("matinee")
    if found and Path(found).samefile(called):
        return "matinee"
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))
