"""The stage `evaluate`: trained models side by side on the same events, and the files that stay of it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import ModelError, UsageError, VersionNotFoundError
from matinee.model.atomic import atomic, make_folder, write_atomically
from matinee.schema.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.lineage import Recorder
    from matinee.metrics.significance import Comparison
    from matinee.model.checkpoint import CheckpointFacts
    from matinee.model.opening import EngineChoice
    from matinee.schema.layout import Split
    from matinee.schema.progress import Progress
    from matinee.train.evaluation import Evaluation
    from matinee.train.targets import Protocol
    from matinee.version import Version

__all__ = ["Evaluated", "Report", "evaluate"]

_USUAL_K: Final = 10
_MOST_K: Final = 1000  # as of a server; every event keeps its list until all are ranked


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One of the models.

    Attributes:
        label: the model's name, or its folder's where two have the same name.
        folder: where it lies.
        evaluation: what was found.
        differences: each metric against the first model, with a test; empty for the first.
        files: what was written: the report, the single ranks, and a plot where there is a course of time.
    """

    label: str
    folder: Path
    evaluation: Evaluation
    differences: dict[str, Comparison]
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """As in the file, and on stdout."""
        plain = {"label": self.label, "folder": str(self.folder), **self.evaluation.as_json()}
        return plain | {"differences": {name: asdict(one) for name, one in self.differences.items()}}


@dataclass(frozen=True, slots=True)
class Report:
    """The models on one split, in the order in which they were named.

    Attributes:
        dataset, version: whose events.
        models: one or more.
    """

    dataset: str
    version: str
    models: tuple[Evaluated, ...]


def evaluate(
    model: str | Path,
    *models: str | Path,
    version: str | Path | None = None,
    split: Split = "test",
    protocol: Protocol = "time",
    negatives: int = 0,
    users: int | None = None,
    k: int = _USUAL_K,
    include_seen: bool = False,
    seed: int = 0,
    engine: EngineChoice = "auto",
    out: str | Path | None = None,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = "matinee-data",
    lineage: Recorder | None = None,
    progress: Progress | None = None,
) -> Report:
    """Rank every event of a split with one or more trained models; docs/evaluation.md says how.

    Beside each model stay `evaluation-<split>-<protocol>.json` with all that was found, a Parquet file with the rank of
    each single event, and, for the protocol 'time', a plot of the quality over time. Whatever else is asked otherwise
    than usual is in their names too, so that a look at fifty people never stands where the whole split stood.

    Args:
        model: a folder, `<data set>/<model>`, or an address of MLflow's registry.
        models: more of them, for the same version; each is compared with the first.
        version: a folder, a data set's name, an id or its beginning, or name@id; None is the one that the first model
            was trained on. Its id maps must be the models'.
        split: 'eval' or 'test'.
        protocol: 'time' asks about every event in order of time, 'leave-one-out' about each user's last.
        negatives: rank each target among so many random items that the user never took; 0 among all items.
        users: ask about so many users, drawn by the seed; None is all.
        k: length of a list, as in HR@k.
        include_seen: leave the items of a history in the ranking.
        seed: of draws.
        engine: of networks: 'onnx' asks the exported model, whose ranks are a server's bit for bit, 'torch' the
            checkpoint, 'auto' the exported one where there is one that belongs to the checkpoint.
        out: a folder for the files, with one folder a model; None is each model's own folder.
        store: where a version is pulled from that is not here; None is the embedded one of `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: whose versions and models are meant.
        lineage: told of each evaluation; None records nothing.
        progress: told of every piece of work.

    Raises:
        UsageError: values that do not fit each other or the version, or a model that is named twice.
        ModelNotFoundError, ModelDamagedError: a model is not there, or not whole.
        ModelMismatchError: a model and the version do not have the same id maps.
        VersionError, StoreError, ServiceError, DiskFullError: the version cannot be had, or the files not be written.
    """
    from matinee.model import checkpoint  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.model.opening import open_model  # noqa: PLC0415 - as above
    from matinee.train.evaluate import evaluate_split  # noqa: PLC0415 - as above
    from matinee.train.find import find_model_folder, find_version_folder  # noqa: PLC0415 - as above
    from matinee.version import open_version  # noqa: PLC0415 - as above

    if not 1 <= k <= _MOST_K:
        raise UsageError(f"k is {k}, expected 1 to {_MOST_K:,}")
    folders = [find_model_folder(one, data_dir, progress=progress) for one in (model, *models)]
    facts = [checkpoint.read_facts(folder) for folder in folders]
    labels = _labels(folders, [one.model for one in facts])
    targets = _targets(folders, out)
    wanted = version if version is not None else f"{facts[0].dataset}@{facts[0].version}"
    try:
        found = find_version_folder(wanted, data_dir, store=store, endpoint=endpoint, progress=progress)
    except VersionNotFoundError as error:
        raise VersionNotFoundError(f"{error} (--version says which one to evaluate on)") from None
    opened = open_version(found)
    for one in facts:
        checkpoint.check_matches(one, opened.manifest.users, opened.manifest.items)
    _warn_of_leaks(labels, facts, opened, progress or Silent())
    evaluations = [
        evaluate_split(
            open_model(folder, engine=engine, threads=len(os.sched_getaffinity(0)), progress=progress)[0],
            opened,
            split=split,
            protocol=protocol,
            negatives=negatives,
            exclude_seen=not include_seen,
            k=k,
            users=users,
            seed=seed,
            progress=progress,
        )
        for folder in folders
    ]
    report = Report(opened.name, opened.id, _written(labels, folders, facts, evaluations, targets, opened))
    if lineage is not None:
        for evaluated, one in zip(report.models, facts, strict=True):
            _record(lineage, evaluated, one, opened)
    return report


