"""`matinee train`: from a version to a trained model."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from matinee.cli.lineage import recorder
from matinee.cli.next_steps import data_dir_words, print_next_steps, program
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.schema.layout import MANIFEST
from matinee.settings import read_settings

if TYPE_CHECKING:
    from matinee.settings import Settings
    from matinee.train.trained import Trained

__all__ = ["train"]

_TRAINING = Group("Training", sort_key=20)


def train(
    version: str | None = None,
    /,
    *,
    model: str = "sse-pt",
    options: Annotated[tuple[str, ...], Parameter(name="--set", negative="", show_default=False)] = (),
    epochs: Annotated[int | None, Parameter(group=_TRAINING)] = None,
    batch_size: Annotated[int | None, Parameter(group=_TRAINING)] = None,
    learning_rate: Annotated[float | None, Parameter(group=_TRAINING)] = None,
    patience: Annotated[int | None, Parameter(group=_TRAINING)] = None,
    time_limit_s: Annotated[float | None, Parameter(group=_TRAINING)] = None,
    seed: Annotated[int | None, Parameter(group=_TRAINING)] = None,
    device: Annotated[str | None, Parameter(group=_TRAINING)] = None,
    prior: str = "auto",
    start_from: str | None = None,
    out: Path | None = None,
    track: bool = True,
    force: Flag = False,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Train a model on a version, give it its recency prior, save, export, track and register it.

    Args:
        version: A folder, a data set's name, an id or its beginning, or name@id; by default the newest one here.
        model: Which kind: sse-pt, sasrec, popularity, recent-popularity, markov, item-knn.
        options: NAME=VALUE, as in dropout=0.3: any setting of the model or of its training.
        epochs: The most passes over all users.
        batch_size: Sequences a step.
        learning_rate: Of Adam.
        patience: Validations without improvement before training stops.
        time_limit_s: Training ends after the epoch in which so many seconds have passed.
        seed: Every draw follows from it.
        device: auto takes a GPU where there is one; cpu, cuda, cuda:1.
        prior: Of the recency prior: auto chooses weight and window on validation; off, WEIGHT, or WEIGHT:DAYS.
        start_from: A trained model, as in MODEL of `matinee evaluate`, of a version that this one goes on from; its
            network's settings are kept.
        out: The model's folder; by default below models in the data folder.
        track: Tell MLflow of it; the stack is started for that, and stopped again.
        force: Train again although it is there.
        place: Where a version is pulled from that is not here.
        output: How to tell.
    """
    from matinee.train.make import follows  # noqa: PLC0415 - a command's rooms are loaded when it is called
    from matinee.train.plan import pairs  # noqa: PLC0415 - as above
    from matinee.train.stage import train as make  # noqa: PLC0415 - as above

    if follows():
        output = Output(quiet=True)
    settings = read_settings()
    where = place.settled(settings)
    trained = make(
        version,
        model=model,
        options=_said(settings, model) | pairs(options),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        time_limit_s=time_limit_s,
        seed=seed,
        device=device,
        prior=prior,
        start_from=start_from,
        out=out,
        track=track,
        force=force,
        lineage=recorder(where["data_dir"], output),
        progress=output.progress(place.data_dir),
        **where,
    )
    if output.speaks:
        _print(trained, version, where["data_dir"], output)
    output.result(trained)


def _said(settings: "Settings", model: str) -> dict[str, object]:
    """What `matinee.toml` and the environment say of this model and of its training."""
    from matinee.model.options import settings_of  # noqa: PLC0415 - see train
    from matinee.model.table import MODELS, find_model  # noqa: PLC0415 - see train
    from matinee.train.train_settings import TrainSettings  # noqa: PLC0415 - see train

    entry = find_model(model)
    settings_of(TrainSettings, settings.train, "[train]")  # a mistake is named as what it is, whatever is trained
    return {**(settings.train if entry.neural else {}), **settings.of_model(model, MODELS)}


def _print(trained: "Trained", version: str | None, data_dir: Path, output: Output) -> None:
    name = f"{trained.name}, trained on {trained.dataset} {trained.version}"
    output.line(f"{name}." if trained.fresh else f"{name}: it was there already; nothing was trained.")
    output.line()
    facts = {name: f"{value:.4f}" for name, value in trained.metrics.items()}
    if trained.epochs:
        facts["epochs"] = f"{trained.epochs}, ended by {trained.ended}"
    facts |= {"prior": trained.prior, "model": str(trained.folder)}
    if trained.page:
        champion = " (champion)" if trained.champion else ""
        facts |= {"MLflow": trained.page, "registry": f"{trained.registered}{champion}"}
    output.facts(facts)
    output.line()
    matinee, there = program(), data_dir_words(data_dir)
    model = _model_word(trained, data_dir)
    on = f" --version {shlex.quote(version)}" if version and (Path(version) / MANIFEST).is_file() else ""
    commands = {f"{matinee} evaluate {model}{on}{there}": "how good it is on the split test"}
    if trained.epochs:
        commands[f"{matinee} export {model} --format pth{there}"] = (
            "its weights for other programs; model.onnx is there"
        )
    commands[f"{matinee} lineage {trained.version}{there}"] = "where it came from"
    print_next_steps("Go on:", commands, output)


def _model_word(trained: "Trained", data_dir: Path) -> str:
    """What other commands take as MODEL: the short name where they look for it by themselves, else the folder."""
    from matinee.train.find import MODELS_FOLDER  # noqa: PLC0415 - see train

    if trained.folder.parent == (data_dir / MODELS_FOLDER / trained.dataset / trained.version).absolute():
        # The short name is the one trained last, which an older one is not.
        return f"{trained.dataset}/{trained.model if trained.fresh else trained.folder.name}"
    here = Path.cwd()
    folder = trained.folder.relative_to(here) if trained.folder.is_relative_to(here) else trained.folder
    return shlex.quote(str(folder))
