"""The way to an OpenLineage collector over HTTP: bounded in time, and given up after the first failure."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from matinee.lineage.redact import scrub, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport.http import HttpTransport

__all__ = ["DEADLINE_S", "Collector"]

DEADLINE_S = 2.0


class Collector:
    """Sends events in order and waits at most `DEADLINE_S` for each; what fails once is not tried again."""

    def __init__(self, url: str, api_key: str | None, warn: Callable[[str], None]) -> None:
        self._url = url
        self._api_key = api_key
        self._warn = warn
        self._usable = True
        self._transport: HttpTransport | None = None

    def send(self, event: RunEvent) -> None:
        """Tell the collector; never raises, warns once."""
        if not self._usable:
            return
        failures: list[str] = []
        # A thread, because no timeout of an HTTP client bounds name look-up, or an answer that drips byte by byte.
        sender = threading.Thread(target=self._post, args=(event, failures), daemon=True, name="lineage-collector")
        sender.start()
        sender.join(DEADLINE_S)
        if sender.is_alive():
            failures = [f"no answer within {DEADLINE_S:g} s"]
        if failures:
            self._usable = False
            self._warn(
                f"lineage collector {without_credentials(self._url)}: {failures[0]}; "
                "events of this run are not sent there (check OPENLINEAGE_URL)"
            )

    def _post(self, event: RunEvent, failures: list[str]) -> None:
        try:
            if self._transport is None:
                self._transport = self._connect()
            self._transport.emit(event)
        except Exception as error:  # noqa: BLE001 - whatever a collector does must not break a stage
            failures.append(_first_line(error, self._api_key))

    def _connect(self) -> HttpTransport:
        from openlineage.client.transport.http import HttpConfig, HttpTransport  # noqa: PLC0415 - costs 0.3 s

        parameters: dict[str, object] = {
            "url": self._url if self._url.endswith("/") else f"{self._url}/",
            "timeout": DEADLINE_S,
            "retry": {"total": 0, "connect": 0, "read": 0, "status_forcelist": []},
        }
        if self._api_key:
            parameters["auth"] = {"type": "api_key", "apiKey": self._api_key}
        return HttpTransport(HttpConfig.from_dict(parameters))


def _first_line(error: Exception, api_key: str | None) -> str:
    if isinstance(error, OSError) and getattr(error, "response", None) is None:
        # The client's own text is a chain of reprs; what a person needs is that nobody is there.
        return f"does not answer ({type(error).__name__})"
    text = scrub(str(error).partition("\n")[0], [api_key] if api_key else [])
    return f"{type(error).__name__}: {text[:200]}"