def _record(lineage: Recorder, evaluated: Evaluated, facts: CheckpointFacts, version: Version) -> None:
    """Tell the lineage what was found of a model, on which version."""
    from matinee.lineage import Artifact  # noqa: PLC0415 - see evaluate
    from matinee.model import checkpoint  # noqa: PLC0415 - as above

    source = version.manifest.source.sha256
    folder, (report, ranks, *_) = evaluated.folder.absolute(), evaluated.files
    model = Artifact.of_checkpoint(
        folder, [checkpoint.CHECKPOINT, checkpoint.WEIGHTS], name=folder.name, version=facts.version, source_sha256=""
    )
    events = Artifact.of_folder(version.folder)
    with lineage.stage("evaluate", inputs=[events, model]) as run:
        run.add_output(
            Artifact.of_evaluation(
                report.absolute(), ranks.absolute(), name=folder.name, version=version.id, source_sha256=source
            )
        )


def _warn_of_leaks(
    labels: Sequence[str], facts: Sequence[CheckpointFacts], version: Version, progress: Progress
) -> None:
    """Say which models may have been trained on the very events that they are asked about."""
    for label, one in zip(labels, facts, strict=True):
        if one.manifest_sha256 != version.sha256:
            progress.say(
                f"careful: {label} was trained on {one.dataset} {one.version}, whose train may hold events that "
                f"{version.id} asks about; what is measured may be too good to be true"
            )


def _labels(folders: Sequence[Path], names: Sequence[str]) -> list[str]:
    places = [folder.resolve() for folder in folders]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"{place}: named {places.count(place)} times; a model cannot be compared with itself")
    labels = [
        folder.absolute().name if names.count(name) > 1 else name for folder, name in zip(folders, names, strict=True)
    ]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"{label}: the folders of {labels.count(label)} models are called so; rename one")
    return labels


def _targets(folders: Sequence[Path], out: str | Path | None) -> list[Path]:
    """Where the files of each model go; made now, as it would be a pity to find out afterwards that they cannot be."""
    targets = [*folders] if out is None else [Path(out) / folder.absolute().name for folder in folders]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"{target}: the files of {targets.count(target)} models would go there; rename a folder")
        make_folder(target)
    return targets


def _written(
    labels: Sequence[str],
    folders: Sequence[Path],
    facts: Sequence[CheckpointFacts],
    evaluations: Sequence[Evaluation],
    targets: Sequence[Path],
    version: Version,
) -> tuple[Evaluated, ...]:
    """Compare, and write what stays of each model."""
    from matinee.metrics.significance import compare  # noqa: PLC0415 - see evaluate

    first = evaluations[0]
    made = []
    for label, folder, own, evaluation, target in zip(labels, folders, facts, evaluations, targets, strict=True):
        differences = {
            name: compare(evaluation.values[name], first.values[name], first.users)
            for name in (evaluation.values if evaluation is not first and first.users.size else ())
        }
        # The first one's plot has all, each other's has the first beside it.
        compared = dict(zip(labels, evaluations, strict=True))
        if evaluation is not first:
            compared = {labels[0]: first, label: evaluation}
        evaluated = Evaluated(label, folder, evaluation, differences, ())
        made.append(_write(evaluated, compared, target / _stem(evaluation, own), f"{version.name} {version.id}"))
    return tuple(made)


def _stem(evaluation: Evaluation, own: CheckpointFacts) -> str:
    """What the files are called, without their ends: what was asked, as far as it is not what is usually asked."""
    ranking = evaluation.ranking
    parts = {
        f"evaluation-{ranking.split}-{ranking.protocol}": True,
        f"{ranking.negatives}": ranking.negatives > 0,
        f"{ranking.users}-users": ranking.users is not None,
        f"at-{evaluation.k}": evaluation.k != _USUAL_K,
        "with-seen": not ranking.exclude_seen,
        f"on-{evaluation.version}": evaluation.version != own.version,
    }
    return "-".join(part for part, is_said in parts.items() if is_said)


def _write(evaluated: Evaluated, compared: dict[str, Evaluation], stem: Path, title: str) -> Evaluated:
    """Write the files whose names are `stem` and an end."""
    from matinee.train.evaluation_files import write_ranks  # noqa: PLC0415 - see evaluate
    from matinee.train.evaluation_plot import evaluation_plot  # noqa: PLC0415 - see evaluate

    evaluation = evaluated.evaluation
    ranking = evaluation.ranking
    report, ranks, plot = (stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "parquet", "png"))
    files = [report, ranks]
    try:
        with atomic(ranks) as beside:
            write_ranks(evaluation, beside)
        if evaluation.buckets:
            write_atomically(plot, evaluation_plot(compared, f"{title}, {ranking.split}"))
            files.append(plot)
        write_atomically(report, (json.dumps(evaluated.as_json(), indent=2, ensure_ascii=False) + "\n").encode())
    except PermissionError as error:
        raise ModelError(
            f"{stem.parent}: cannot be written to ({error.strerror}); choose a folder with --out"
        ) from None
    return Evaluated(evaluated.label, evaluated.folder, evaluation, evaluated.differences, tuple(files))
