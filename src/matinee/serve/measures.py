"""What the server counts and times, for Prometheus; all workers add to the same numbers, through files in one folder.

Import it only where PROMETHEUS_MULTIPROC_DIR is set: the client looks for it once, when it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONTENT_TYPE_LATEST", "Measures"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Measures:
    """The numbers of one worker."""

    def __init__(self) -> None:
        registry = CollectorRegistry()  # of this process alone; what is shown is read from the files of all
        self._routes: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # looking a label up costs a lock
        self._requests = Counter("matinee_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "matinee_request_seconds", "From the head of a request to its answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._batch = Histogram(
            "matinee_batch_questions", "Questions answered together.", buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "matinee_batch_seconds", "A batch in the engine.", buckets=_SECONDS, registry=registry
        )
        self._told = Counter("matinee_told_events", "Events written down.", ["kind"], registry=registry)
        self._commit = Histogram("matinee_commit_events", "Events in one commit.", buckets=_SIZES, registry=registry)
        self._commit_seconds = Histogram(
            "matinee_commit_seconds", "A commit in Postgres.", buckets=_SECONDS, registry=registry
        )

    def requested(self, route: str, status: int, duration_s: float) -> None:
        """A request was answered."""
        if (route, status) not in self._routes:
            self._routes[route, status] = self._requests.labels(route, str(status)), self._seconds.labels(route)
        requests, seconds = self._routes[route, status]
        requests.inc()
        seconds.observe(duration_s)

    def answered(self, questions: int, duration_s: float) -> None:
        """A batch was answered."""
        self._batch.observe(questions)
        self._batch_seconds.observe(duration_s)

    def committed(self, new: Sequence[bool], duration_s: float) -> None:
        """A commit is done; for each of its events whether it was new."""
        fresh = sum(new)
        self._told.labels("new").inc(fresh)
        self._told.labels("known").inc(len(new) - fresh)
        self._commit.observe(len(new))
        self._commit_seconds.observe(duration_s)

    @staticmethod
    def text() -> bytes:
        """All workers' numbers in Prometheus' own words."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
        return generate_latest(registry)
