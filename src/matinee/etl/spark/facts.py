"""The certificate's numbers, counted by all workers: by range where order matters, by id where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sql

from matinee.etl.facts import log_spaced
from matinee.etl.spark.order import tied_events
from matinee.schema.certificate import SplitFacts, Timeline

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from matinee.etl.spark.split import Divided, Ordered

__all__ = ["SparkFacts", "count_facts"]


@dataclass(frozen=True, slots=True)
class _Counts:
    """Ids by how they were counted: (groups, 8) of events in all, in each split, and how many ids are so.

    Attributes:
        total: (groups,) events in all of each id of a group.
        seen: (groups, 3) whether these ids have events in the split.
        ids: (groups,) how many there are.
        events: (groups, 3) their events in the split.
    """

    total: np.ndarray[Any, np.dtype[np.int64]]
    seen: np.ndarray[Any, np.dtype[np.bool_]]
    ids: np.ndarray[Any, np.dtype[np.int64]]
    events: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class SparkFacts:
    """The facts of all events (docs/format.md, section 9), as `etl.facts.Facts` gives them on one machine."""

    tied_events: int
    _by_user: _Counts
    _by_item: _Counts
    _divided: Divided
    _before_train: tuple[int, int, int]
    _by_time: bool

    @property
    def users(self) -> int:
        """Distinct users."""
        return int(self._by_user.ids.sum())

    @property
    def items(self) -> int:
        """Distinct items."""
        return int(self._by_item.ids.sum())

    def split_facts(self) -> tuple[SplitFacts, SplitFacts, SplitFacts]:
        """The facts of train, eval and test."""
        return self._facts_of(0), self._facts_of(1), self._facts_of(2)

    def timeline(self) -> Timeline:
        """Events over time."""
        rows = [sum(part["bins"][row] for part in self._divided.parts) for row in range(3)]
        events, by_cold_users, on_cold_items = (tuple(row.tolist()) for row in rows)
        if not self._by_time:
            by_cold_users = on_cold_items = ()
        return Timeline(self._divided.edges, events, by_cold_users, on_cold_items)

    def popularity(self) -> tuple[tuple[int, int], ...]:
        """(rank, events) of items, rank 1 the most popular."""
        order = np.argsort(-self._by_item.total, kind="stable")
        last_ranks = np.cumsum(self._by_item.ids[order])
        ranks = log_spaced(self.items)
        events = self._by_item.total[order][np.searchsorted(last_ranks, ranks)]
        return tuple(zip(ranks, events.tolist(), strict=True))

    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(smallest length of a bin, users whose number of events falls into it)."""
        starts = log_spaced(int(self._by_user.total.max(initial=0)))
        at = np.searchsorted(starts, self._by_user.total, side="right") - 1
        users = np.zeros(len(starts), np.int64)
        np.add.at(users, at, self._by_user.ids)
        return tuple((start, count) for start, count in zip(starts, users.tolist(), strict=True) if count)

    def _facts_of(self, split: int) -> SplitFacts:
        parts = self._divided.parts
        users, cold_users, by_cold_users = _cold(self._by_user, split)
        items, cold_items, on_cold_items = _cold(self._by_item, split)
        return SplitFacts(
            rows=sum(part["rows"][split] for part in parts),
            users=users,
            items=items,
            first=next((part["first"][split] for part in parts if part["rows"][split]), None),
            last=next((part["last"][split] for part in reversed(parts) if part["rows"][split]), None),
            cold_users=cold_users,
            cold_items=cold_items,
            by_cold_users=by_cold_users,
            on_cold_items=on_cold_items,
            cold_both=sum(part["cold_both"][split] for part in parts) if self._by_time else None,
            before_train=self._before_train[split],
        )


def count_facts(events: DataFrame, ordered: Ordered, divided: Divided, *, by_time: bool) -> SparkFacts:
    """Count what the ranges could not; `events` have `user`, `item`, `time` and `split`."""
    before_train = (0, 0, 0)
    if not by_time:
        last = max((part["last"][0] for part in divided.parts if part["rows"][0]), default=None)
        if last is not None:
            found = dict.fromkeys(range(3), 0)
            rows = events.where((sql.col("split") > 0) & (sql.col("time") < last)).groupBy("split").count().collect()
            found.update((row["split"], row["count"]) for row in rows)
            before_train = (0, found[1], found[2])
    return SparkFacts(
        tied_events(ordered.parts), _counts(events, "user"), _counts(events, "item"), divided, before_train, by_time
    )


def _counts(events: DataFrame, column: str) -> _Counts:
    """Ids by their numbers of events: few groups, since few numbers differ, however many ids there are."""
    splits = [f"in{split}" for split in range(3)]
    numbers = [sql.count_if(sql.col("split") == split).alias(name) for split, name in enumerate(splits)]
    by_id = events.groupBy(column).agg(*numbers)
    total = sum((sql.col(name) for name in splits[1:]), sql.col(splits[0]))
    seen = [(sql.col(name) > 0).alias(f"seen_{name}") for name in splits]
    grouped = by_id.groupBy(total.alias("total"), *seen).agg(
        sql.count("*").alias("ids"), *[sql.sum(name).alias(name) for name in splits]
    )
    rows = grouped.collect()
    return _Counts(
        np.array([row["total"] for row in rows], np.int64),
        np.array([[row[f"seen_{name}"] for name in splits] for row in rows], np.bool_),
        np.array([row["ids"] for row in rows], np.int64),
        np.array([[row[name] for name in splits] for row in rows], np.int64),
    )


def _cold(counts: _Counts, split: int) -> tuple[int, int, int]:
    """Distinct ids in a split, those of them that train has not seen, and the events of these."""
    seen, cold = counts.seen[:, split], ~counts.seen[:, 0]
    return (
        int(counts.ids[seen].sum()),
        int(counts.ids[seen & cold].sum()),
        int(counts.events[cold, split].sum()),
    )
