"""Where the offers to a person come from: a replay's journals, or a server that is asked now.

A server is asked with the history of the moment in the question, and told nothing: looking changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import quote

import numpy as np

from matinee.errors import ReplayError, ServiceError, VersionDamagedError
from matinee.one_person.view import Now, Offer
from matinee.replay.address import Address
from matinee.replay.folder import RECORD, Record
from matinee.replay.journal import MISSED, OUTCOMES, asked_records
from matinee.replay.plan import Plan
from matinee.replay.stream import read_stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from matinee.etl.titles import Title, Titles
    from matinee.one_person.view import Question
    from matinee.version import Version

__all__ = ["FromReplay", "FromServer"]

_MOST_HISTORY: Final = 10_000  # that a question may have (docs/serving.md); a model sees far less
_PATIENCE_S: Final = 10.0
_PROBLEM: Final = "application/problem+json"  # what our servers explain a refusal in
_LONGEST_SHOWN: Final = 100  # characters of a path, which a user's id is part of
_ANSWERED: Final = OUTCOMES[0]


class FromReplay:
    """A `Source`: the journals of a replay, as far as it has come.

    Args:
        folder: of the replay.
        version: that it plays.

    Raises:
        ReplayError: there is no replay.
        VersionDamagedError: the version is not the one that was played.
    """

    def __init__(self, folder: Path, version: Version) -> None:
        record = Record.read(folder)
        if record is None:
            raise ReplayError(f"{folder}: no {RECORD}, so no replay")
        plan = record.plan
        if version.sha256 != plan.version_sha256:
            raise VersionDamagedError(
                f"{version.folder}: its manifest has SHA-256 {version.sha256}, but {plan.version_sha256} was played; "
                "name the folder of the version that was with --version"
            )
        self.version, self.split, self.label = version, plan.split, record.id
        self.stream = read_stream(version, plan)
        self._records = {arm.name: asked_records(folder, arm.name, plan.k) for arm in record.arms}

    def known(self) -> NDArray[np.bool_]:
        """Which events were asked about, by any arm."""
        known = np.zeros(len(self.stream), np.bool_)
        for records in self._records.values():
            known[records["event"]] = True
        return known

    def offers(self, questions: Sequence[Question], titles: Titles) -> list[tuple[Offer, ...]]:
        """What was offered before each of these events."""
        return [
            tuple(
                self._offer(arm, records[places[0]], titles)
                for arm, records in self._records.items()
                # Of several records of one event, as a kill can leave, the first counts, as in the report.
                if (places := np.flatnonzero(records["event"] == question.event)).size
            )
            for question in questions
        ]

    def now(self, user: int | str, last: int, titles: Titles) -> None:  # noqa: ARG002 - see Source
        """There is no server."""
        return

    def _offer(self, arm: str, record: NDArray[Any], titles: Titles) -> Offer:
        outcome, rank = OUTCOMES[int(record["outcome"])], int(record["rank"])
        items = np.trim_zeros(record["items"], "b").tolist() if outcome == _ANSWERED else []
        return Offer(
            arm=arm,
            outcome=outcome,
            items=tuple(self._title(item, titles) for item in items),
            rank=rank if outcome == _ANSWERED and rank != MISSED else None,
        )

    def _title(self, dense: int, titles: Titles) -> Title:
        return titles.of(self.version.raw_items[dense - 1].item() if dense else "an item that is new to the version")


class FromServer:
    """A `Source`: a server that is asked now, and a context manager that lets go of it.

    Args:
        url: of the server.
        version: whose events are stepped through.
        split: which of them.
        k: length of a list.
        token: that the server needs.

    Raises:
        UsageError: the address is none, or the split has no events.
    """

    def __init__(
        self, url: str, version: Version, split: Literal["eval", "test"], *, k: int = 10, token: str | None = None
    ) -> None:
        import httpx  # noqa: PLC0415 - a quarter of a second

        self.version, self.split, self.label = version, split, Address.of(url).url
        self.stream = read_stream(version, Plan(version.name, version.id, version.sha256, split, k=k))
        self._k = k
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        # No proxy of the environment: a replay itself goes to the server without one.
        self._client = httpx.Client(base_url=self.label, headers=headers, timeout=_PATIENCE_S, trust_env=False)
        self._failure = httpx.HTTPError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def known(self) -> NDArray[np.bool_]:
        """All: it can be asked about any event."""
        return np.ones(len(self.stream), np.bool_)

    def offers(self, questions: Sequence[Question], titles: Titles) -> list[tuple[Offer, ...]]:
        """What it offers if it is asked as of each of these events."""
        return [(self._ask(question, titles),) for question in questions]

    def now(self, user: int | str, last: int, titles: Titles) -> Now:
        """What it knows of the person, and what it offers them."""
        known = self._answer("GET", f"/v1/users/{quote(str(user), safe='')}/history", params={"last": last})
        answer = self._answer("POST", "/v1/recommend", json={"user": user, "k": self._k})
        return Now(known["events"], tuple(map(titles.of, known["items"])), _offer(answer, titles))

    def _ask(self, question: Question, titles: Titles) -> Offer:
        asked = {
            "user": question.user,
            "k": self._k,
            "history": question.history[-_MOST_HISTORY:],
            "timestamp": question.time_s,
            "target": question.target,
        }
        return _offer(self._answer("POST", "/v1/recommend", json=asked), titles)

    def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answered = self._client.request(method, path, **request)
            if answered.headers.get("content-type") != _PROBLEM:
                answered.raise_for_status()
            answer: dict[str, Any] = answered.json()
            if answered.is_success:
                return answer
            why = f"{answered.status_code}, {answer['detail']}"
        except (self._failure, ValueError, KeyError, TypeError) as error:
            why = f"{str(error).partition(' for url')[0]}; expected a server of 'matinee serve'"
        raise ServiceError(f"{self.label}{_shown(path)}: {why}")


def _shown(path: str) -> str:
    return path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}..."


def _offer(answer: dict[str, Any], titles: Titles) -> Offer:
    return Offer(answer["model"], _ANSWERED, tuple(map(titles.of, answer["items"])), answer.get("rank"))
