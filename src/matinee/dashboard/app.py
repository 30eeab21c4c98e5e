"""The application: NiceGUI's page, the few files that it links to, and a word of health, behind one door."""

from __future__ import annotations

from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from nicegui import ui

from matinee.dashboard.door import Door
from matinee.dashboard.files import PREFIX, find
from matinee.dashboard.page import Page
from matinee.dashboard.snapshot import Lookout

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_app"]

# Nothing that lies in the data folder runs, whoever wrote it.
_FILE_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
_RECONNECT_S: Final = 10.0  # a page whose connection broke off for this long finds itself as it was


def build_app(data_dir: Path, token: str | None, port: int, names: frozenset[str]) -> Door:
    """The application for one data folder, behind its `Door`; one a process, as NiceGUI's own is."""
    lookout = Lookout(data_dir)
    app = FastAPI(openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok")

    @app.get(f"{PREFIX}/{{name:path}}")
    async def shown(request: Request, name: str) -> Response:
        path = None if request.url.query else find(name, data_dir)
        if path is None:
            return PlainTextResponse("no such file, or none that is shown", 404)
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": _FILE_POLICY})

    @ui.page("/", title="Matinee")
    async def page() -> None:
        Page(lookout, await lookout.look())

    ui.add_css(package_files("matinee.dashboard").joinpath("dashboard.css").read_text(encoding="utf-8"), shared=True)
    ui.run_with(
        app,
        title="Matinee",
        favicon="🎬",
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=_RECONNECT_S,
        show_welcome_message=False,
    )
    return Door(app, token, port, names)
