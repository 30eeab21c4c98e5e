"""The replays of a data folder: what a running one tells about once a second, and the reports of finished ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from matinee.dashboard.reading import number, text

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.dashboard.reading import Reading

__all__ = ["LIVE", "REPORT", "REPORT_PAGE", "Replay", "read_replays"]

LIVE: Final = "live.json"
REPORT: Final = "report.json"
REPORT_PAGE: Final = "report.html"
_REPLAYS: Final = "replays"
_SILENT_S: Final = 15.0  # a running replay tells of itself about once a second
_MOST_POINTS: Final = 240


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay.

    Attributes:
        id: the name of its folder.
        folder: where it is.
        dataset, version, split: whose events are played.
        state: 'running', 'finished', 'interrupted', 'failed', or 'silent': it says that it runs, and has not been
            heard of for some time.
        began, updated: ISO 8601.
        told, events: how many events the arm that is behind was told, and how many there are.
        arms: figures by arm, from the report where there is one.
        windows: by arm, over time.
        source: the file that the figures are read from.
        page: the report for people, where there is one.
        checkpoints: arm -> SHA-256 of the model's checkpoint.json, where it is known.
        network: interface -> bytes in and out a second.
    """

    id: str
    folder: Path
    dataset: str
    version: str
    split: str
    state: str
    began: str
    updated: str
    told: int
    events: int
    arms: dict[str, dict[str, Any]]
    windows: dict[str, list[dict[str, Any]]]
    source: Path
    page: Path | None
    checkpoints: dict[str, str]
    network: dict[str, tuple[float, float]]

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1; None where it is not known how much there is."""
        return min(1.0, self.told / self.events) if self.events else None


def read_replays(data_dir: Path, reading: Reading) -> tuple[Replay, ...]:
    """All that have something to tell, the newest first."""
    root = data_dir / _REPLAYS
    folders = {path.parent for name in (LIVE, REPORT) for path in root.glob(f"*/*/{name}")}
    found = (_replay(folder, reading) for folder in folders)
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.id, reverse=True))


def _replay(folder: Path, reading: Reading) -> Replay | None:
    live, report = reading.json(folder / LIVE), reading.json(folder / REPORT)
    told = report if report is not None and _arms(report) else live
    if told is None:
        return None
    first = live or told
    arms = _arms(told)
    plan = first.get("plan") if isinstance(first.get("plan"), dict) else told.get("plan")
    page = folder / REPORT_PAGE
    return Replay(
        id=folder.name,
        folder=folder,
        dataset=text(plan, "dataset") or folder.parent.name,
        version=text(plan, "version"),
        split=text(plan, "split"),
        state=_state(first, finished=told is report),
        began=text(first, "began"),
        updated=text(first, "updated"),
        told=min((int(number(each, "told") or 0) for each in arms.values()), default=0),
        events=int(number(first, "events") or number(told, "events") or 0),
        arms=arms,
        windows=_windows(first),
        source=folder / (REPORT if told is report else LIVE),
        page=page if page.is_file() else None,
        checkpoints=_checkpoints(reading.json(folder / "replay.json")),
        network=_network(first),
    )


def _arms(plain: dict[str, Any]) -> dict[str, dict[str, Any]]:
    arms = plain.get("arms")
    return {name: each for name, each in arms.items() if isinstance(each, dict)} if isinstance(arms, dict) else {}


def _windows(plain: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    windows = plain.get("windows")
    if not isinstance(windows, dict):
        return {}
    return {
        arm: [point for point in points if isinstance(point, dict)][-_MOST_POINTS:]
        for arm, points in windows.items()
        if isinstance(points, list)
    }


def _state(plain: dict[str, Any], *, finished: bool) -> str:
    state = text(plain, "state") or ("finished" if finished else "running")
    if state != "running":
        return state
    try:
        updated = datetime.fromisoformat(text(plain, "updated"))
    except ValueError:
        return state
    silent_s = (datetime.now(UTC) - (updated if updated.tzinfo else updated.replace(tzinfo=UTC))).total_seconds()
    return "silent" if silent_s > _SILENT_S else state


def _checkpoints(plain: dict[str, Any] | None) -> dict[str, str]:
    arms = plain.get("arms") if plain else None
    if not isinstance(arms, list):
        return {}
    return {text(arm, "name"): text(arm, "checkpoint_sha256") for arm in arms if text(arm, "checkpoint_sha256")}


def _network(plain: dict[str, Any]) -> dict[str, tuple[float, float]]:
    network = plain.get("network")
    if not isinstance(network, dict):
        return {}
    return {name: (number(each, "in_per_s") or 0.0, number(each, "out_per_s") or 0.0) for name, each in network.items()}
