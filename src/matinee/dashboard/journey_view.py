"""The journey as a graph: a box a stage, arrows between them, each with its state and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from matinee.dashboard.elements import Text, box
from matinee.dashboard.journey import STAGES, Stage, journey

if TYPE_CHECKING:
    from matinee.dashboard.snapshot import Snapshot
    from matinee.dashboard.versions import VersionFacts

__all__ = ["JourneyView"]

_SIGNS: Final = {"waiting": "○", "running": "▶", "done": "✓", "failed": "✗", "stopped": "■"}


class JourneyView:
    """All stages, and the commands that run."""

    def __init__(self) -> None:
        with box("section", "card", aria_labelledby="journey-title"):
            Text("h2", "The journey", id="journey-title")
            with box("ol", "journey"):
                self._stages = {name: _StageBox(name) for name in STAGES}
                Text("li", "events told back make the next version", "loop")
            self._works = Text("p", "", "works soft", role="status")

    def show(self, seen: Snapshot, version: VersionFacts | None) -> None:
        """Say how everything is now."""
        for stage in journey(seen, version):
            self._stages[stage.name].show(stage)
        commands = [f"matinee {work.command or '...'}" for work in seen.works]
        self._works.say(f"At work: {', '.join(commands)}." if commands else "No command is at work.")


class _StageBox:
    def __init__(self, name: str) -> None:
        self._box = box("li", f"stage at-{name}", data_stage=name)
        with self._box:
            with box("div", "head"):
                Text("strong", name)
                self._state = Text("span", "", "state")
            self._detail = Text("div", "", "detail")
            self._bar = ui.linear_progress(0, show_value=False, size="4px", color=None).props("instant-feedback")
            self._bar.props["aria-label"] = f"progress of {name}"

    def show(self, stage: Stage) -> None:
        self._state.say(f"{_SIGNS[stage.state]} {stage.state}")
        self._detail.say(stage.detail)
        for element, name, value in (
            (self._box, "data-state", stage.state),
            (self._detail, "title", stage.detail),
            (self._bar, "indeterminate", stage.state == "running" and stage.share is None and stage.name != "serve"),
        ):
            if element.props.get(name) != value:
                element.props[name] = value
                element.update()
        self._bar.value = 1.0 if stage.state == "done" else stage.share or 0.0
