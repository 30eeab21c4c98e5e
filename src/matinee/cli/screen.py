"""One picture on a terminal that is replaced by the next, and small graphs for it; the last picture stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from rich.console import RenderableType

__all__ = ["Screen", "graph"]

_BARS: Final = "▁▂▃▄▅▆▇█"


class Screen:
    """There from the beginning; as a context manager it leaves the terminal as it should be, whatever ends it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
        from rich.live import Live  # noqa: PLC0415 - as above

        console = Console(file=stream, markup=False, highlight=False)
        # What is printed meanwhile goes where it always goes: Live would take stdout and stderr over.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal now."""
        return self._live.console.size

    def show(self, picture: RenderableType) -> None:
        """Replace the picture."""
        self._live.update(picture, refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the picture."""
        self._live.console.print(line, soft_wrap=True)

    def close(self) -> None:
        """Leave the last picture, and the cursor below it."""
        self._live.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def graph(values: Iterable[float], width: int) -> str:
    """The last `width` values as bars, a character each; the highest is a full one, none is a blank."""
    shown = [*values][-width:]
    highest = max(shown, default=0.0)
    return "".join(" " if value <= 0 else _BARS[round(value / highest * (len(_BARS) - 1))] for value in shown)
