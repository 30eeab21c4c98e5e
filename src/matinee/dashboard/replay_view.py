"""The replay section: the running one, or one that is picked; figures by arm, and charts that move with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from matinee.dashboard.chain import Origin
from matinee.dashboard.charts import Line, line_chart
from matinee.dashboard.elements import Chart, FigureButton, Text, box, link
from matinee.dashboard.figures import Measure, cut_off, measures
from matinee.dashboard.files import address_of
from matinee.dashboard.reading import number, text
from matinee.dashboard.words import moment, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matinee.dashboard.replays import Replay
    from matinee.dashboard.snapshot import Snapshot

__all__ = ["ReplayView"]

_NEWEST: Final = ""  # what is picked where nobody has picked anything
_STATES: Final = {"silent": "runs, as it says, and has not been heard of for a while"}


class ReplayView:
    """One replay at a time."""

    def __init__(self, data_dir: Path, opened: Callable[[Origin], Any]) -> None:
        self._data_dir, self._opened = data_dir, opened
        self._shape: tuple[object, ...] = ()
        self._buttons: dict[tuple[str, str], FigureButton] = {}
        self._models: dict[str, Text] = {}
        with box("section", "card", aria_labelledby="replay-title"):
            with box("div", "title"):
                Text("h2", "Replay", id="replay-title")
                self._pick = ui.select({_NEWEST: "the newest"}, value=_NEWEST, label="which replay")
                self._pick.props("dense outlined").classes("pick")
            self._about = Text("p", "", "about", role="status")
            self._report = box("p", "about")
            self._bar = ui.linear_progress(0, show_value=False, size="6px", color=None).props("instant-feedback")
            self._bar.props["aria-label"] = "progress of the replay"
            with box("div", "beside"):
                self._table = box("div", "scroll", tabindex="0", role="region", aria_label="figures by arm")
                with box("div", "charts"):
                    self._charts = {name: Chart(title, name) for name, title in _CHARTS.items()}
            self._network = Text("p", "", "soft network")

    def show(self, seen: Snapshot) -> None:
        """Show the picked replay as it is now."""
        self._offer(seen)
        replay = self._picked(seen)
        self._about.say(_about(replay))
        shape = (replay.id, *replay.arms, cut_off(replay.arms), replay.page) if replay else ("none",)
        if shape != self._shape:
            self._shape = shape
            self._build(replay)
        self._bar.value = (replay.share or 0.0) if replay else 0.0
        if replay is not None:
            self._fill(replay, seen)
        self._draw(replay)

    def redraw(self) -> None:
        """Draw the charts again, in the colours of now."""
        for chart in self._charts.values():
            chart.redraw()

    def _offer(self, seen: Snapshot) -> None:
        options = {_NEWEST: "the newest"} | {each.id: _label(each) for each in seen.replays}
        if options != self._pick.options:
            value = self._pick.value if self._pick.value in options else _NEWEST
            self._pick.set_options(options, value=value)

    def _picked(self, seen: Snapshot) -> Replay | None:
        if self._pick.value != _NEWEST:
            return next((each for each in seen.replays if each.id == self._pick.value), None)
        running = (each for each in seen.replays if each.state == "running")
        return next(running, seen.replays[0] if seen.replays else None)

    def _build(self, replay: Replay | None) -> None:
        """The table for these arms, without numbers yet."""
        self._report.clear()
        self._table.clear()
        self._buttons, self._models = {}, {}
        address = address_of(replay.page, self._data_dir) if replay is not None and replay.page else None
        with self._report:
            if address:
                link("Open the report", address)
            else:
                Text("span", "The report is made when the replay has ended." if replay else "", "soft")
        if replay is None:
            return
        with self._table, box("table"):
            Text("caption", "By arm; press a figure to see where it came from", "soft")
            with box("thead"), box("tr"):
                Text("th", "", scope="col")
                for at, arm in enumerate(replay.arms):
                    with box("th", scope="col"):
                        Text("span", "", f"dot series-{at % 8}")
                        Text("span", arm)
            with box("tbody"):
                with box("tr"):
                    Text("th", "model", scope="row")
                    for arm in replay.arms:
                        self._models[arm] = Text("td", "", "model")
                for measure in measures(cut_off(replay.arms)):
                    self._build_row(replay, measure)

    def _build_row(self, replay: Replay, measure: Measure) -> None:
        with box("tr"):
            Text("th", measure.label, scope="row")
            for arm in replay.arms:
                with box("td"):
                    self._buttons[arm, measure.name] = FigureButton(f"{arm}/{measure.name}", self._opened)

    def _fill(self, replay: Replay, seen: Snapshot) -> None:
        trained = [each for each in seen.trainings if each.version == replay.version and each.weights_sha256]
        for arm, figures in replay.arms.items():
            title = text(figures, "model")
            self._models[arm].say(title or "-")
            sha256 = replay.checkpoints.get(arm, "")
            weights = title.partition("@")[2]  # all that a server behind an address tells of its model
            behind = tuple(each.folder for each in trained if weights and each.weights_sha256.startswith(weights))
            for measure in measures(cut_off(replay.arms)):
                value = measure.of(figures)
                self._buttons[arm, measure.name].show(
                    shown(value, measure.unit),
                    Origin(
                        what=f"{measure.label} of {arm}, replay {replay.id}",
                        value="not known" if value is None else repr(value),
                        version=replay.version,
                        checkpoints=(sha256,) if sha256 else (),
                        models=behind if not sha256 else (),
                        replay=replay.folder,
                        file=replay.source,
                    ),
                )

    def _draw(self, replay: Replay | None) -> None:
        windows = replay.windows if replay else {}
        k = cut_off(replay.arms) if replay else 10
        drawn = {
            "ndcg": [_line(arm, at, windows, f"ndcg@{k}") for at, arm in enumerate(windows)],
            "latency": [
                _line(f"{arm} {name}", at, {f"{arm} {name}": windows[arm]}, f"{name}_ms", dashed=name == "p50")
                for at, arm in enumerate(windows)
                for name in ("p99", "p50")
            ],
            "per_s": [_line(arm, at, windows, "per_s") for at, arm in enumerate(windows)],
            "unanswered": [_line(arm, at, windows, "unanswered") for at, arm in enumerate(windows)],
            "hr": [_line(arm, at, windows, f"hr@{k}") for at, arm in enumerate(windows)],
            "bytes": [
                _line(f"{arm} {way}", at, {f"{arm} {way}": windows[arm]}, f"bytes_{way}", dashed=way == "out")
                for at, arm in enumerate(windows)
                for way in ("in", "out")
            ],
        }
        for name, lines in drawn.items():
            self._charts[name].show(line_chart(lines, x_name="seconds"), _in_words(_CHARTS[name], lines))
        network = replay.network if replay and replay.state == "running" else {}
        rates = [f"{name}: {shown(i, 'bytes')}/s in, {shown(o, 'bytes')}/s out" for name, (i, o) in network.items()]
        self._network.say(f"Network now: {'; '.join(rates)}." if rates else "")


_CHARTS: Final = {
    "ndcg": "NDCG, by window",
    "latency": "Answer, ms after it was due",
    "per_s": "Events a second",
    "hr": "HR, by window",
    "unanswered": "Unanswered, by window",
    "bytes": "Bytes, by window",
}


def _label(replay: Replay) -> str:
    return f"{moment(replay.began)} {replay.dataset} {replay.split}, {replay.state}"


def _about(replay: Replay | None) -> str:
    if replay is None:
        return "No replay yet; 'matinee replay' plays the held-out events through served models."
    state = _STATES.get(replay.state, replay.state)
    told = f"{replay.told:,} of {replay.events:,} events told"
    return f"{replay.dataset} {replay.split}: {state}, {told}, began {moment(replay.began)}."


def _line(name: str, colour: int, windows: dict[str, list[dict[str, Any]]], key: str, *, dashed: bool = False) -> Line:
    points = [(number(point, "at_s") or 0.0, number(point, key)) for point in windows[name]]
    return Line(name, colour, points, dashed)


def _in_words(title: str, lines: list[Line]) -> str:
    last = [f"{line.name} {line.points[-1][1]:.4g}" for line in lines if line.points and line.points[-1][1] is not None]
    return f"{title}: last {', '.join(last)}" if last else f"{title}: nothing yet"
