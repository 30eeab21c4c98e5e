"""Who may come in and how often: token, rate, queue and time, on real servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from matinee.errors import ServiceError, UsageError
from matinee.serve.address import host_of, listen_on, local_names, read_token
from matinee.serve.stage import serve_in

if TYPE_CHECKING:
    from pathlib import Path

    from served import Starter

pytestmark = pytest.mark.xdist_group("postgres")


def test_every_request_needs_the_token_and_has_a_size(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["plain"], token="secret", max_body_bytes=20_000)
    server.ask(user=1)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/users/1/history", "/nothing"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
            answered = httpx.get(f"{server.client.base_url}{path}", headers=headers, trust_env=False)
            assert (answered.status_code, answered.headers["www-authenticate"]) == (401, "Bearer"), path
    assert server.client.get("/openapi.json").json()["security"] == [{"token": []}]
    assert server.client.get("/healthz", headers={"host": "matinee.example"}).status_code == 200

    content = b'{"user": "' + b"x" * 20_000 + b'"}'
    headers = {"content-type": "application/json"}
    assert server.client.post("/v1/recommend", content=content, headers=headers).status_code == 413
    pieces = iter([content[:10_000], content[10_000:]])  # without a length
    assert server.client.post("/v1/recommend", content=pieces, headers=headers).status_code == 413
    server.ask(user=1)


def test_too_many_are_sent_away_until_later(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["plain"], max_queue=2, batch_wait_ms=200)
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda user: server.client.post("/v1/recommend", json={"user": user}), range(8))]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) < len(answers)
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert server.ask(user=1)["items"]
    assert server.post("/v1/recommend/batch", {"asks": [{"user": 1}] * 3}, 429)["title"] == "Too Many Requests"


def test_one_address_asks_so_often(start: Starter, models: dict[str, Path]) -> None:
    server = start(models["plain"], rate_limit=3)
    statuses = [server.client.get("/healthz").status_code for _ in range(40)]
    assert {*statuses} == {200, 429}
    assert statuses[:3] == [200] * 3


def test_a_token_is_a_secret_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(UsageError, match="cannot be read as a token"):
        read_token(path)
    path.write_text("abc\n")
    path.chmod(0o640)
    with pytest.raises(UsageError, match=r"others may read it \(mode 640, expected 600\); run 'chmod 600"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == "abc"
    path.write_text("two words")
    with pytest.raises(UsageError, match="expected one token without spaces"):
        read_token(path)


def test_others_reach_it_with_a_token_only() -> None:
    with pytest.raises(UsageError, match="can be reached by others; give every request a token"):
        listen_on("0.0.0.0", 0, open_to_all=True)
    with pytest.raises(UsageError, match="expected an IP address"):
        listen_on("example.org", 0, open_to_all=False)
    listener = listen_on("127.0.0.1", 0, open_to_all=True)
    with listener, pytest.raises(ServiceError, match="choose another with --port"):
        listen_on("127.0.0.1", listener.getsockname()[1], open_to_all=True)


def test_this_machine_is_called_by_the_address_that_it_listens_at_as_well() -> None:
    assert local_names("127.0.0.1") == {"localhost", "127.0.0.1", "[::1]"}
    assert local_names("127.0.0.2") - local_names("127.0.0.1") == {"127.0.0.2"}
    assert host_of({b"host": b"[::1]:8642"}) in local_names("::1")


def test_impossible_limits_are_refused(tmp_path: Path) -> None:
    for wrong in ({"workers": 0}, {"rehearsal": "No/Such"}, {"past": "later"}, {"max_queue": -1}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} is "):
            serve_in("postgresql://nowhere", tmp_path, data_dir=tmp_path, **wrong)  # type: ignore[arg-type]
