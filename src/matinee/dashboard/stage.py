"""Dashboard: from a data folder to a page that shows it, until it is stopped."""

from __future__ import annotations

import importlib.util
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.errors import ServiceError, UsageError
from matinee.serve.address import LOOPBACK, listen_on, local_names, read_token, url_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

__all__ = ["DEFAULT_PORT", "dashboard"]

DEFAULT_PORT: Final = 8643
_DRAIN_S: Final = 1  # browsers connect again by themselves
_PACKAGES: Final = ("nicegui", "msgspec")


def dashboard(
    *,
    listen: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    token_file: Path | None = None,
    open: bool = False,  # noqa: A002 - the twin of --open
    data_dir: str | Path = "matinee-data",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show a data folder on a web page until SIGTERM or SIGINT; call it from the main thread. It changes nothing there.

    Args:
        listen: an address of this machine.
        port: 0 takes a free one.
        token_file: a file, readable by its owner alone, with the token that every browser is asked for.
        open: open the page in this machine's browser.
        data_dir: the data folder; it may come to be later.
        ready: called with the page's address once it can be opened.

    Raises:
        UsageError: an address that others can reach without a token.
        ServiceError: the port is taken, or a package is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(f"dashboard: {', '.join(missing)} not installed; pip install 'matinee[dashboard]'")
    from matinee.dashboard.app import build_app  # noqa: PLC0415 - `import matinee` imports this and must stay light

    folder = Path(data_dir).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: not a folder; name the data folder with --data-dir")
    token = None if token_file is None else read_token(token_file)
    with listen_on(listen, port, open_to_all=token is None) as listener:
        bound = listener.getsockname()[1]
        url = url_of(listen, bound)

        def announce() -> None:
            if open:
                import webbrowser  # noqa: PLC0415 - only --open needs it

                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            if ready is not None:
                ready(url)

        _run(build_app(folder, token, bound, local_names(listen)), listener, announce)


def _run(app: object, listener: socket.socket, ready: Callable[[], None]) -> None:
    from uvicorn import Config, Server  # noqa: PLC0415 - see dashboard

    class Announcing(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Ends in peace, where uvicorn would raise the signal again once it has stopped."""
            before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

    config = Config(
        app,  # type: ignore[arg-type]  # an ASGI application, which uvicorn spells differently from Starlette
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    Announcing(config).run([listener])
