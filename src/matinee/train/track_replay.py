"""What MLflow is told of a replay: a run with the plan, what was measured, and the report's files; once, as a whole.

The run stands in the experiment of the data set, below the run of the model that answered where there is one model and
MLflow knows it. What changed over time is there step by step, so that MLflow draws it too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from matinee.train.mlflow_client import Metric, Param, RunTag, connected, dataset_input, experiment_for, page
from matinee.train.track_training import metric_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matinee.train.mlflow_client import MlflowClient, Run
    from matinee.version import Version

__all__ = ["log_report"]

_ID_TAG: Final = "matinee.replay"
_CHECKPOINT_TAG: Final = "matinee.checkpoint_sha256"  # of a training's run, too
_METRICS_A_REQUEST: Final = 1000  # as many as MLflow takes
_CHARACTERS: Final = 500  # of a parameter's value
_OVER_WALL_TIME: Final = ("per_s", "p50_ms", "p99_ms", "unanswered")


def log_report(
    facts: Mapping[str, Any], folder: Path, files: Mapping[str, str], version: Version, tracking_uri: str
) -> str:
    """Log a report as a run, unless it is there already; the address of its page.

    Args:
        facts: the content of report.json.
        folder: with the report's files.
        files: their names, and the SHA-256 of each; the first is the one that stands for them all.
        version: that was replayed.
        tracking_uri: the tracking server.

    Raises:
        TrackingError: MLflow does not answer, or refuses; call again, with the same words.
    """
    with connected(tracking_uri) as client:
        experiment = experiment_for(client, version.name)
        found = client.search_runs([experiment], f"tags.`{_ID_TAG}` = '{facts['id']}'", max_results=1)
        run = found[0] if found else _begin(client, experiment, facts)
        if run.info.status != "FINISHED":
            _log(client, run.info.run_id, facts, folder, files, version)
        return page(tracking_uri, experiment, run.info.run_id)


def _begin(client: MlflowClient, experiment: str, facts: Mapping[str, Any]) -> Run:
    """A new run, below that of the model."""
    tags = {_ID_TAG: facts["id"]}
    models = {
        name: run for name, arm in facts["arms"].items() if (run := _run_of_model(client, experiment, arm["served"]))
    }
    tags |= {f"matinee.model_run.{name}": run for name, run in models.items()}
    if len(facts["arms"]) == 1 and models:
        tags["mlflow.parentRunId"] = next(iter(models.values()))
    name = f"replay of {', '.join(facts['arms'])} on {facts['split']}"
    return client.create_run(experiment, run_name=name, tags=tags)


def _run_of_model(client: MlflowClient, experiment: str, served: Mapping[str, str]) -> str:
    """The run of a model's training; empty where its checkpoint is not known, or MLflow does not know of it."""
    if not served["checkpoint_sha256"]:
        return ""
    wanted = f"tags.`{_CHECKPOINT_TAG}` = '{served['checkpoint_sha256']}'"
    for run in client.search_runs([experiment], wanted, max_results=10):
        if _ID_TAG not in run.data.tags:
            return str(run.info.run_id)
    return ""


def _log(
    client: MlflowClient,
    run: str,
    facts: Mapping[str, Any],
    folder: Path,
    files: Mapping[str, str],
    version: Version,
) -> None:
    """Everything; each part may be there already from an attempt that broke off."""
    given = dataset_input(version.manifest, version.certificate, version.sha256, str(version.folder), "replay")
    client.log_inputs(run, [given])
    metrics = [*_totals(facts), *_over_time(facts)]
    for first in range(0, len(metrics), _METRICS_A_REQUEST):
        client.log_batch(run, metrics=metrics[first : first + _METRICS_A_REQUEST])
    client.log_batch(
        run,
        params=[Param(name, value[:_CHARACTERS]) for name, value in _params(facts)],
        tags=[RunTag(name, value) for name, value in _tags(facts, files).items()],
    )
    for name in files:
        client.log_artifact(run, str(folder / name))
    client.set_terminated(run)  # last: a run that is finished has all of it


def _params(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The plan and the arms."""
    plan = facts["plan"]
    for name, value in {**plan, **plan["arrivals"]}.items():
        if name != "arrivals" and value is not None:
            yield name, str(value)
    for name, arm in facts["arms"].items():
        yield f"arm.{name}", arm["model"] or arm["served"]["model"]


def _tags(facts: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    tags = {
        "matinee.version": facts["version"],
        "matinee.manifest_sha256": facts["version_sha256"],
        "matinee.report_sha256": next(iter(files.values())),
        "matinee.state": facts["state"],
    }
    for name, arm in facts["arms"].items():
        if arm["served"]["checkpoint_sha256"]:
            tags[f"{_CHECKPOINT_TAG}.{name}"] = arm["served"]["checkpoint_sha256"]
    return tags


def _totals(facts: Mapping[str, Any]) -> Iterator[Metric]:
    at_ms = _ms(facts["ended"] or facts["began"])
    for name, arm in facts["arms"].items():
        found: dict[str, float | None] = {**arm["metrics"]}
        for part in ("warm_users", "cold_users", "warm_items", "cold_items"):
            found |= {f"{part}/{metric}": value for metric, value in arm[part]["metrics"].items()}
        for kind in ("ask", "after_sending", "tell"):
            found |= {f"{kind}_ms/{which}": value for which, value in arm["latency_ms"][kind].items()}
        found |= {key: arm[key] for key in ("asked", "answered", "told", "per_s", "late", "bytes_in", "bytes_out")}
        for key, value in found.items():
            if value is not None:
                yield Metric(metric_name(f"{name}/{key}"), float(value), at_ms, 0)


def _over_time(facts: Mapping[str, Any]) -> Iterator[Metric]:
    """Windows of wall time and parts of event time, a step each."""
    began_ms = _ms(facts["began"])
    for name, windows in facts["windows"].items():
        for step, window in enumerate(windows):
            at_ms = began_ms + int(window["at_s"] * 1000)
            for key in _OVER_WALL_TIME:
                if window[key] is not None:
                    yield Metric(f"{name}/over_wall_time/{key}", float(window[key]), at_ms, step)
    for name, arm in facts["arms"].items():
        for step, part in enumerate(arm["over_event_time"]):
            for metric, value in part["metrics"].items():
                if value is not None:
                    yield Metric(metric_name(f"{name}/over_event_time/{metric}"), value, began_ms, step)


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
