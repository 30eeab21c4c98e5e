"""What every command prints with: tables on a terminal, plain lines elsewhere, JSON for machines, or nothing."""

# No `from __future__ import annotations` in the files of commands: Cyclopts reads the annotations when it runs.
import json as json_module
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from matinee.schema.progress import Progress, Silent
from matinee.settings import read_settings

__all__ = ["SPEAKING", "Flag", "Output"]

# An option that is there or not; Cyclopts would offer --no-... as well, and show 'False' as its default.
Flag = Annotated[bool, Parameter(negative="", show_default=False)]

_GROUP = Group("Output", sort_key=100)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True)
class Output:
    """How a command tells what it does and did; the three options that all commands share."""

    quiet: Flag = False
    """Print no progress and no result; errors still go to stderr."""

    json: Flag = False
    """Print the result as one JSON document on stdout, and nothing else."""

    debug: Flag = False
    """Print the traceback of a failure."""

    @property
    def speaks(self) -> bool:
        """Whether a person reads along."""
        return not (self.quiet or self.json)

    def listener(self) -> Progress:
        """Who listens to long work: a bar on a terminal, one line a phase elsewhere, nobody with --quiet and --json."""
        if not self.speaks:
            return Silent()
        from matinee.cli.progress import listener  # noqa: PLC0415 - a command without long work needs none

        return listener(sys.stderr)

    def progress(self, data_dir: Path | None = None) -> Progress:
        """The same, and whoever looks at the data folder (None is the one of the settings) sees it as well."""
        from matinee.cli.work_note import Noting  # noqa: PLC0415 - see listener

        return Noting(self.listener(), data_dir or read_settings().data_dir)

    def line(self, text: str = "") -> None:
        """One line for a person."""
        if self.speaks:
            print(text)  # noqa: T201 - the command line's own voice

    def result(self, record: Any) -> None:
        """The result for a machine, with --json only; --quiet does not silence what was asked for by name."""
        if self.json:
            print(json_module.dumps(record, indent=2, ensure_ascii=False, default=_plain))  # noqa: T201 - see line

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
        """A table for a person: ruled on a terminal, aligned by spaces elsewhere; `right` names columns of numbers."""
        if not self.speaks:
            return
        texts = [[_cell(value) for value in row] for row in rows]
        if sys.stdout.isatty():
            _rich_table(columns, texts, right)
        else:
            _plain_table(columns, texts, right)

    def facts(self, pairs: Mapping[str, object]) -> None:
        """Label and value, one a line, the values aligned."""
        width = max((len(label) for label in pairs), default=0)
        for label, value in pairs.items():
            self.line(f"{label:<{width}}  {_cell(value)}")


SPEAKING = Output()  # the default of every command: talk to a person


def _plain(value: Any) -> Any:
    """What JSON has no word for: records, paths, moments."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str:
    """Whole numbers with thousands separated, nothing for None, the rest as it is."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only a terminal needs rich
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        cells = [
            f"{text:>{width}}" if column in right else f"{text:<{width}}"
            for text, width, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(cells).rstrip())  # noqa: T201 - see Output.line
