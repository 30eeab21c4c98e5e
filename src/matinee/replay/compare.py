"""Two replays or more side by side: quality where the same events were asked about, behaviour, and what differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.errors import ReplayError, UsageError
from matinee.metrics.segments import means, plain
from matinee.metrics.significance import compare
from matinee.replay.find import find_replay
from matinee.replay.report import RANKS, REPORT, event_metrics, read_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matinee.replay.report import Report

__all__ = ["Compared", "compare_replays"]

_FORMAT: Final = 1
_MOST: Final = len(ascii_uppercase)
_KEY: Final = ("timestamp", "user", "item")
# Of an arm's record, what stands side by side.
_KEPT: Final = (
    "model",
    "asked",
    "answered",
    "unanswered",
    "told",
    "latency_ms",
    "per_s",
    "late",
    "bytes_in",
    "bytes_out",
)
# Of the plan, what makes the same question another one; histories are the same whatever else differs.
_QUESTION: Final = {"exclude_seen": "what was seen is left out of one ranking and not of the other"}
# What a model that counts everybody's events sees otherwise.
_PRIOR: Final = {"order": "order", "users": "people", "since_s": "first event", "seed": "seed"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Replays side by side.

    Attributes:
        facts: what was found, as plain values.
        reports: of the replays, by letter.
        page: where the page was written; None where none was asked for.
    """

    facts: dict[str, Any]
    reports: dict[str, Report] = field(repr=False)
    page: Path | None


def compare_replays(
    replay: str | Path, *replays: str | Path, out: str | Path | None = None, data_dir: str | Path = "matinee-data"
) -> Compared:
    """Compare replays of the same split of the same version; each arm with the first arm of the first replay.

    Args:
        replay: its folder, or its id below `data_dir`, or the id's beginning.
        replays: one more, or several.
        out: write a page to this file.
        data_dir: whose replays are meant.

    Raises:
        UsageError: fewer than two are named, one is named twice, or they are of other versions or splits, so that no
            event of theirs is the same.
        ReplayError: one is not there, or has no report.
        DiskFullError: no space for the page.
    """
    folders = [find_replay(one, Path(data_dir)) for one in (replay, *replays)]
    _check_number(folders)
    reports = dict(zip(ascii_uppercase, (read_report(folder) for folder in folders), strict=False))
    try:
        _check_same_split(reports)
        facts = _facts(reports)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ReplayError(
            f"{', '.join(str(report.folder / REPORT) for report in reports.values())}: one of them lacks {error}; "
            f"delete it and run the same replay again, it is made anew"
        ) from None
    page = None
    if out is not None:
        from matinee.model.atomic import make_folder, write_atomically  # noqa: PLC0415 - only where one is wanted
        from matinee.replay.compare_page import render_comparison  # noqa: PLC0415 - as above

        page = Path(out)
        make_folder(page.absolute().parent)
        write_atomically(
            page, render_comparison(facts, {name: report.facts for name, report in reports.items()}).encode()
        )
    return Compared(facts, reports, page)


def _check_number(folders: Sequence[Path]) -> None:
    places = [folder.resolve() for folder in folders]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"{place}: named {places.count(place)} times; a replay cannot be compared with itself")
    if not 2 <= len(folders) <= _MOST:
        raise UsageError(f"{len(folders)} replays are named, expected 2 to {_MOST}")


def _check_same_split(reports: dict[str, Report]) -> None:
    first = reports["A"].facts
    for letter, report in reports.items():
        for name in ("dataset", "version", "version_sha256", "split"):
            if report.facts[name] != first[name]:
                what = name.replace("_sha256", "'s manifest")
                raise UsageError(
                    f"{report.folder}: {what} is {report.facts[name]}, expected {first[name]} as in "
                    f"{reports['A'].folder}; only replays of the same split of the same version have events in common "
                    f"({letter} has none with A)"
                )


def _facts(reports: dict[str, Report]) -> dict[str, Any]:
    first = reports["A"].facts
    k = first["plan"]["k"]
    ranks = {letter: _Ranks.read(report) for letter, report in reports.items()}
    labels = _labels(reports)
    metrics = {label: event_metrics(ranks[letter].answered(arm), k) for label, (letter, arm) in labels.items()}
    return dict(
        plain(
            {
                "format": _FORMAT,
                "dataset": first["dataset"],
                "version": first["version"],
                "split": first["split"],
                "k": k,
                "replays": {letter: _replay(report) for letter, report in reports.items()},
                "arms": {
                    label: {
                        "replay": letter,
                        "arm": arm,
                        **{name: reports[letter].facts["arms"][arm][name] for name in _KEPT},
                        "metrics": _means(metrics[label]),
                        "kept_up": reports[letter].facts["client"]["kept_up"],
                    }
                    for label, (letter, arm) in labels.items()
                },
                "differences": _differences(labels, ranks, reports, k),
                "differs": _differs(reports),
                "careful": _careful(reports),
            }
        )
    )


def _labels(reports: dict[str, Report]) -> dict[str, tuple[str, str]]:
    """What each arm is called -> the letter of its replay, and its name there."""
    return {f"{letter} {arm}": (letter, arm) for letter, report in reports.items() for arm in report.facts["arms"]}


def _replay(report: Report) -> dict[str, Any]:
    facts = report.facts
    kept = ("id", "state", "began", "ended", "events", "users")
    return {"folder": str(report.folder), "report_sha256": report.sha256["report.json"]} | {
        name: facts[name] for name in kept
    }


