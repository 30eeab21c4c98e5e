"""Every route of a real server: what it answers, and what it says no to."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from matinee.version import Version
    from served import Server

pytestmark = pytest.mark.xdist_group("postgres")

JSON = {"content-type": "application/json"}


def test_the_best_items_are_asked_for(server: Server, version: Version) -> None:
    user = int(version.raw_users[0])
    seen = server.history(user)
    answer = server.ask(user=user, k=1000)
    assert answer["known"] is True
    assert not {*answer["items"]} & {*seen}
    everything = server.ask(user=user, k=1000, exclude_seen=False)["items"]
    assert len(everything) == len({*everything}) >= version.items
    assert [item for item in everything if item not in seen] == answer["items"]
    assert server.ask(user=str(user), k=3)["items"] == answer["items"][:3]
    assert answer["model"].startswith("sse-pt@")


def test_a_history_can_be_brought_along(server: Server, version: Version) -> None:
    items = [int(item) for item in version.raw_items[:5]]
    brought = server.ask(user="guest", history=items, k=1000)
    assert brought["known"] is False
    assert not {*brought["items"]} & {*items}
    assert server.ask(user="guest", history=[*items, "never heard of"])["items"]
    assert server.ask(user="guest", history=[])["items"] == server.ask(user="nobody")["items"]


def test_what_is_told_is_known_at_once(server: Server) -> None:
    user, item = str(uuid4()), f"a new one, {uuid4()}"
    assert server.history(user) == []
    assert "rank" not in server.ask(user=user, target=item)
    assert server.tell(user=user, item=item, rating=4.5) == {"new": 1, "known": 0}
    assert server.history(user) == [item]
    assert item in server.ask(user="somebody else", k=1000)["items"], "the prior makes new items reachable"
    assert item not in server.ask(user=user, k=1000)["items"]
    assert server.ask(user=user, target=item)["rank"] > len(server.ask(user=user, k=1000)["items"])


def test_told_again_is_told_once(server: Server) -> None:
    user, teller = str(uuid4()), str(uuid4())
    event = {"user": user, "item": 5003, "timestamp": 10, "number": 7, "teller": teller}
    assert server.tell(**event) == {"new": 1, "known": 0}
    assert server.tell(**event) == {"new": 0, "known": 1}
    assert server.history(user) == [5003]
    problem = server.post("/v1/events", event | {"item": 5004}, 409)
    assert problem["detail"].startswith("number 7 was given to another event before")
    assert server.history(user) == [5003]


def test_a_batch_is_its_parts(server: Server) -> None:
    user, teller = str(uuid4()), str(uuid4())
    events = [{"user": user, "item": 5000 + number, "number": number} for number in range(5)]
    assert server.post("/v1/events/batch", {"teller": teller, "events": events[:3]}) == {"new": 3, "known": 0}
    assert server.post("/v1/events/batch", {"teller": teller, "events": [*events, events[4]]}) == {"new": 2, "known": 4}
    assert server.history(user) == [5000, 5001, 5002, 5003, 5004]
    asks: list[dict[str, Any]] = [
        {"user": user, "k": 4, "timestamp": 2_000_000_000},
        {"user": 100, "exclude_seen": False, "timestamp": 1_005_000_000, "target": 5001},
        {"user": "guest", "history": [5001], "timestamp": 2_000_000_000},
    ]
    assert server.post("/v1/recommend/batch", {"asks": asks})["answers"] == [server.ask(**ask) for ask in asks]


def test_integers_and_texts_come_back_as_they_are_in_the_log(server: Server) -> None:
    user = str(uuid4())
    for item in (-3, "-3", "007", "a/b?c", "ü", 2**63 - 1, str(2**63)):
        server.tell(user=user, item=item)
    assert server.history(user) == [-3, -3, "007", "a/b?c", "ü", 2**63 - 1, str(2**63)]
    server.tell(user="a/b %c\n", item=5)
    assert server.history("a%2Fb%20%25c%0A") == [5]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "missing required field `user`"),
        ({"user": 1, "k": 0}, "`int` >= 1 - at `$.k`"),
        ({"user": 1, "k": 1001}, "`int` <= 1000 - at `$.k`"),
        ({"user": 1, "k": "many"}, "Expected `int`, got `str` - at `$.k`"),
        ({"user": None}, "at `$.user`"),
        ({"user": ""}, "length >= 1"),
        ({"user": "a\0b"}, "matching regex"),
        ({"user": "x" * 257}, "length <= 256"),
        ({"user": 2**63}, "at `$.user`"),
        ({"user": 1, "timestamp": 2**54}, "at `$.timestamp`"),
        ({"user": 1, "colour": "red"}, "unknown field `colour`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(server: Server, body: Any, detail: str) -> None:
    problem = server.post("/v1/recommend", body, 422)
    assert detail in problem["detail"]
    assert problem | {"detail": ""} == {
        "type": "about:blank", "title": HTTPStatus.UNPROCESSABLE_ENTITY.phrase, "status": 422, "detail": "",
    }  # fmt: skip


def test_a_number_needs_a_teller_and_a_teller_numbers(server: Server) -> None:
    for body in ({"user": 1, "item": 2, "number": 1}, {"user": 1, "item": 2, "teller": str(uuid4())}):
        assert "belong together" in server.post("/v1/events", body, 422)["detail"]


def test_what_is_no_json_is_refused(server: Server) -> None:
    for content in (b"", b"{", b'{"user": "\xff"}', b'{"user": "\\ud800"}', b"[" * 15_000):
        answered = server.client.post("/v1/recommend", content=content, headers=JSON)
        assert answered.status_code in {400, 422}, content[:20]
        assert answered.headers["content-type"] == "application/problem+json"
    answered = server.client.post("/v1/recommend", content=b'{"user": 1}', headers={"content-type": "text/plain"})
    assert (answered.status_code, answered.json()["detail"]) == (415, "expected 'Content-Type: application/json'")


def test_another_host_is_refused(server: Server) -> None:
    answered = server.client.get("/healthz", headers={"host": "evil.example:8642"})
    assert (answered.status_code, answered.json()["title"]) == (421, "Misdirected Request")
    assert server.client.get("/healthz", headers={"host": "localhost:8642"}).status_code == 200


def test_other_paths_and_methods_are_problems_too(server: Server) -> None:
    assert server.client.get("/v1/nothing").json()["status"] == 404
    answered = server.client.get("/v1/recommend")
    assert (answered.status_code, answered.headers["allow"]) == (405, "POST")
    assert server.client.get("/v1/users/1/history", params={"last": "-1"}).json()["status"] == 422


def test_it_tells_how_it_is(server: Server) -> None:
    assert server.client.get("/healthz").json()["status"] == "ok"
    assert server.client.get("/readyz").json()["status"] == "ready"
    server.ask(user=1)
    server.tell(user=1, item=2)
    metrics = server.client.get("/metrics").text
    assert 'matinee_requests_total{route="/v1/recommend",status="200"}' in metrics
    assert "matinee_batch_questions_count" in metrics
    assert float(metrics.partition('matinee_told_events_total{kind="new"} ')[2].partition("\n")[0]) >= 1


def test_a_broken_off_request_hurts_nobody(server: Server) -> None:
    for words in (b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-le", b"\x16\x03\x01nonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(words)
    assert server.ask(user=1)["items"]
