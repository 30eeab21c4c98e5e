"""The supervisor of one data folder: supervisord with a generated configuration, spoken to over its own socket.

supervisord keeps every service up and writes its log. Only its owner can speak to it: the socket lies in a folder
that nobody else can enter. All paths in its configuration are relative to its working folder, so a data folder may
have any name, and may move.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import ServiceError
from matinee.processes import birth_of, end, is_same, start_detached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.stack.folders import Folders
    from matinee.stack.services import Service

__all__ = ["ProcessInfo", "Supervisor"]

NAME: Final = "supervisord"
_CONFIG: Final = "supervisord.conf"
_SOCKET: Final = "supervisor.sock"
_PID: Final = "supervisord.pid"
_SHUTDOWN_STATE: Final = 6  # of supervisor.xmlrpc.Faults
_WATCH: Final = "watch"
_DOOR: Final = "s3_door"
_ANSWER_TIMEOUT_S: Final = 10.0
_START_PATIENCE_S: Final = 20.0
_STOP_PATIENCE_S: Final = 25.0
_LEFT_PATIENCE_S: Final = 8.0
_POLL_S: Final = 0.05
_SPECIAL: Final = "/proc/self/cwd"  # a path to a socket may have 107 characters; this one never has more
_HEAD: Final = """\
; Made by 'matinee up', again at each start: changes are lost.
[supervisord]
nodaemon = true
silent = true
umask = 077
logfile = ../logs/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = supervisord.pid
childlogdir = .

[unix_http_server]
file = {special}/{socket}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
# A service that ends within `startsecs` is started again after a pause that grows by a second each time. It is never
# given up: when the disk has space again, or the port is free, it comes back by itself.
_PROGRAM: Final = """
[program:{name}]
command = {command}
autostart = {autostart}
priority = {priority}
autorestart = true
startsecs = 4
startretries = 1000000
stopsignal = {stop_signal}
stopwaitsecs = {stop_patience_s}
killasgroup = true
redirect_stderr = true
stdout_logfile = ../logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What the supervisor knows of a service: a word of its own, the process (0: none), and when it was started."""

    word: str
    pid: int
    started_s: int

    @property
    def is_up(self) -> bool:
        """Whether it is meant to run, even if it just fell over."""
        return self.word in {"STARTING", "RUNNING", "BACKOFF"}


class _EndingError(ConnectionError):
    """It is about to end, and takes no more orders."""


