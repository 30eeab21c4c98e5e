"""The report of a replay: all that its journals tell, in one document, and the single ranks that it rests on.

`report.json` has everything that `report.html` shows, by the same numbers; `ranks.parquet` has a row an event, so that
two replays of the same events can be compared without the version. docs/report.md says what each field is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matinee.errors import ReplayError
from matinee.metrics.ranking import metrics_at
from matinee.metrics.segments import plain, segments
from matinee.metrics.significance import compare
from matinee.model.atomic import atomic, write_atomically
from matinee.replay.folder import Record
from matinee.replay.journal import asked_records, check_records
from matinee.replay.run import MOST_LATE
from matinee.replay.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.replay.stream import Stream
    from matinee.schema.progress import Progress

__all__ = ["FILES", "PAGE", "RANKS", "REPORT", "Report", "event_metrics", "make_report", "read_report"]

REPORT: Final = "report.json"
PAGE: Final = "report.html"
RANKS: Final = "ranks.parquet"
FILES: Final = (REPORT, PAGE, RANKS)
FORMAT: Final = 1
_LIVE: Final = "live.json"


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay measured.

    Attributes:
        folder: of the replay, with FILES in it.
        facts: the content of `report.json`.
        sha256: of each of FILES.
    """

    folder: Path
    facts: dict[str, Any]
    sha256: dict[str, str]


