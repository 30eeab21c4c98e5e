"""`matinee rehearse`: the whole journey, and a page about what came of it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.certificate import print_certificate
from matinee.cli.next_steps import data_dir_words, print_next_steps, program
from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.settings import read_settings

if TYPE_CHECKING:
    from matinee.receipt import ReplayedSplit
    from matinee.rehearse import Rehearsal
    from matinee.train.rehearsal import Trial

__all__ = ["rehearse"]


def rehearse(
    source: str = "ml-100k",
    /,
    *,
    rows: str | None = None,
    memory_limit: str | None = None,
    stack: bool = True,
    train: bool = True,
    replay: bool = True,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Walk the whole journey: from a source to a published version, models trained on it, and a replay through them.

    Args:
        source: A catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        rows: Expand the source to so many rows first: 192e6, 1000000.
        memory_limit: Of the transform: 1GB, 512MiB and so on; by default a quarter of the memory.
        stack: Use Postgres, S3 and MLflow of the data folder, started and stopped where they do not run.
        train: Train a few small models on it and compare them; about two minutes for ml-100k.
        replay: Serve two of the models and play the split test through them as live traffic.
        place: Where to publish.
        output: How to tell.
    """
    from matinee.rehearse import rehearse as walk  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    rehearsal = walk(
        source,
        rows=rows,
        memory_limit=memory_limit or settings.memory_limit_bytes,
        stack=stack,
        train=train,
        replay=replay,
        archives=settings.cache,
        openlineage_url=settings.openlineage_url,
        progress=output.progress(place.data_dir),
        **place.settled(settings),
    )
    if output.speaks:
        _print(rehearsal, output)
    output.result(
        {
            "version": rehearsal.version,
            "name": rehearsal.name,
            "worked": rehearsal.worked,
            "folder": rehearsal.folder,
            "location": rehearsal.location,
            "manifest_sha256": rehearsal.manifest_sha256,
            "certificate": rehearsal.certificate,
            "trials": rehearsal.trials,
            "replay": rehearsal.replay,
        }
    )


def _print(rehearsal: "Rehearsal", output: Output) -> None:
    name, version, folder = rehearsal.name, rehearsal.version, rehearsal.folder
    if rehearsal.worked:
        output.line(f"{name} {version} is published and verified.")
    else:
        output.line(f"{name} {version} is published and was verified on {rehearsal.verified}; nothing to do.")
    output.line()
    print_certificate(rehearsal.certificate, output)
    output.line()
    if rehearsal.trials:
        _print_trials(rehearsal.trials, output)
    if rehearsal.replay:
        _print_replay(rehearsal.replay, output)
    facts = {"archive": rehearsal.archive, "version": folder, "published": rehearsal.location}
    for trial in rehearsal.trials[:1]:
        facts["model"] = _from_here(trial.folder)
        facts |= {"registry": trial.registered} if trial.registered else {}
    if rehearsal.replay:
        facts["report"] = _from_here(rehearsal.replay.folder / "report.html")
    output.facts(facts)
    output.line()
    at = _store_words(rehearsal)
    matinee = program()
    commands = {
        f"xdg-open {folder / 'certificate.html'}": "the certificate with its plots",
        f"head {folder / 'training' / f'{name}_train.txt'}": "user and item of the first events",
        f"{matinee} versions list{at}": "what the store holds",
        f"{matinee} versions verify {version}{at}": "read every byte back once more",
        f"{matinee} mount {version} {Path('mnt')}{at}": "the version as a read-only folder",
        f"{matinee} lineage {version}{at}": "where it came from, and what was trained on it",
    }
    for trial in rehearsal.trials[:1]:
        short, baseline = f"{name}/{trial.model}", f"{name}/{rehearsal.trials[-1].model}"
        words = data_dir_words(rehearsal.data_dir)
        commands[f"{matinee} evaluate {short} {baseline}{words}"] = (
            "the models in detail, with a test of the difference"
        )
    if rehearsal.replay:
        commands[f"xdg-open {facts['report']}"] = "the replay's report with its plots"
        commands[f"{matinee} person --replay {rehearsal.replay.id}{data_dir_words(rehearsal.data_dir)}"] = (
            "one person: what they took, were offered, and took next"
        )
    commands[f"{matinee} dashboard{data_dir_words(rehearsal.data_dir)}"] = "all of this on one live page"
    print_next_steps("Look at it:", commands, output)


def _from_here(path: Path) -> Path:
    """As short as it can be typed."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _print_trials(trials: "tuple[Trial, ...]", output: Output) -> None:
    output.line(
        "Every event of test in order of time, ranked among all items; NDCG@10 of warm and of cold users apart:"
    )
    output.line()
    rows = [
        [
            trial.model,
            f"{trial.metrics['hr@10']:.4f}",
            f"{trial.metrics['ndcg@10']:.4f}",
            f"{trial.low:.4f} to {trial.high:.4f}",
            *("" if part is None else f"{part:.4f}" for part in (trial.warm_users, trial.cold_users)),
            f"{trial.coverage:.0%}",
        ]
        for trial in trials
    ]
    columns = ["hr@10", "ndcg@10", "95% interval", "warm users", "cold users", "coverage"]
    output.table(["model", *columns], rows, right=columns)
    output.line()


def _print_replay(replay: "ReplayedSplit", output: Output) -> None:
    from matinee.replay import show  # noqa: PLC0415 - a command's rooms are loaded when it is called

    output.line("The same events as live traffic, each asked about and then told, as fast as the servers took them:")
    output.line()
    rows = [
        [
            arm.name,
            arm.answered,
            arm.unanswered,
            *(show.quality(arm.metrics[name]) for name in ("hr@10", "ndcg@10")),
            *(show.ms(value) for value in (arm.p50_ms, arm.p99_ms, arm.max_ms)),
            show.rate(arm.per_s),
        ]
        for arm in replay.arms
    ]
    columns = ["answered", "unanswered", "hr@10", "ndcg@10", "p50 ms", "p99 ms", "max ms", "events/s"]
    output.table(["served", *columns], rows, right=columns)
    output.line()


def _store_words(rehearsal: "Rehearsal") -> str:
    """The options that lead a command to the store of the rehearsal; none where it finds it by itself."""
    options: dict[str, object] = {"--store": rehearsal.store, "--endpoint": rehearsal.endpoint}
    words = "".join(f" {option} {shlex.quote(str(value))}" for option, value in options.items() if value is not None)
    return words + data_dir_words(rehearsal.data_dir)