class Supervisor:
    """The supervisord of a data folder, whether it runs or not."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    @property
    def pid(self) -> int:
        """Its process; 0 where it does not run. One that is about to end is waited for."""
        try:
            return int(self._ask("getPID"))
        except _EndingError:
            with contextlib.suppress(OSError, ValueError):  # its pid file goes right before it
                self._await_end(int((self._folders.run / _PID).read_text(encoding="utf-8")))
        except (FileNotFoundError, ConnectionError, HTTPException):
            pass
        return 0

    def start(self, services: Iterable[Service], *, s3_door: bool) -> None:
        """Start it, with no service started yet; what a killed one left is ended first.

        Args:
            services: those that it may be told to start.
            s3_door: whether S3 is to be reached from other machines.

        Raises:
            ServiceError: it does not come up, with its last words.
        """
        self._end_leftovers()
        run = self._folders.run
        (run / _CONFIG).write_text(_configuration(services, s3_door=s3_door), encoding="utf-8")
        (run / _SOCKET).unlink(missing_ok=True)
        argv = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", _CONFIG]
        with (self._folders.logs / "supervisord.out").open("wb") as output:
            process = start_detached(argv, environment=os.environ, output=output, folder=run)
        deadline_s = time.monotonic() + _START_PATIENCE_S
        while not self.pid:
            if process.poll() is not None or time.monotonic() > deadline_s:
                end(process, patience_s=1)
                raise ServiceError(f"supervisord: does not come up ({self._last_words()})")
            time.sleep(_POLL_S)

    def shut_down(self) -> None:
        """Stop all services, those that others need last, and then itself.

        Raises:
            ServiceError: it does not end.
        """
        if pid := self.pid:
            self.ask_to_shut_down()
            self._await_end(pid)
        self._end_leftovers()

    def ask_to_shut_down(self) -> None:
        """Have it stop all services and itself, and do not wait."""
        with contextlib.suppress(ConnectionError, HTTPException):
            self._ask("shutdown")

    def states(self) -> dict[str, ProcessInfo]:
        """Each service it knows; empty where it does not run."""
        try:
            known = self._ask("getAllProcessInfo")
        except (FileNotFoundError, ConnectionError, HTTPException):
            return {}
        return {
            info["name"]: ProcessInfo(
                info["statename"], info["pid"] if info["statename"] != "STOPPED" else 0, info["start"]
            )
            for info in known
            if info["name"] not in {_WATCH, _DOOR}
        }

    def start_service(self, name: str) -> None:
        """Have a service started; one that runs is fine."""
        self._order("startProcess", name)

    def stop_service(self, name: str) -> None:
        """Have a service stopped, and wait until it has; one that does not run is fine."""
        self._order("stopProcess", name)

    def wait_stopped(self, names: Iterable[str]) -> None:
        """Wait until these services have stopped; the supervisor kills what does not."""
        waiting = set(names)
        while waiting:
            states = self.states()
            waiting = {name for name in waiting if name in states and states[name].word not in _STOPPED}
            if waiting:
                time.sleep(_POLL_S)

    def _order(self, method: str, name: str) -> None:
        try:
            self._ask(method, name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString and "NOT_RUNNING" not in fault.faultString:
                raise ServiceError(f"supervisord: {method} {name}: {fault.faultString}") from None

    def _ask(self, method: str, *arguments: object) -> Any:
        with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(self._folders)) as proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode == _SHUTDOWN_STATE:
                    raise _EndingError from None
                raise
            except TimeoutError:
                raise ServiceError(
                    f"supervisord: no answer within {_ANSWER_TIMEOUT_S:.0f} s; its pid is in "
                    f"{self._folders.run / _PID}: kill it, and run 'matinee up' again"
                ) from None
            except PermissionError:
                raise ServiceError(f"{self._folders.run}: the stack belongs to another user; run as that one") from None

    def _await_end(self, pid: int) -> None:
        birth, deadline_s = birth_of(pid), time.monotonic() + _STOP_PATIENCE_S
        while is_same(pid, birth):
            if time.monotonic() > deadline_s:
                end(pid, patience_s=1)
            time.sleep(_POLL_S)

    def _end_leftovers(self) -> None:
        """End services whose supervisor was killed: they end by themselves, and are helped where they do not."""
        for record in self._folders.run.glob(self._folders.process("*").name):
            try:
                plain = json.loads(record.read_bytes())
                pid, birth = int(plain["pid"]), str(plain["birth"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            deadline_s = time.monotonic() + _LEFT_PATIENCE_S
            while is_same(pid, birth) and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
            if is_same(pid, birth):
                end(pid, patience_s=1)
            record.unlink(missing_ok=True)

    def _last_words(self) -> str:
        said = " ".join((self._folders.logs / "supervisord.out").read_text(errors="replace").split())
        return said[-400:] or f"see {self._folders.logs / 'supervisord.log'}"


_STOPPED: Final = {"STOPPED", "EXITED", "FATAL"}


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over the socket in the data folder's `run`."""

    def __init__(self, folders: Folders) -> None:
        super().__init__()
        self._folders = folders

    def make_connection(self, host: Any) -> HTTPConnection:
        """As its base class asks for one, and kept where it closes it."""
        connection = _Connection(self._folders)
        self._connection = host, connection
        return connection


class _Connection(HTTPConnection):
    def __init__(self, folders: Folders) -> None:
        super().__init__("localhost", timeout=_ANSWER_TIMEOUT_S)
        self._folders = folders

    def connect(self) -> None:
        """Connect through an open folder, as the path itself may be too long for a socket."""
        handle = os.open(self._folders.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_ANSWER_TIMEOUT_S)
            self.sock.connect(f"/proc/self/fd/{handle}/{_SOCKET}")
        finally:
            os.close(handle)


def _configuration(services: Iterable[Service], *, s3_door: bool) -> str:
    parts = [_HEAD.format(special=_SPECIAL, socket=_SOCKET)]
    if os.geteuid() == 0:
        parts[0] = parts[0].replace("nodaemon", "user = root\nnodaemon", 1)  # or it warns that it is
    # Priorities: the watch is started first and stopped last.
    parts.append(_program(_WATCH, ["matinee.stack.watch"], "true", 1, "TERM", 1))
    if s3_door:
        parts.append(_program(_DOOR, ["matinee.stack.s3_door"], "true", 2, "TERM", 2))
    for service in services:
        module = ["matinee.stack.launch", service.name]
        parts.append(_program(service.name, module, "false", 2, service.stop_signal, service.stop_patience_s))
    return "".join(parts)


def _program(name: str, module: list[str], autostart: str, priority: int, stop_signal: str, patience_s: int) -> str:
    # supervisord takes the command apart as a shell does, after putting values in for %(name)s.
    command = shlex.join([sys.executable, "-P", "-m", *module]).replace("%", "%%")
    return _PROGRAM.format(
        name=name,
        command=command,
        autostart=autostart,
        priority=priority,
        stop_signal=stop_signal,
        stop_patience_s=patience_s,
    )