def make_report(folder: Path, stream: Stream, *, time_unit: str = "s", progress: Progress | None = None) -> Report:
    """Read the journals of the replay in `folder` and write FILES beside them, each as a whole.

    Args:
        folder: of a replay, finished or not.
        stream: that was played.
        time_unit: 's', or 'row' where the log has no times.
        progress: told of it.

    Raises:
        ReplayError: there is no replay, or its journals are damaged.
        DiskFullError: no space left.
    """
    from matinee.replay.report_page import render_page  # noqa: PLC0415 - the page reads a report that is made
    from matinee.schema.progress import Silent  # noqa: PLC0415 - as above

    progress = progress or Silent()
    record = Record.read(folder)
    if record is None:
        raise ReplayError(f"{folder}: no replay is there; 'matinee replay' makes one")
    progress.start("report", None, "files")
    for arm in record.arms:
        check_records(folder, arm.name, record.plan.k, stream.asked_from, len(stream))
    facts = _facts(folder, record, stream, time_unit)
    with atomic(folder / RANKS) as beside:
        _write_ranks(beside, folder, record, stream)
    write_atomically(folder / PAGE, render_page(facts).encode())
    write_atomically(folder / REPORT, (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    progress.finish(f"{len(FILES)} files")
    return Report(folder, facts, _hashes(folder))


def read_report(folder: Path) -> Report:
    """The report of a replay that is over.

    Raises:
        ReplayError: there is none, or it cannot be read.
    """
    path = folder / REPORT
    try:
        facts = json.loads(path.read_bytes())
        if facts["format"] != FORMAT:
            raise ReplayError(f"{path}: format {facts['format']}, expected {FORMAT}; use the Matinee that wrote it")
        return Report(folder, facts, _hashes(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise ReplayError(
            f"{folder}: no report of a replay is there; run the replay to its end, or name its folder or id"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReplayError(f"{path}: not a report ({error}); run the same replay again, it is made anew") from None


def event_metrics(ranks: NDArray[np.int32], k: int) -> dict[str, NDArray[np.float64]]:
    """Each metric's value for each answered question, by name; a target that the server does not know is a miss."""
    return metrics_at(np.where(ranks < 1, k + 1, ranks).astype(np.int32), k)


def _facts(folder: Path, record: Record, stream: Stream, time_unit: str) -> dict[str, Any]:
    plan = record.plan
    names = [arm.name for arm in record.arms]
    tally = Tally.from_journals(folder, stream, plan, names)
    figures, buckets, histograms = tally.figures(), tally.buckets(), tally.histograms()
    answers = {name: _answers(folder, name, plan.k, len(stream)) for name in names}
    arms = {
        arm.name: figures[arm.name]
        | {
            "served": arm.as_json(),
            "segments": _segments(answers[arm.name], stream, plan.k),
            "over_event_time": buckets[arm.name],
            "histograms": histograms[arm.name],
        }
        for arm in record.arms
    }
    facts = {
        **_played(record, stream, time_unit),
        "client": _client(record, figures),
        "network": _network(folder),
        "arms": arms,
        "windows": tally.windows(),
        "differences": _differences(answers, stream, plan.k),
    }
    facts["warnings"] = _warnings(facts)
    return dict(plain(facts))


def _played(record: Record, stream: Stream, time_unit: str) -> dict[str, Any]:
    """What was played, when, and on which machine."""
    plan = record.plan
    asked_s = stream.times_s[stream.asked_from :]
    return {
        "format": FORMAT,
        "id": record.id,
        "state": record.sessions[-1].why or "killed",
        "dataset": plan.dataset,
        "version": plan.version,
        "version_sha256": plan.version_sha256,
        "split": plan.split,
        "plan": plan.as_json(),
        "time_unit": time_unit,
        "events": stream.asked,
        "told_before": stream.asked_from,
        "users": int(np.unique(stream.users[stream.asked_from :]).size),
        "first_s": int(asked_s[0]),
        "last_s": int(asked_s[-1]),
        "began": record.sessions[0].began,
        "ended": record.sessions[-1].ended,
        "sessions": [asdict(session) for session in record.sessions],
        "machine": record.machine,
        "reported_by": {"matinee": installed_version("matinee"), "numpy": np.__version__},
    }


def _answers(folder: Path, arm: str, k: int, size: int) -> NDArray[np.int32]:
    """(size,) the rank of each event's target; 0 without an answer, below 0 where the server does not know it."""
    records = asked_records(folder, arm, k)
    ranks = np.zeros(size, np.int32)
    events, first = np.unique(records["event"], return_index=True)
    ranks[events] = np.where(records["outcome"][first] == 0, records["rank"][first], 0)
    return ranks


def _segments(ranks: NDArray[np.int32], stream: Stream, k: int) -> dict[str, Any]:
    answered = np.flatnonzero(ranks)
    found = segments(
        event_metrics(ranks[answered], k),
        stream.users[answered],
        stream.warm_users[answered],
        stream.warm_items[answered],
    )
    return {name: asdict(segment) for name, segment in found.items()}


def _differences(answers: dict[str, NDArray[np.int32]], stream: Stream, k: int) -> dict[str, Any]:
    """Each arm but the first against the first, on the events that both have answered."""
    first, *others = answers
    found = {}
    for name in others:
        both = np.flatnonzero((answers[name] != 0) & (answers[first] != 0))
        ours, theirs = event_metrics(answers[name][both], k), event_metrics(answers[first][both], k)
        users = stream.users[both]
        found[name] = {
            metric: {"against": first, **asdict(compare(ours[metric], theirs[metric], users))}
            for metric in ours
            if both.size
        }
    return found


def _client(record: Record, arms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the client has cost in all sessions that could say so, and whether it could keep up in all."""
    known = [session.client for session in record.sessions if session.client]
    told = sum(one["told"] for one in known)
    cpu_s = sum(one["cpu_s"] for one in known)
    complaints = [one["complaint"] for one in known if one["complaint"]]
    late, asked = (sum(arm[name] for arm in arms.values()) for name in ("late", "asked"))
    if record.plan.arrivals.is_open_loop and not complaints and late > MOST_LATE * asked:
        complaints.append(
            f"the client could not keep up: {late / asked:.1%} of the questions were noticed too late, most of them in "
            "sessions that were killed; what is measured is not the server's latency alone"
        )
    return {
        "wall_s": round(sum(one["wall_s"] for one in known), 3),
        "cpu_s": round(cpu_s, 3),
        "cpu_us_per_event": round(1e6 * cpu_s / told, 1) if told else None,
        "kept_up": not complaints if record.plan.arrivals.is_open_loop else None,
        "complaints": complaints,
    }


def _network(folder: Path) -> dict[str, Any]:
    """Traffic of each interface of this machine during the last session; nothing where nobody looked."""
    try:
        return dict(json.loads((folder / _LIVE).read_bytes())["network"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _warnings(facts: dict[str, Any]) -> list[str]:
    """What a reader should know before the numbers."""
    found: list[str] = []
    if facts["state"] != "finished":
        found.append(f"The replay is not finished ({facts['state']}): these are the numbers of what was played.")
    stops = len(facts["sessions"]) - 1
    if stops:
        often = "once" if stops == 1 else f"{stops} times"
        found.append(f"It was stopped {often} and taken up again; the time in between is no part of any number.")
    for name, arm in facts["arms"].items():
        unanswered = ", ".join(f"{number:,} {outcome}" for outcome, number in arm["unanswered"].items())
        if unanswered:
            found.append(
                f"{name}: not every question was answered ({unanswered}, of {arm['asked']:,}); quality and latency are "
                "those of the answered ones."
            )
        if arm["told_again"]:
            found.append(
                f"{name}: {arm['told_again']:,} events were told again, since their first acknowledgement was lost; "
                "the server counted each once."
            )
        if arm["retries"]:
            found.append(
                f"{name}: events were not acknowledged at once and had to be sent {arm['retries']:,} more times; all "
                f"{arm['told']:,} that are counted were acknowledged in the end."
            )
        if len(arm["models"]) > 1:
            titles = ", then ".join(f"{one['title']} ({one['answered']:,} answers)" for one in arm["models"])
            found.append(f"{name}: more than one model has answered: {titles}.")
    return [*found, *facts["client"]["complaints"]]


def _write_ranks(path: Path, folder: Path, record: Record, stream: Stream) -> None:
    """A row an event that was to be asked about; `rank <arm>` is 0 without an answer, -1 for an unknown target."""
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    asked = slice(stream.asked_from, None)
    columns = {
        "event": np.arange(stream.asked_from, len(stream), dtype=np.int32),
        "user": stream.users[asked],
        "item": stream.items[asked],
        "timestamp": stream.times_s[asked],
        "warm_user": stream.warm_users[asked],
        "warm_item": stream.warm_items[asked],
    }
    for arm in record.arms:
        columns[f"rank {arm.name}"] = _answers(folder, arm.name, record.plan.k, len(stream))[asked]
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES if (folder / name).is_file()
    }
