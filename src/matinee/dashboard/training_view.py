"""The training section: the models of one version, how their trainings went, and where MLflow tells more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matinee.dashboard.chain import Origin
from matinee.dashboard.charts import SERIES_COLOURS, Line, line_chart
from matinee.dashboard.elements import Chart, FigureButton, Text, box, link
from matinee.dashboard.trainings import CHECKPOINT
from matinee.dashboard.words import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.dashboard.snapshot import Snapshot
    from matinee.dashboard.trainings import Training
    from matinee.dashboard.versions import VersionFacts

__all__ = ["TrainingView"]

_METRIC: Final = "ndcg@10"
_TRAINERS: Final = {"train", "rehearse"}


class TrainingView:
    """All models that were trained on one version, or are being trained."""

    def __init__(self, opened: Callable[[Origin], Any]) -> None:
        self._opened = opened
        self._shape: tuple[object, ...] = ()
        self._states: dict[str, Text] = {}
        self._buttons: dict[tuple[str, str], FigureButton] = {}
        with box("section", "card", aria_labelledby="training-title"):
            Text("h2", "Training", id="training-title")
            self._about = Text("p")
            with box("div", "charts"):
                self._loss = Chart("Loss, by epoch", "loss")
                self._validation = Chart(f"{_METRIC.upper()} on validation, by epoch", "validation")
            self._table = box("div", "scroll", tabindex="0", role="region", aria_label="models")

    def show(self, seen: Snapshot, version: VersionFacts | None) -> None:
        """Show the models of this version as they are now."""
        models = [each for each in seen.trainings if version is not None and each.version == version.id]
        self._about.say("" if models else "No model yet; 'matinee train' trains one.")
        splits = sorted({split for each in models for split in each.evaluations})
        shape = (seen.mlflow_url, *splits, *((each.folder, each.run, each.champion) for each in models))
        if shape != self._shape:
            self._shape = shape
            self._build(models, splits, seen.mlflow_url)
        at_work = any(work.command in _TRAINERS for work in seen.works)
        for each in models:
            self._fill(each, splits, at_work=at_work and each is models[-1])
        in_epochs = [each for each in models if each.epochs]
        loss = [_line(each, at, "loss") for at, each in enumerate(in_epochs)]
        validation = [_line(each, at, f"eval/{_METRIC}") for at, each in enumerate(in_epochs)]
        epochs = ", ".join(f"{each.name}: {len(each.epochs)} epochs" for each in in_epochs) or "nothing yet"
        self._loss.show(line_chart(loss, x_name="epoch", from_zero=False, whole_x=True), f"Loss; {epochs}")
        self._validation.show(
            line_chart(validation, x_name="epoch", from_zero=False, whole_x=True), f"{_METRIC} on validation; {epochs}"
        )

    def redraw(self) -> None:
        """Draw the charts again, in the colours of now."""
        self._loss.redraw()
        self._validation.redraw()

    def _build(self, models: list[Training], splits: list[str], mlflow_url: str) -> None:
        self._table.clear()
        self._states, self._buttons = {}, {}
        if not models:
            return
        with self._table, box("table"):
            Text("caption", "NDCG@10 and HR@10; press a figure to see where it came from", "soft")
            with box("thead"), box("tr"):
                for column in ("model", "state", "validation", *(f"{split}, NDCG" for split in splits)):
                    Text("th", column, scope="col")
                for split in splits:
                    Text("th", f"{split}, HR", scope="col")
                Text("th", "MLflow", scope="col")
            with box("tbody"):
                for each in models:
                    self._build_row(each, splits, mlflow_url)

    def _build_row(self, model: Training, splits: list[str], mlflow_url: str) -> None:
        with box("tr"):
            with box("th", scope="row"):
                Text("span", model.name)
                if model.champion:
                    Text("span", "champion", "badge")
            self._states[model.name] = Text("td", "", "state")
            for column in ("validation", *splits, *(f"{split}/hr" for split in splits)):
                with box("td"):
                    self._buttons[model.name, column] = FigureButton(f"{model.name}/{column}", self._opened)
            with box("td"):
                if model.run is None:
                    Text("span", "-", "soft")
                elif mlflow_url:
                    experiment, run = model.run
                    link("run", f"{mlflow_url}/#/experiments/{experiment}/runs/{run}")
                else:
                    Text("span", "not running", "soft", title="'matinee up mlflow' starts it")

    def _fill(self, model: Training, splits: list[str], *, at_work: bool) -> None:
        state = "done" if model.finished else "running" if at_work else "stopped"
        counted = f", {len(model.epochs)} epochs" if model.epochs else ""
        self._states[model.name].say(f"{state}{counted}")
        self._figure(model, "validation", model.validation.get(_METRIC), _METRIC, CHECKPOINT)
        for split in splits:
            metrics, path = model.evaluations.get(split, ({}, model.folder / f"evaluation-{split}-time.json"))
            self._figure(model, split, metrics.get(_METRIC), _METRIC, path.name)
            self._figure(model, f"{split}/hr", metrics.get("hr@10"), "hr@10", path.name)

    def _figure(self, model: Training, column: str, value: float | None, metric: str, file: str) -> None:
        origin = Origin(
            what=f"{metric.upper()} of {model.name} on {column.partition('/')[0]}",
            value="not known" if value is None else repr(value),
            version=model.version,
            models=(model.folder,),
            file=model.folder / file,
        )
        self._buttons[model.name, column].show(shown(value, "ratio"), origin)


def _line(model: Training, at: int, metric: str) -> Line:
    points = [(each.number + 1, each.metrics[metric]) for each in model.epochs if metric in each.metrics]
    return Line(model.name, at % SERIES_COLOURS, points)
