"""The one page: its sections in order, filled from the same snapshot once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from matinee.dashboard.chain_dialog import ChainDialog
from matinee.dashboard.elements import Text, box
from matinee.dashboard.journey_view import JourneyView
from matinee.dashboard.replay_view import ReplayView
from matinee.dashboard.training_view import TrainingView
from matinee.dashboard.versions_view import VersionsView

if TYPE_CHECKING:
    from matinee.dashboard.chain import Origin
    from matinee.dashboard.snapshot import Lookout, Snapshot
    from matinee.dashboard.versions import VersionFacts

__all__ = ["Page"]

_EVERY_S: Final = 1.0
_NEWEST: Final = ""
# The browser says when light becomes dark: charts are pictures, which no style sheet reaches.
_TELL_SCHEME: Final = (
    "matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTimeout(() => "
    "emitEvent('scheme'), 100))"
)


class Page:
    """What one browser sees.

    Args:
        lookout: looks at the data folder.
        seen: what it looks like now, so that nothing has to move when the first second is over.
    """

    def __init__(self, lookout: Lookout, seen: Snapshot) -> None:
        self._lookout, self._seen = lookout, seen
        with box("header", "top"):
            with box("div"):
                Text("h1", "Matinee")
                Text("p", str(lookout.data_dir), "soft mono")
            self._pick = ui.select({_NEWEST: "the newest version"}, value=_NEWEST, label="version")
            self._pick.props("dense outlined").classes("pick")
        main = box("main")
        with main:
            self._journey = JourneyView()
            self._replay = ReplayView(lookout.data_dir, self._open)
            self._training = TrainingView(self._open)
            self._versions = VersionsView(lookout.data_dir, self._open)
        ui.skip_link("Skip to the journey", target=main)
        self._dialog = ChainDialog(lookout.data_dir)
        self._show()
        ui.timer(_EVERY_S, self._refresh)
        ui.on("scheme", self._redraw, [])
        ui.add_body_html(f"<script>{_TELL_SCHEME}</script>")

    async def _refresh(self) -> None:
        self._seen = await self._lookout.look()
        self._show()

    def _show(self) -> None:
        options = {_NEWEST: "the newest version"} | {each.id: f"{each.name} {each.id}" for each in self._seen.versions}
        if options != self._pick.options:
            self._pick.set_options(options, value=self._pick.value if self._pick.value in options else _NEWEST)
        version = self._version()
        self._journey.show(self._seen, version)
        self._replay.show(self._seen)
        self._training.show(self._seen, version)
        self._versions.show(self._seen)

    def _version(self) -> VersionFacts | None:
        """The one that is picked, or else the newest."""
        versions = self._seen.versions
        return next((each for each in versions if each.id == self._pick.value), versions[0] if versions else None)

    def _redraw(self) -> None:
        self._replay.redraw()
        self._training.redraw()

    async def _open(self, origin: Origin) -> None:
        await self._dialog.open(origin, self._seen)
