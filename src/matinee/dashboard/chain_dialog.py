"""The dialog behind every figure: where it came from, link by link, and whether that holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nicegui import ui

from matinee.dashboard.chain import trace_figure
from matinee.dashboard.elements import Text, box
from matinee.dashboard.words import moment
from matinee.sizes import show_size

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.dashboard.chain import Origin, Step, Traced
    from matinee.dashboard.snapshot import Snapshot

__all__ = ["ChainDialog"]

# What is read without asking first: about a second's worth.
_AT_ONCE_BYTES: Final = 512 << 20


class ChainDialog:
    """One for the page, filled anew each time."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._opened = 0
        self._reader = asyncio.Lock()  # one chain a page: reading many large versions at once would hold up all pages
        with ui.dialog() as self._dialog, ui.card().classes("chain"):
            self._dialog.props["aria-labelledby"] = "chain-title"
            self._title = Text("h2", id="chain-title")
            self._value = Text("p", "", "soft")
            self._verdict = Text("p", "", "verdict", role="status")
            self._steps = box("ol", "steps")
            ui.button("Close", on_click=self._dialog.close).props("flat no-caps autofocus")

    async def open(self, origin: Origin, seen: Snapshot) -> None:
        """Show where a figure came from."""
        self._opened += 1
        mine = self._opened
        self._title.say(origin.what)
        self._value.say(f"exactly {origin.value}")
        self._steps.clear()
        self._dialog.open()
        size_bytes = next((each.size_bytes for each in seen.versions if each.id == origin.version), 0)
        if size_bytes > _AT_ONCE_BYTES:
            self._say("asked", f"Checking reads {show_size(size_bytes)}.")
            with self._steps, box("li"):
                ui.button("Check now", on_click=lambda: self._trace(origin, mine)).props("no-caps")
        else:
            await self._trace(origin, mine)

    async def _trace(self, origin: Origin, mine: int) -> None:
        self._steps.clear()
        self._say("asked", "Reading every byte behind it ...")
        async with self._reader:
            if mine != self._opened:
                return  # something else has been opened meanwhile
            traced = await asyncio.to_thread(trace_figure, self._data_dir, origin)
        if mine == self._opened:
            self._show(traced)

    def _show(self, traced: Traced) -> None:
        self._say(traced.state, traced.words)
        with self._steps:
            for step in traced.steps:
                _show_step(step)

    def _say(self, state: str, words: str) -> None:
        self._verdict.say(words)
        self._verdict.attribute(data_state=state)
        self._verdict.update()


def _show_step(step: Step) -> None:
    with box("li", "step", data_kind=step.kind, data_state=step.state):
        with box("div", "head"):
            Text("strong", step.kind)
            Text("span", step.state, "state")
        Text("div", step.what)
        with box("dl"):
            facts = {
                "where": step.where,
                "sha256": step.sha256,
                "run": step.run,
                "when": moment(step.when),
                "detail": step.detail,
            }
            for name, value in facts.items():
                if value:
                    Text("dt", name)
                    Text("dd", value, "mono" if name in {"sha256", "run", "where"} else "")
