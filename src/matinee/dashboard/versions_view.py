"""The versions section: what each version is, whether its splits can be trusted, and its certificate with the plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui

from matinee.dashboard.chain import Origin
from matinee.dashboard.elements import FigureButton, Text, box, link
from matinee.dashboard.files import address_of
from matinee.dashboard.words import MISSING, shown
from matinee.schema.layout import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.dashboard.snapshot import Snapshot
    from matinee.dashboard.versions import VersionFacts

__all__ = ["VersionsView"]


class VersionsView:
    """All versions, the newest first."""

    def __init__(self, data_dir: Path, opened: Callable[[Origin], Any]) -> None:
        self._data_dir, self._opened = data_dir, opened
        self._shape: tuple[VersionFacts, ...] | None = None
        with box("section", "card", aria_labelledby="versions-title"):
            Text("h2", "Versions", id="versions-title")
            self._list = box("div", "versions")

    def show(self, seen: Snapshot) -> None:
        """Versions never change: they come and go."""
        if seen.versions != self._shape:
            self._shape = seen.versions
            self._list.clear()
            with self._list:
                if not seen.versions:
                    Text("p", "No version yet; 'matinee rehearse' makes one.")
                for version in seen.versions:
                    self._build(version)

    def _build(self, version: VersionFacts) -> None:
        with box("article", "version", data_version=version.id):
            with box("h3"):
                Text("span", version.name)
                Text("span", f" {version.id}", "mono soft")
            trusted = f"leaks: {version.leaks:,} targets" if version.leaks else "leak-free"
            Text("p", f"split: {version.split}; {trusted}", "good" if not version.leaks else "bad")
            with box("dl", "tiles"):
                for name, value in _facts(version):
                    with box("div"):
                        Text("dt", name)
                        with box("dd"):
                            self._figure(version, name, value)
            address = address_of(version.page, self._data_dir) if version.page else None
            if address:
                link("Open the certificate", address)
                with ui.expansion("The certificate here").classes("certificate") as expansion:
                    expansion.on_value_change(lambda event: _frame(expansion, address, version, event.value))

    def _figure(self, version: VersionFacts, name: str, value: float | str) -> None:
        told = value if isinstance(value, str) else shown(value)
        origin = Origin(
            what=f"{name} of {version.name} {version.id}",
            value=str(value),
            version=version.id,
            file=version.folder / CERTIFICATE,
        )
        FigureButton(f"{version.id}/{name}", self._opened).show(told, origin)


def _facts(version: VersionFacts) -> list[tuple[str, float | str]]:
    cold = MISSING if version.cold_share is None else f"{version.cold_share:.1%}"
    return [
        ("users", version.users),
        ("items", version.items),
        *zip(("train events", "eval events", "test events"), version.rows, strict=True),
        ("held-out events by cold users", cold),
    ]


def _frame(expansion: ui.expansion, address: str, version: VersionFacts, opened: object) -> None:
    """Put the certificate into its place when it is opened for the first time."""
    if opened and not expansion.default_slot.children:
        with expansion:
            box(
                "iframe", "frame", src=address, title=f"Certificate of {version.name} {version.id}", sandbox="",
                loading="lazy",
            )  # fmt: skip
