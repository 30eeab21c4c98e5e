"""A real Keystone and a real Swift on this machine, for tests of the OpenStack path; `xdist_group("openstack")`.

They run in an environment of their own (`make test` installs it, tests/openstack/requirements.lock), on one plain
folder, with the memcached that Debian has. Where one of these is missing, tests that want them are skipped and say so.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matinee.processes import end, start_tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Credential", "OpenStack", "container", "openstack"]

_NUMBERS = itertools.count()
_ROOT = Path(__file__).parent.parent
_BIN = _ROOT / ".venv-openstack" / "bin"
_SCRIPTS = Path(__file__).parent / "openstack"
_REGION = "RegionOne"
_POLL_S = 0.05
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Credential:
    """An application credential, and the project it belongs to."""

    id: str
    secret: str = field(repr=False)
    project_id: str


class OpenStack:
    """The running services and who may do what in them.

    Attributes:
        auth_url: of Keystone.
        storage_url: of the owner's account in Swift.
        owner: may do everything in its project.
        reader: of the same project, with the role `reader` alone: it may look, and change nothing.
        guest: of another project; may do here what a container's ACL lets it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = _free_ports("memcached", "keystone", "proxy", "account", "container", "object")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._passwords = {"OS_BOOTSTRAP_PASSWORD": secrets.token_urlsafe(16)}
        self._service_password = secrets.token_urlsafe(16)
        self.auth_url = f"http://127.0.0.1:{self._ports['keystone']}/v3"
        self.region = _REGION

    def start_all(self) -> None:
        """Start everything, and make projects, users and credentials."""
        (self.folder / "swift" / "devices" / "disk").mkdir(parents=True)
        (self.folder / "keystone").mkdir()
        self._write_swift_settings()
        rings = [_BIN / "python", _SCRIPTS / "swift_rings.py", self.folder / "swift"]
        ring_ports = [str(self._ports[name]) for name in ("account", "container", "object")]
        subprocess.run([*map(str, rings), *ring_ports], check=True, capture_output=True, timeout=_START_TIMEOUT_S)
        for name in ("memcached", "keystone", "account", "container", "object", "proxy"):
            self._launch(name)
        self._await("keystone", self.auth_url)
        self._make_people()
        self._await("proxy", f"http://127.0.0.1:{self._ports['proxy']}/healthcheck")

    def start(self, *names: str) -> None:
        """Start parts of Swift that were killed: of account, container, object, proxy."""
        for name in names:
            self._launch(name)
        for name in names:
            self._await(name, f"http://127.0.0.1:{self._ports[name]}/healthcheck")

    def kill(self, *names: str) -> None:
        """SIGKILL, at once."""
        for name in names:
            self._processes[name].kill()
            self._processes[name].wait()

    def mend(self) -> None:
        """Start what a test has killed and, failing, not started again."""
        self.start(*(name for name, process in self._processes.items() if process.poll() is not None))

    def stop_all(self) -> None:
        """End whatever still runs."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            end(process, patience_s=3.0)

    def revoke_tokens(self) -> None:
        """Make the owner's tokens worth nothing, while whoever holds one takes it for good: as if they had expired.

        A token that is to expire soon would not do: rclone gets a new one a minute before the time.
        """
        admin = self._token(_password("admin", self._passwords["OS_BOOTSTRAP_PASSWORD"]), "admin")
        for enabled in (False, True):  # a user who was locked out begins anew
            self._keystone("PATCH", f"/users/{self._users['owner']['id']}", admin, user={"enabled": enabled})
        time.sleep(1.1)  # Keystone counts in seconds, and what is issued in this one is revoked as well
        with socket.create_connection(("127.0.0.1", self._ports["memcached"]), timeout=5) as memcached:
            memcached.sendall(b"flush_all\r\n")  # in which Swift keeps the tokens that it has seen
            assert memcached.recv(100) == b"OK\r\n"

    def remote(self, name: str, credential: Credential | None = None, **options: str) -> dict[str, str]:
        """Variables that define an rclone remote for the owner's account."""
        who = credential or self.owner
        plain = {
            "type": "swift",
            "auth": self.auth_url,
            "auth_version": "3",
            "region": self.region,
            "application_credential_id": who.id,
            "application_credential_secret": who.secret,
            **options,
        }
        return {f"RCLONE_CONFIG_{name.upper()}_{key.upper()}": value for key, value in plain.items()}

    def swift(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        """One request to the owner's account, as the owner."""
        token = self._token(_app_credential(self.owner))
        return httpx.request(
            method, f"{self.storage_url}/{path}", headers={"X-Auth-Token": token, **options.pop("headers", {})},
            trust_env=False, timeout=30, **options,
        )  # fmt: skip

    def objects(self, container: str) -> list[str]:
        """Names of all objects of a container; nothing where it is missing."""
        answer = self.swift("GET", container, params={"format": "json"})
        return [] if answer.status_code in {204, 404} else [entry["name"] for entry in answer.json()]

    def credential(self, *roles: str, project: str = "owner") -> Credential:
        """A new application credential of a project's user, with these of its roles; all of them without any."""
        user = self._users[project]
        body: dict[str, Any] = {"name": secrets.token_hex(4)}
        if roles:
            body["roles"] = [{"name": role} for role in roles]
        token = self._token(_password(project, user["password"]), project)
        made = self._keystone(
            "POST", f"/users/{user['id']}/application_credentials", token, application_credential=body
        )
        plain = made["application_credential"]
        return Credential(plain["id"], plain["secret"], plain["project_id"])

    def revoke(self, credential: Credential, *, project: str = "owner") -> None:
        """Delete an application credential; its tokens are worth nothing from now on."""
        user = self._users[project]
        token = self._token(_password(project, user["password"]), project)
        self._keystone("DELETE", f"/users/{user['id']}/application_credentials/{credential.id}", token)

    def _make_people(self) -> None:
        admin = self._token(_password("admin", self._passwords["OS_BOOTSTRAP_PASSWORD"]), "admin")
        roles = {role["name"]: role["id"] for role in self._keystone("GET", "/roles", admin)["roles"]}
        self._users: dict[str, dict[str, str]] = {}
        projects = {}
        for name, theirs in {"swift": ("service",), "owner": ("member", "reader"), "guest": ("member",)}.items():
            password = self._service_password if name == "swift" else secrets.token_urlsafe(16)
            project = self._keystone("POST", "/projects", admin, project={"name": name, "domain_id": "default"})
            user = self._keystone(
                "POST", "/users", admin, user={"name": name, "domain_id": "default", "password": password}
            )
            self._users[name] = {"id": user["user"]["id"], "password": password}
            projects[name] = project["project"]["id"]
            for role in theirs:
                self._keystone(
                    "PUT", f"/projects/{projects[name]}/users/{user['user']['id']}/roles/{roles[role]}", admin
                )
        address = f"http://127.0.0.1:{self._ports['proxy']}/v1/AUTH_"
        service = self._keystone("POST", "/services", admin, service={"name": "swift", "type": "object-store"})
        endpoint = {
            "interface": "public",
            "region_id": _REGION,
            "service_id": service["service"]["id"],
            "url": f"{address}%(project_id)s",
        }
        self._keystone("POST", "/endpoints", admin, endpoint=endpoint)
        self.storage_url = f"{address}{projects['owner']}"
        self.owner = self.credential("member")
        self.reader = self.credential("reader")
        self.guest = self.credential(project="guest")

    def _keystone(self, method: str, path: str, token: str, **body: Any) -> Any:
        answer = httpx.request(
            method, f"{self.auth_url}{path}", headers={"X-Auth-Token": token}, json=body or None, trust_env=False,
            timeout=30,
        )  # fmt: skip
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def _token(self, identity: dict[str, Any], project: str | None = None) -> str:
        auth: dict[str, Any] = {"identity": identity}
        if project is not None:
            auth["scope"] = {"project": {"name": project, "domain": {"id": "default"}}}
        answer = httpx.post(f"{self.auth_url}/auth/tokens", json={"auth": auth}, trust_env=False, timeout=30)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def _launch(self, name: str) -> None:
        port = str(self._ports[name])
        argv: list[str | Path]
        if name == "memcached":
            argv = [str(shutil.which("memcached")), "-l", "127.0.0.1", "-p", port, "-U", "0", "-u", getpass.getuser()]
        elif name == "keystone":
            argv = [_BIN / "python", "-W", "ignore", _SCRIPTS / "keystone_server.py", self.folder / "keystone", port]
        else:
            argv = [_BIN / f"swift-{name}-server", self.folder / "swift" / f"{name}-server.conf", "verbose"]
        environment = {**os.environ, **self._passwords, "PYTHONWARNINGS": "ignore"}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = start_tied(argv, environment=environment, output=log)

    def _await(self, name: str, url: str) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._processes[name].poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url, trust_env=False, timeout=5).is_success:
                    return
            time.sleep(_POLL_S)
        said = (self.folder / f"{name}.log").read_text(errors="replace")
        pytest.fail(f"{name} does not come up:\n{said[-3000:]}")

    def _write_swift_settings(self) -> None:
        folder = self.folder / "swift"
        (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = matinee\n")
        for name in ("account", "container", "object"):
            (folder / f"{name}-server.conf").write_text(
                _DEFAULTS.format(port=self._ports[name], user=getpass.getuser(), folder=folder)
                + _STORAGE.format(name=name, devices=folder / "devices")
            )
        (folder / "proxy-server.conf").write_text(
            _DEFAULTS.format(port=self._ports["proxy"], user=getpass.getuser(), folder=folder)
            + _PROXY.format(auth_url=self.auth_url, memcached=self._ports["memcached"], password=self._service_password)
        )
        (folder / "proxy-server.conf").chmod(0o600)


_DEFAULTS = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
"""

_STORAGE = """\
devices = {devices}
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = healthcheck {name}-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:{name}-server]
use = egg:swift#{name}
"""

_PROXY = """\
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache bulk authtoken keystoneauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:bulk]
use = egg:swift#bulk
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = member
project_reader_roles = reader
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {auth_url}
auth_url = {auth_url}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = swift
username = swift
password = {password}
interface = public
delay_auth_decision = true
cache = swift.cache
"""


@pytest.fixture(scope="session")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """Keystone and Swift for all tests of a worker."""
    if not (_BIN / "swift-proxy-server").exists():
        pytest.skip("Keystone and Swift are not installed; install them with: make .venv-openstack/.installed")
    if shutil.which("memcached") is None:
        pytest.skip("Swift needs memcached; tests/debian.sh installs it where it can")
    services = OpenStack(tmp_path_factory.mktemp("openstack"))
    try:
        services.start_all()
        yield services
    finally:
        services.stop_all()


@pytest.fixture
def container(openstack: OpenStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives addresses of containers that nobody else uses, as the owner or somebody else, with options of rclone's."""

    def address(credential: Credential | None = None, name: str = "", **options: str) -> str:
        number = next(_NUMBERS)
        for variable, value in openstack.remote(f"swift{number}", credential, **options).items():
            monkeypatch.setenv(variable, value)
        return f"swift{number}:{name or f'test-{number}'}"

    return address


def _app_credential(credential: Credential) -> dict[str, Any]:
    return {
        "methods": ["application_credential"],
        "application_credential": {"id": credential.id, "secret": credential.secret},
    }


def _password(user: str, password: str) -> dict[str, Any]:
    return {
        "methods": ["password"],
        "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
    }


def _free_ports(*names: str) -> dict[str, int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