@dataclass(frozen=True)
class _Ranks:
    """The single ranks of one replay.

    Attributes:
        keys: (n,) by which an event is the same in two replays.
        users: (n,) dense ids.
        ranks: by arm, (n,); 0 without an answer.
    """

    keys: NDArray[Any]
    users: NDArray[np.int32]
    ranks: dict[str, NDArray[np.int32]]

    @classmethod
    def read(cls, report: Report) -> _Ranks:
        import pyarrow as pa  # noqa: PLC0415 - a quarter of a second
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        path = report.folder / RANKS
        arms = list(report.facts["arms"])
        try:
            table = pq.read_table(path, columns=[*_KEY, *(f"rank {arm}" for arm in arms)])
            columns = {name: table.column(name).to_numpy() for name in table.column_names}
            return cls(_keys(columns), columns["user"], {arm: columns[f"rank {arm}"].astype(np.int32) for arm in arms})
        except (OSError, KeyError, pa.ArrowException) as error:
            words = " ".join(str(error).split())
            raise ReplayError(
                f"{path}: not the ranks of this replay ({words}); run the same replay again, its report is made anew"
            ) from None

    def answered(self, arm: str) -> NDArray[np.int32]:
        """Ranks of the questions that had an answer."""
        ranks = self.ranks[arm]
        answered: NDArray[np.int32] = ranks[ranks != 0]
        return answered


def _keys(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """An event is known by time, user, item, and how many of the same came before it; (n,) structured."""
    kind = [(name, np.int64) for name in (*_KEY, "repeat")]
    keys = np.zeros(columns["user"].size, kind)
    for name in _KEY:
        keys[name] = columns[name]
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    keys["repeat"][order] = np.arange(keys.size) - starts
    return keys


def _differences(
    labels: dict[str, tuple[str, str]], ranks: dict[str, _Ranks], reports: dict[str, Report], k: int
) -> dict[str, Any]:
    """Each arm but the first against it, on the events that both have answered; why not, where it cannot be."""
    against, *others = labels
    first_letter, first_arm = labels[against]
    first = ranks[first_letter]
    found: dict[str, Any] = {}
    for label in others:
        letter, arm = labels[label]
        other = ranks[letter]
        _, ours, theirs = np.intersect1d(other.keys, first.keys, return_indices=True)
        mine, its = other.ranks[arm][ours], first.ranks[first_arm][theirs]
        both = (mine != 0) & (its != 0)
        why = _why_not(reports[letter].facts["plan"], reports[first_letter].facts["plan"], int(both.sum()))
        if why:
            found[label] = {"against": against, "cannot": why}
            continue
        values, its_values = event_metrics(mine[both], k), event_metrics(its[both], k)
        users = other.users[ours][both]
        tests = {metric: asdict(compare(values[metric], its_values[metric], users)) for metric in values}
        found[label] = {"against": against, "events": int(both.sum()), "metrics": tests}
    return found


def _why_not(plan: dict[str, Any], first: dict[str, Any], common: int) -> str:
    """Why the quality of two arms cannot be compared; empty where it can."""
    for name, words in _QUESTION.items():
        if plan[name] != first[name]:
            return words
    return "" if common else "no event was answered in both"


def _differs(reports: dict[str, Report]) -> dict[str, dict[str, Any]]:
    """What is not the same in all replays: of the plan, the arms and the machine."""
    told = {letter: _told(report.facts) for letter, report in reports.items()}
    names = dict.fromkeys(name for each in told.values() for name in each)
    found = {name: {letter: each.get(name) for letter, each in told.items()} for name in names}
    return {name: values for name, values in found.items() if any(value != values["A"] for value in values.values())}


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    plan: dict[str, Any] = facts["plan"]
    found = {name: value for name, value in plan.items() if name != "arrivals"} | plan["arrivals"]
    for name, arm in facts["arms"].items():
        served = arm["served"]
        found[f"model of {name}"] = arm["model"] or served["model"]
        found[f"checkpoint of {name}"] = served["checkpoint_sha256"][:12]
    return {**found, **{f"machine: {name}": value for name, value in facts["machine"].items()}}


def _careful(reports: dict[str, Report]) -> list[str]:
    """What a reader should know before the numbers."""
    first = reports["A"].facts
    found = []
    for letter, report in reports.items():
        facts = report.facts
        if facts["state"] != "finished":
            found.append(f"{letter} is not finished ({facts['state']}).")
        found += [f"{letter}: {complaint}." for complaint in facts["client"]["complaints"]]
        if letter == "A":
            continue
        if facts["plan"]["arrivals"] != first["plan"]["arrivals"]:
            found.append(f"{letter} had other arrivals than A: their latencies and rates are not of the same traffic.")
        other = [words for name, words in _PRIOR.items() if facts["plan"][name] != first["plan"][name]]
        if other:
            found.append(
                f"{letter} differs from A in {', '.join(other)}: a model whose prior counts everybody's events has "
                "counted others."
            )
        if facts["machine"] != first["machine"]:
            found.append(f"{letter} was not measured on the same machine with the same libraries as A.")
        if facts["plan"]["k"] != first["plan"]["k"]:
            found.append(f"{letter} asked for lists of {facts['plan']['k']}; its metrics here are at A's k.")
    return found


def _means(values: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return means(values, np.ones(next(iter(values.values())).size, np.bool_))
