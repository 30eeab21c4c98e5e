"""`matinee transform`: turn a source into a version on this machine."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from matinee.cli.certificate import print_certificate
from matinee.cli.lineage import recorder
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.schema.transform_settings import IdKind, SplitKind, Ties, TimeUnit
from matinee.settings import read_settings

__all__ = ["transform"]

_READING = Group("Reading", sort_key=20)
_FILTERS = Group("Filters", sort_key=30)
_WORK = Group("How the work is done (changes no byte)", sort_key=40)


def transform(
    source: str,
    /,
    *,
    out: Path,
    name: str | None = None,
    split: SplitKind = "time",
    fractions: str = "0.5,0.25,0.25",
    ties: Ties = "input",
    seed: int = 0,
    memory_limit: Annotated[str | None, Parameter(group=_WORK)] = None,
    temp_dir: Annotated[Path | None, Parameter(group=_WORK)] = None,
    columns: Annotated[str, Parameter(group=_READING, show_default=False)] = "",
    sep: Annotated[str, Parameter(group=_READING, show_default=False, allow_leading_hyphen=True)] = "",
    member: Annotated[str, Parameter(group=_READING, show_default=False)] = "",
    cut: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    rolling: int = 0,
    ids: Annotated[IdKind, Parameter(group=_READING)] = "auto",
    time_unit: Annotated[TimeUnit, Parameter(group=_READING)] = "auto",
    max_reject_share: Annotated[float, Parameter(group=_READING)] = 0.001,
    min_rating: Annotated[float | None, Parameter(group=_FILTERS)] = None,
    since: Annotated[str | None, Parameter(group=_FILTERS)] = None,
    until: Annotated[str | None, Parameter(group=_FILTERS)] = None,
    min_user_events: Annotated[int, Parameter(group=_FILTERS)] = 0,
    min_item_events: Annotated[int, Parameter(group=_FILTERS)] = 0,
    raw: bool = True,
    force: Annotated[Flag, Parameter(group=_WORK)] = False,
    workers: Annotated[int | None, Parameter(group=_WORK)] = None,
    engine: Annotated[Literal["local", "spark"], Parameter(group=_WORK)] = "local",
    master: Annotated[str, Parameter(group=_WORK, show_default=False)] = "",
    output: Output = SPEAKING,
) -> None:
    """Turn a source into a version on this machine: splits, id maps, sequences, certificate.

    Args:
        source: A catalogue name (see `matinee data list`), a path, a URL, or remote:path of rclone.
        out: The folder that becomes the version's.
        name: The data set's name, in the files' names and in a store; by default the source's stem.
        split: How events are divided into train, eval and test.
        fractions: Shares of train, eval and test, exact decimals that sum to 1.
        ties: Keep the order of events that share a second, or shuffle it by --seed.
        seed: Of shuffled ties and of the random split.
        memory_limit: 1GB, 512MiB and so on; by default a quarter of the memory.
        temp_dir: Where what does not fit into memory is spilled; by default beside --out.
        columns: role=column pairs, as in user=userId,item=movieId,rating=rating,time=timestamp; names or 0-based
            positions; by default recognised.
        sep: The column separator (the word tab for a tab); by default recognised.
        member: The archive member to read, where there are several.
        cut: Given twice, the first instant of eval and of test instead of --fractions: a date, or Unix seconds.
        rolling: Number of rolling folds to record in folds.json.
        ids: Whether raw ids are whole numbers or texts.
        time_unit: The unit of the time column.
        max_reject_share: Unreadable rows allowed, as a share of all rows.
        min_rating: Drop events rated below it, or not rated.
        since: Drop events before it: a date, or Unix seconds.
        until: Drop events at or after it: a date, or Unix seconds.
        min_user_events: Drop users with fewer events, until this and --min-item-events hold together.
        min_item_events: Drop items with fewer events.
        raw: Keep the archive as fetched inside the version.
        force: Make the version again although it is there.
        workers: Processor cores to use; by default all.
        engine: This machine, or a Spark cluster.
        master: Of the Spark cluster, as in spark://host:7077; its workers must reach the source and --out.
        output: How to tell.
    """
    from matinee.etl.numba_start import start_numba_lightly  # noqa: PLC0415 - as below

    start_numba_lightly()
    from matinee.etl import stages  # noqa: PLC0415 - a command's rooms are loaded when it is called

    settings = read_settings()
    progress = output.progress()
    lineage = recorder(settings.data_dir, output)
    version = stages.transform(
        source,
        out=out,
        name=name,
        split=split,
        fractions=fractions,
        ties=ties,
        seed=seed,
        memory_limit=memory_limit or settings.memory_limit_bytes,
        temp_dir=temp_dir,
        columns=columns,
        sep=sep,
        member=member,
        cut=cut,
        rolling=rolling,
        ids=ids,
        time_unit=time_unit,
        max_reject_share=max_reject_share,
        min_rating=min_rating,
        since=since,
        until=until,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        raw=raw,
        force=force,
        workers=workers,
        engine=engine,
        master=master,
        archives=settings.archives,
        lineage=lineage,
        progress=progress,
    )
    output.line(f"{version.manifest.name} {version.manifest.id} in {version.folder}")
    if not version.fresh:
        output.line("It was there already; nothing was done.")
    output.line()
    print_certificate(version.certificate, output)
    output.result(
        {
            "version": version.manifest.id,
            "name": version.manifest.name,
            "folder": version.folder,
            "fresh": version.fresh,
            "certificate": version.certificate,
        }
    )
