"""The HTTP client against servers that behave, and servers that do not; nothing is sent twice, nothing is lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from matinee.errors import UsageError
from matinee.replay.address import Address, is_url
from matinee.replay.client import LOST, NO_HTTP, TIME_LIMIT, Pool, Reply
from matinee.replay.clock import Clock
from matinee.replay.servers import look_at
from recording_server import RecordingServer, problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recording_server import Request


HALF = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"


class Sent:
    """An exchange that remembers what came of it."""

    def __init__(self, address: Address, number: int = 0, token: str | None = None) -> None:
        body = b'{"number": %d}' % number
        self.payload = b"%b%d\r\n\r\n%b" % (address.head("/v1/events", token), len(body), body)
        self.sent_us = 0
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.at = 0
        self.count = iter(range(100))

    def ended(self, reply: Reply) -> None:
        self.at = next(self.count)
        assert self.at == 0, "told once"
        self.done.set_result(reply)


def exchange(
    url: str, numbers: Sequence[int], *, size: int = 2, limit_s: float = 10, token: str | None = None
) -> list[Reply]:
    """All of them sent at once; their replies."""

    async def run() -> list[Reply]:
        address = Address.of(url)
        pool = Pool(address, size, limit_s, Clock())
        sent = [Sent(address, number, token) for number in numbers]
        for each in sent:
            pool.send(each)
        sweeping = asyncio.create_task(_sweep(pool))
        replies = [await asyncio.wait_for(each.done, 20) for each in sent]
        assert all(each.sent_us or each.done.result().fault == LOST for each in sent)
        sweeping.cancel()
        pool.close()
        return replies

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


async def _sweep(pool: Pool) -> None:
    while True:
        pool.sweep()
        await asyncio.sleep(0.01)


def test_many_requests_share_few_connections_in_order() -> None:
    with RecordingServer() as server:
        replies = exchange(server.url, range(50), size=3)
        assert [reply.status for reply in replies] == [200] * 50
        assert all(b'"new"' in reply.body and reply.bytes_in > len(reply.body) for reply in replies)
        assert {request.connection for request in server.requests} == {0, 1, 2}
        assert sorted(server.told) == [*range(50)]
    with RecordingServer() as server:
        exchange(server.url, range(50), size=1)
        assert server.told == [*range(50)], "first come, first served"


def test_what_follows_from_an_answer_goes_before_what_waits() -> None:
    async def run(url: str) -> None:
        address = Address.of(url)
        pool = Pool(address, 1, 10, Clock())
        one, two, three = (Sent(address, number) for number in range(3))

        def ended(reply: Reply) -> None:
            one.done.set_result(reply)
            pool.send(two, first=True)

        one.ended = ended  # type: ignore[method-assign]
        pool.send(one)
        pool.send(three)
        await three.done
        pool.close()

    with RecordingServer() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(server.url))
        assert server.told == [0, 1, 2]


def test_a_connection_that_is_cut_off_is_replaced() -> None:
    def behave(request: Request) -> Any:
        return {3: None, 5: HALF, 6: None}.get(request.number, True)

    with RecordingServer(behave) as server:
        replies = exchange(server.url, range(8), size=1, limit_s=0.2)
        assert [reply.fault for reply in replies] == ["", "", "", LOST, "", TIME_LIMIT, LOST, ""]
        assert len(server.requests) == 8, "nothing is sent twice"


def test_a_slow_answer_is_given_up_and_is_not_taken_for_the_next_one() -> None:
    with RecordingServer(lambda request: 0.5 if request.body["number"] == 0 else True) as server:
        replies = exchange(server.url, range(4), size=1, limit_s=0.1)
        assert [(reply.fault, reply.status) for reply in replies] == [(TIME_LIMIT, 0), *[("", 200)] * 3]
        assert len({request.connection for request in server.requests}) == 2


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_100_000]
)
def test_what_is_no_answer_is_none(words: bytes) -> None:
    with RecordingServer(lambda request: words if request.number == 0 else True) as server:
        first, second = exchange(server.url, range(2), size=1)
        assert (first.fault, first.status) == (NO_HTTP, 0)
        assert second.status == 200


def test_answers_in_pieces_statuses_and_when_to_come_back() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    closing = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
    said = {0: chunked, 1: closing, 2: problem(503, b"Retry-After: 7\r\n"), 3: problem(429, b"retry-after: soon\r\n")}
    with RecordingServer(lambda request: said.get(request.body["number"], True)) as server:
        replies = exchange(server.url, range(5), size=1)
        assert [reply.body for reply in replies[:2]] == [b"abcde", b"hi"]
        assert [(reply.status, reply.retry_after_s) for reply in replies[2:]] == [(503, 7), (429, 0), (200, 0)]
        assert {request.connection for request in server.requests} == {0, 1}


def test_what_comes_before_an_answer_is_not_taken_for_it() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    whole = early + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    with RecordingServer(lambda request: whole if request.number == 0 else True) as server:
        first, second = exchange(server.url, range(2), size=1)
        assert (first.status, first.body) == (200, b"hi")
        assert b"new" in second.body


def test_where_nobody_listens_everything_is_lost_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        replies = exchange(f"http://127.0.0.1:{taken.getsockname()[1]}", range(20))
        assert [reply.fault for reply in replies] == [LOST] * 20


def test_base_path_token_and_name_are_in_the_head() -> None:
    with RecordingServer() as server:
        exchange(f"{server.url}/below/this/", [1], token="secret")
        (request,) = server.requests
        assert request.path == "/below/this/v1/events"
        assert request.headers["authorization"] == "Bearer secret"
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        assert request.headers["content-type"] == "application/json"


def test_ipv6() -> None:
    with RecordingServer(host="::1") as server:
        assert exchange(server.url, [1])[0].status == 200
        assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def test_tls_with_a_certificate_that_is_trusted_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with RecordingServer(ssl=context) as server:
        assert exchange(server.url, [1])[0].fault == LOST
        assert not server.requests
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert exchange(server.url, [1])[0].status == 200
        assert look_at("it", Address.of(server.url), None) == "toy@0"


def test_what_waits_can_be_taken_back() -> None:
    async def run(url: str) -> None:
        address = Address.of(url)
        pool = Pool(address, 1, 10, Clock())
        await pool.open()
        first, *others = (Sent(address, number) for number in range(4))
        for each in (first, *others):
            pool.send(each)
        assert pool.take_back(Sent) == 3
        assert (await first.done).status == 200
        pool.close()
        pool.send(Sent(address, 9))

    with RecordingServer() as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(server.url))
        assert server.told == [0]


@pytest.mark.parametrize(
    ("url", "host", "port", "base"),
    [
        ("http://127.0.0.1:8642", "127.0.0.1", 8642, ""),
        ("http://localhost/", "localhost", 80, ""),
        ("https://example.org/a/b/", "example.org", 443, "/a/b"),
        ("http://[::1]:9", "::1", 9, ""),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, base: str) -> None:
    found = Address.of(url)
    assert (found.host, found.port, found.base, found.is_secure) == (host, port, base, url.startswith("https"))
    assert is_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://", "http://x:99999", "http://x:y", "http://a b", "http://u:p@x", "http://x?q=1", "http://x#f", "ftp://x",
     "http://[::1", "http://x\r\nevil: yes", "http://ü"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_telling_a_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.of(url)
    assert "u:p" not in str(caught.value)


def test_a_model_is_no_address() -> None:
    assert not any(map(is_url, ("models:/x@champion", "ml-100k/sse-pt", "/a/b")))
