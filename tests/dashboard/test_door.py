"""Who may look, at what, and that looking changes nothing: the page as a program, asked over HTTP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matinee.cli import main
from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Shown, Starter

pytestmark = pytest.mark.xdist_group("chromium")  # they share its page


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def test_only_who_calls_this_machine_by_its_own_name_may_look(shown: Shown) -> None:
    port = shown.url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "LOCALHOST", f"[::1]:{port}"):
        assert get(shown.url, host=host).status_code == 200, host
    for host in ("matinee.example", f"127.0.0.1.matinee.example:{port}", "", "[::2]"):
        assert get(shown.url, host=host).status_code == 421, host
    for origin in ("http://matinee.example", "null", f"http://localhost:{int(port) + 1}", f"https://127.0.0.1:{port}0"):
        assert get(shown.url, origin=origin).status_code == 403, origin
    assert get(shown.url, origin=shown.url).status_code == 200


def test_another_loopback_address_is_a_name_as_well(house: Path, start: Starter) -> None:
    url = start(house, "--listen", "127.0.0.2").url
    assert get(url).status_code == 200
    assert get(url, host="matinee.example").status_code == 421


@pytest.mark.parametrize(("origin", "status"), [("http://matinee.example", b"403"), ("", b"101")])
def test_no_other_page_may_listen(shown: Shown, origin: str, status: bytes) -> None:
    host, _, port = shown.url.removeprefix("http://").partition(":")
    lines = [
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Origin: {origin or shown.url}",
    ]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(4096).split()[1] == status


def test_it_is_only_looked_at(shown: Shown) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/", "/login", "/files/x", "/healthz"):
            assert httpx.request(method, f"{shown.url}{path}", trust_env=False).status_code == 405, (method, path)


def test_the_browser_is_told_to_ask_nobody_else(shown: Shown) -> None:
    headers = get(shown.url).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_certificates_and_reports_are_handed_out_and_nothing_else(shown: Shown) -> None:
    (certificate,) = shown.data_dir.glob("versions/*/*/certificate.html")
    (report,) = shown.data_dir.glob("replays/*/*/report.html")
    for path in (certificate, report):
        answered = get(f"{shown.url}/files/{path.relative_to(shown.data_dir)}")
        assert answered.content == path.read_bytes()
        policy = answered.headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert "script" not in policy
    for path in shown.data_dir.rglob("*"):
        if path.is_file() and path not in {certificate, report}:
            answered = get(f"{shown.url}/files/{path.relative_to(shown.data_dir)}")
            assert answered.status_code == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "versions/../stack.json", "versions/log/../../stack.json", "versions/log/%2e%2e/%2e%2e/stack.json", "../data/x",
        "versions/log/..%2f..%2fstack.json", "/etc/passwd", "//etc/passwd", "%2Fetc%2Fpasswd",
        "versions/log/x/../../../../etc/passwd", "versions/./log/certificate.html", "versions/log//certificate.html",
        "versions/log/.hidden/certificate.html", "versions/log/x/certificate.html%00",
        "versions/log/x/certificate.html\n", "versions\\log\\x\\certificate.html",
        "versions/linked/out/certificate.html", "versions/log/folder/certificate.html",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(path: str, data_dir: Path, tmp_path: Path) -> None:
    from urllib.parse import unquote

    from matinee.dashboard.files import find

    (data_dir / "stack.json").write_text("{}")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "certificate.html").write_text("secret")
    (data_dir / "versions" / "linked").mkdir()
    (data_dir / "versions" / "linked" / "out").symlink_to(outside)
    (data_dir / "versions" / "log" / "folder" / "certificate.html").mkdir(parents=True)
    assert find(path, data_dir) is None
    assert find(unquote(path), data_dir) is None


def test_traversal_is_refused_over_http_as_well(shown: Shown) -> None:
    host, _, port = shown.url.removeprefix("http://").partition(":")
    for path in (
        "/files/../stack.json",
        "/files/versions/..%2f..%2fetc/passwd",
        "/files/%2e%2e/x",
        "/files//etc/passwd",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] == b"404", path


def test_an_open_address_needs_a_token_and_asks_for_it(
    house: Path, start: Starter, tmp_path: Path, chromium: Any
) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("a-long-secret\n")
    url = start(house, "--token-file", token).url
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"matinee-{url[-5:]}=a-long-secret"}):
        for path in ("/", "/healthz", "/files/x", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
            assert get(f"{url}{path}", **headers).status_code == 401, path
    assert get(f"{url}/healthz", authorization="Bearer a-long-secret", host="matinee.example").status_code == 200
    wrong = httpx.post(f"{url}/login", data={"token": "guess"}, trust_env=False)
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert httpx.post(f"{url}/login", content=b"x" * 5000, trust_env=False).status_code == 413
    assert httpx.post(f"{url}/login", data={"token": "a-long-secret"}, headers={"origin": "http://matinee.example"},
                      trust_env=False).status_code == 403  # fmt: skip

    context = chromium.new_context()
    page = context.new_page()
    page.goto(url)
    page.get_by_label("token").fill("a-long-secret")
    page.keyboard.press("Enter")
    page.wait_for_selector(".canvas canvas")
    page.wait_for_function("window.did_handshake")
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert "a-long-secret" not in cookie["value"] + page.content()
    context.close()


def test_others_are_let_in_with_a_token_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["dashboard", "--listen", "0.0.0.0", "--data-dir", str(tmp_path)]) == UsageError.exit_code
    assert "0.0.0.0 can be reached by others; give every request a token with --token-file" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["dashboard", "--port", port, "--data-dir", str(tmp_path)]) == 1
    assert f"127.0.0.1:{port} cannot be listened on" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["dashboard", "--data-dir", str(tmp_path / "file")]) == UsageError.exit_code
    assert "not a folder; name the data folder with --data-dir" in capsys.readouterr().err


def test_looking_changes_nothing_and_a_folder_may_come_later(
    data_dir: Path, start: Starter, visit: Callable[..., Any], tmp_path: Path
) -> None:
    later, before = tmp_path / "later", tree(data_dir)
    dashboard = start(later)
    seen = visit(dashboard.url)
    assert "No version yet; 'matinee rehearse' makes one." in seen.text(".versions")
    assert seen.text("[data-stage=extract] .state").endswith("waiting")
    assert not later.exists()
    data_dir.rename(later)
    seen.page.wait_for_selector(".version")
    seen.page.wait_for_selector("[data-stage=transform][data-state=done]")
    seen.page.locator(".version .figure").first.click()
    seen.page.wait_for_selector(".step[data-kind=file]")
    assert tree(later) == before
    assert [path.name for path in (tmp_path / "work").iterdir()] == []  # nor where it was started
    assert dashboard.stop() == 0
    assert seen.troubles == [] or all("ERR_CONNECTION_REFUSED" in trouble for trouble in seen.troubles)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
