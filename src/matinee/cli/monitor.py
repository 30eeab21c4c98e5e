"""`matinee monitor`: the network by interface, the processors and the memory of this machine, live."""

import sys
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.screen import Screen, graph
from matinee.sizes import show_size

if TYPE_CHECKING:
    from rich.table import Table

    from matinee.network import Flow, Reading

__all__ = ["Picture", "monitor"]

_FIGURES_WIDTH = 63  # columns that the graph leaves to the figures, beside the names
_GRAPH_WIDTHS = (4, 60)


def monitor(
    *interfaces: str,
    every_s: float = 1.0,
    seconds: float | None = None,
    once: Flag = False,
    output: Output = SPEAKING,
) -> None:
    """Show what goes in and out of each network interface, and how busy the machine is.

    Args:
        interfaces: Names such as eth0; by default all that are up or have carried anything.
        every_s: How often, in seconds.
        seconds: Stop after so many; by default Ctrl-C stops it.
        once: Stop after the first reading.
        output: How to tell.
    """
    from matinee.network import monitor as watch  # noqa: PLC0415 - a command's rooms are loaded when it is called

    readings = watch(*interfaces, every_s=every_s, seconds=seconds, once=once)
    try:
        if output.speaks and sys.stdout.isatty():
            picture = Picture()
            with Screen(sys.stdout) as screen:
                for reading in readings:
                    screen.show(picture.of(reading, screen.size[0]))
            return
        for reading in readings:
            output.line(_line(reading))
            output.result(reading)
            sys.stdout.flush()  # whoever reads through a pipe reads along
    except KeyboardInterrupt:
        return  # that is how watching ends


class Picture:
    """A table of flows, each with a graph of its last intervals."""

    def __init__(self) -> None:
        self._past: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=_GRAPH_WIDTHS[1]))

    def of(self, reading: "Reading", width: int) -> "Table":
        """The next picture, for a terminal of so many columns."""
        from rich.table import Table  # noqa: PLC0415 - only a terminal needs rich

        least, most = _GRAPH_WIDTHS
        names = max((len(interface.name) for interface in reading.interfaces), default=0)
        graph_width = max(least, min(most, width - _FIGURES_WIDTH - max(names, len("interface"))))
        table = Table(box=None, padding=(0, 2, 0, 0), caption=_machine(reading), caption_justify="left")
        for column in ("interface", ""):
            table.add_column(column, no_wrap=True)
        for column in ("now", "average", "least", "most", "total"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("so far", min_width=graph_width, no_wrap=True)
        for interface in reading.interfaces:
            for direction, flow in (("in", interface.received), ("out", interface.sent)):
                past = self._past[interface.name, direction]
                past.append(flow.now_per_s)
                name = interface.name if direction == "in" else ""
                table.add_row(name, direction, *_figures(flow), graph(past, graph_width))
        return table


def _figures(flow: "Flow") -> list[str]:
    rates = (flow.now_per_s, flow.average_per_s, flow.least_per_s, flow.most_per_s)
    return [*(f"{show_size(rate)}/s" for rate in rates), show_size(flow.total_bytes)]


def _line(reading: "Reading") -> str:
    flows = (
        f"{each.name} in {show_size(each.received.now_per_s)}/s out {show_size(each.sent.now_per_s)}/s"
        for each in reading.interfaces
    )
    return f"{reading.at:%H:%M:%S}  {', '.join(flows)}; {_machine(reading)}"


def _machine(reading: "Reading") -> str:
    used, there = show_size(reading.memory_used_bytes), show_size(reading.memory_bytes)
    return f"processors {reading.cpu_percent:.0f}%, memory {used} of {there}"
