"""Servers of a replay: those that run already are looked at, those for its models are started, watched and stopped."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import numpy as np

from matinee.errors import ReplayError
from matinee.processes import end, start_tied
from matinee.schema.layout import SPLITS

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from matinee.replay.address import Address
    from matinee.replay.plan import Plan
    from matinee.replay.stream import Stream
    from matinee.version import Version

__all__ = ["Starting", "check_histories", "look_at"]

_PATIENCE_S: Final = 10.0  # with a server that is said to run
_START_S: Final = 300.0  # a large log is read before the first answer
_STOP_S: Final = 45.0  # a server drains for up to 30
_POLL_S: Final = 0.02
_PROBES: Final = 8  # people whose histories are compared
_URL: Final = re.compile(r'"url": "([^"]+)"')


class Starting:
    """A server for a model, from its start to its end; it ends with this process, however that ends.

    Args:
        arm: whose.
        model, version: folders.
        past: the last split that has happened already.
        rehearsal: under which it writes down what it is told.
        workers: processes.
        data_dir: whose Postgres it writes to.
        log: gets what it says on stderr.
    """

    def __init__(
        self, arm: str, model: Path, version: Path, past: str, rehearsal: str, workers: int, data_dir: Path, log: Path
    ) -> None:
        self._arm, self._log = arm, log
        command: list[str | Path] = [
            sys.executable, "-m", "matinee", "serve", model, "--version", version, "--past", past,
            "--rehearsal", rehearsal, "--workers", str(workers), "--port", "0", "--data-dir", data_dir, "--json",
        ]  # fmt: skip
        with log.open("ab") as errors:
            self._process = start_tied(command, environment=os.environ, output=subprocess.PIPE, errors=errors)

    def url(self) -> str:
        """Its address, once it can be asked.

        Raises:
            ReplayError: it does not start.
        """
        output = self._process.stdout
        assert output is not None  # noqa: S101 - a pipe was asked for
        os.set_blocking(output.fileno(), False)
        said, deadline_s = "", time.monotonic() + _START_S
        while time.monotonic() < deadline_s:
            has_ended = self._process.poll() is not None
            said += (output.read() or b"").decode()
            if found := _URL.search(said):
                return found[1]
            if has_ended:
                break
            time.sleep(_POLL_S)
        raise ReplayError(f"arm {self._arm}: its server did not start: {self._last_words()}")

    def check(self) -> None:
        """Raise ReplayError where it has ended."""
        if self._process.poll() is not None:
            raise ReplayError(
                f"arm {self._arm}: its server has ended with {self._process.returncode}: {self._last_words()}; run the "
                "same command again: the replay goes on from here"
            )

    def stop(self) -> None:
        """Let it answer what it has begun, and end."""
        end(self._process, patience_s=_STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = [line.strip() for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
            if lines:
                return f"{lines[-1].removeprefix('matinee: ')} ({self._log})"
        return f"see {self._log}"


def look_at(arm: str, address: Address, token: str | None) -> str:
    """The title of the model that answers there.

    Raises:
        ReplayError: nobody answers, or somebody else.
    """
    import httpx  # noqa: PLC0415 - a quarter of a second

    deadline_s = time.monotonic() + _PATIENCE_S
    with _client(address, token) as client:
        while True:
            try:
                answered = client.get("/readyz")
            except httpx.HTTPError as error:
                why = f"{address.url} cannot be reached ({error})"
            else:
                if answered.status_code == 200:
                    with suppress(ValueError, TypeError, KeyError):
                        return str(answered.json()["model"])
                if answered.status_code == 401:
                    raise ReplayError(f"arm {arm}: {address.url} wants a token; give the right one with --token-file")
                why = f"{address.url}/readyz says {answered.status_code}, expected a server of 'matinee serve'"
                if answered.status_code != 503:
                    break
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.2)
    raise ReplayError(f"arm {arm}: {why}; start one with 'matinee serve', or name a model instead of an address")


def check_histories(
    arm: str, address: Address, token: str | None, version: Version, plan: Plan, stream: Stream
) -> None:
    """See that the server knows what the version says of some people, and nothing of what is going to be played.

    Raises:
        ReplayError: it knows something else, so its answers would not be those that the plan asks for.
    """
    past = SPLITS[: SPLITS.index(plan.split)]
    dense, first = np.unique(stream.users, return_index=True)
    with _client(address, token) as client:
        for place in range(0, dense.size, -(-dense.size // _PROBES)):
            user = stream.raw_users[first[place]]
            expected = sum(version.sequences(split).of(int(dense[place])).size for split in past)
            found = _events_of(client, arm, user)
            if found != expected:
                raise ReplayError(
                    f"arm {arm}: {address.url} knows {found:,} events of user {user}, expected {expected:,} (what "
                    f"{version.name} {version.id} says up to {past[-1]}); it was told more already or serves another "
                    f"version: start it with --past {past[-1]} and a --rehearsal that is new"
                )


def _events_of(client: httpx.Client, arm: str, user: int | str) -> int:
    """How many events of `user` the server knows."""
    import httpx  # noqa: PLC0415 - see look_at

    try:
        answered = client.get(f"/v1/users/{quote(str(user), safe='')}/history", params={"last": 0})
        return int(answered.raise_for_status().json()["events"])
    except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
        raise ReplayError(f"arm {arm}: {client.base_url} does not tell of user {user} ({error})") from None


def _client(address: Address, token: str | None) -> httpx.Client:
    import httpx  # noqa: PLC0415 - see look_at

    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    # As the replay's own connections: the system's certificates, and no proxy of the environment.
    verify = ssl.create_default_context() if address.is_secure else True
    return httpx.Client(base_url=address.url, headers=headers, timeout=_PATIENCE_S, verify=verify, trust_env=False)
