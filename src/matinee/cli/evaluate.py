"""`matinee evaluate`: trained models side by side on a split, every event of it ranked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place

if TYPE_CHECKING:
    from matinee.train.evaluation import Evaluation
    from matinee.train.report import Report

__all__ = ["evaluate", "print_report"]

_ENGINES = {
    "onnx": "ONNX Runtime's, as the server's",
    "torch": "PyTorch's, which differ from the server's in the last bits",
    "numpy": "counted, as the server's",
}


def evaluate(
    model: str,
    /,
    *models: str,
    version: str | None = None,
    split: Literal["eval", "test"] = "test",
    protocol: Literal["time", "leave-one-out"] = "time",
    negatives: int = 0,
    users: int | None = None,
    k: Annotated[int, Parameter(name="--k")] = 10,
    include_seen: Flag = False,
    seed: int = 0,
    engine: Literal["auto", "onnx", "torch"] = "auto",
    out: Path | None = None,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Rank every event of a split with one or more trained models.

    Args:
        model: A folder, DATASET/MODEL, or an address of MLflow's registry (models:/NAME@ALIAS).
        models: More of them; each is compared with the first.
        version: The version to evaluate on; by default the one that the first model was trained on.
        split: Whose events are the targets.
        protocol: time asks about every event in order of time, leave-one-out about each user's last.
        negatives: Rank each target among so many random items; 0 among the whole catalogue.
        users: Ask about so many users, drawn by --seed; by default all.
        k: Length of a list of recommendations.
        include_seen: Leave the items of a history in the ranking.
        seed: Of draws.
        engine: What computes a network's scores: onnx asks model.onnx as the server does, torch the checkpoint, auto
            model.onnx where there is one.
        out: A folder for the files, one folder a model in it; by default each model's own.
        place: Where a version is pulled from that is not here.
        output: How to tell.
    """
    from matinee.train import report as stage  # noqa: PLC0415 - a command's rooms are loaded when it is called

    where = place.settled()
    report = stage.evaluate(
        model,
        *models,
        version=version,
        split=split,
        protocol=protocol,
        negatives=negatives,
        users=users,
        k=k,
        include_seen=include_seen,
        seed=seed,
        engine=engine,
        out=out,
        lineage=recorder(where["data_dir"], output),
        progress=output.progress(place.data_dir),
        **where,
    )
    if output.speaks:
        print_report(report, output)
    output.result([evaluated.as_json() for evaluated in report.models])


def print_report(report: "Report", output: Output) -> None:
    """All tables of a report: metrics, parts, the course of time, differences, files."""
    first = report.models[0].evaluation
    part = first.segments["all"]
    among = f"{first.ranking.negatives} random items" if first.ranking.negatives else f"{first.catalogue:,} items"
    where = f"{report.dataset} {report.version}, {first.ranking.split}, {first.ranking.protocol}"
    output.line(f"{where}: {part.events:,} events of {part.users:,} users, each ranked among {among}.")
    if first.repeats.any():
        treated = "missed, as a history is left out" if _seen_is_out(first) else "ranked as any other"
        output.line(f"{int(first.repeats.sum()):,} targets were in the history already: {treated}.")
    output.line()
    _print_metrics(report, output)
    _print_parts(report, output)
    _print_course(report, output)
    _print_differences(report, output)
    for evaluated in report.models:
        output.line(f"{evaluated.label}: {evaluated.files[0]}")


def _seen_is_out(evaluation: "Evaluation") -> bool:
    return evaluation.ranking.exclude_seen and not evaluation.ranking.negatives


def _print_metrics(report: "Report", output: Output) -> None:
    first = report.models[0].evaluation
    rows = []
    for evaluated in report.models:
        found = evaluated.evaluation
        everything = found.segments["all"]
        row: list[object] = [evaluated.label]
        for name, value in everything.metrics.items():
            low, high = everything.intervals[name]
            row.append(f"{value:.4f} ({low:.4f} to {high:.4f})")
        if found.coverage is not None:
            row += [f"{found.coverage:.1%}", f"{found.popularity_recommended:,.1f}"]
        rows.append(row)
    names = [*first.metrics]
    lists = ["coverage", "popularity"] if first.coverage is not None else []
    output.table(["model", *names, *lists], rows, right=[*names, *lists])
    if lists:
        output.line(
            f"In brackets 95% intervals. Popularity: events in train of what is recommended; of the targets it is "
            f"{first.popularity_taken:,.1f}."
        )
    output.line(f"Scores are {_engines(report)}.")
    output.line()


def _engines(report: "Report") -> str:
    """Who computed whose scores, for people."""
    models: dict[str, list[str]] = {}
    for evaluated in report.models:
        models.setdefault(_ENGINES[evaluated.evaluation.engine], []).append(evaluated.label)
    return "; ".join(f"{engine} ({', '.join(labels)})" for engine, labels in models.items())


def _print_parts(report: "Report", output: Output) -> None:
    first = report.models[0].evaluation
    metric = _ndcg(first)
    labels = [evaluated.label for evaluated in report.models]
    rows = [
        [name, part.events, part.users]
        + [_number(evaluated.evaluation.segments[name].metrics[metric]) for evaluated in report.models]
        for name, part in first.segments.items()
    ]
    output.table([f"{metric} of", "events", "users", *labels], rows, right=["events", "users", *labels])
    output.line()


def _print_course(report: "Report", output: Output) -> None:
    from matinee.pages.axes import instant  # noqa: PLC0415 - see evaluate

    first = report.models[0].evaluation
    if not first.buckets:
        return
    metric = _ndcg(first)
    labels = [evaluated.label for evaluated in report.models]
    rows = [
        [instant(bucket.first_s, first.time_unit, date_only=True), bucket.events]
        + [f"{bucket.by_cold_users / bucket.events:.0%}", f"{bucket.on_cold_items / bucket.events:.0%}"]
        + [_number(evaluated.evaluation.buckets[at].metrics[metric]) for evaluated in report.models]
        for at, bucket in enumerate(first.buckets)
    ]
    heads = ["events", "cold users", "cold items", *labels]
    output.table([f"{metric} from", *heads], rows, right=heads)
    output.line()


def _print_differences(report: "Report", output: Output) -> None:
    if len(report.models) == 1 or not report.models[1].differences:
        return
    rows = [
        [evaluated.label, name, f"{one.difference:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}", f"{one.p:.4f}"]
        for evaluated in report.models[1:]
        for name, one in evaluated.differences.items()
    ]
    heads = ["difference", "95% interval", "p"]
    output.table([f"against {report.models[0].label}", "metric", *heads], rows, right=heads)
    output.line()


def _ndcg(evaluation: "Evaluation") -> str:
    return f"ndcg@{evaluation.k}"


def _number(value: float) -> str:
    return "" if value != value else f"{value:.4f}"  # noqa: PLR0124 - NaN: no such events
