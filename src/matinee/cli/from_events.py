"""`matinee data from-events`: turn what a server was told into the next version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from matinee.cli.certificate import print_certificate
from matinee.cli.lineage import recorder
from matinee.cli.next_steps import data_dir_words, print_next_steps, program
from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.schema.layout import Split
from matinee.schema.transform_settings import SplitKind, Ties
from matinee.settings import read_settings

if TYPE_CHECKING:
    from matinee.etl.from_events import NextVersion

__all__ = ["from_events"]

_SPLITS = Group("Splits of the new version", sort_key=20)
_WORK = Group("How the work is done (changes no byte)", sort_key=40)


def from_events(
    version: str | None = None,
    /,
    *,
    rehearsal: str | None = None,
    past: Split | None = None,
    until: str | None = None,
    until_place: int | None = None,
    out: Path | None = None,
    split: Annotated[SplitKind, Parameter(group=_SPLITS)] = "time",
    fractions: Annotated[str, Parameter(group=_SPLITS)] = "0.5,0.25,0.25",
    cut: Annotated[tuple[str, ...], Parameter(negative="", show_default=False, group=_SPLITS)] = (),
    rolling: Annotated[int, Parameter(group=_SPLITS)] = 0,
    ties: Annotated[Ties, Parameter(group=_SPLITS)] = "input",
    seed: Annotated[int, Parameter(group=_SPLITS)] = 0,
    max_reject_share: float = 0.001,
    raw: bool = True,
    dry_run: Flag = False,
    memory_limit: Annotated[str | None, Parameter(group=_WORK)] = None,
    temp_dir: Annotated[Path | None, Parameter(group=_WORK)] = None,
    workers: Annotated[int | None, Parameter(group=_WORK)] = None,
    force: Annotated[Flag, Parameter(group=_WORK)] = False,
    place: Place = DEFAULT_PLACE,
    output: Output = SPEAKING,
) -> None:
    """Turn the events told to a server into the next version; all ids of the base stay what they are.

    Args:
        version: The base: a folder, a data set's name, an id or its beginning, or name@id; by default the newest here.
        rehearsal: Whose events, as in `matinee serve --rehearsal`; by default the data set's own.
        past: The last split of the base that had happened when the server started; by default train, and test where
            the base has events of the same log.
        until: Take the log up to its first event of this moment or later: a date, or Unix seconds.
        until_place: Take the log up to this place.
        out: The version's folder; by default below versions in the data folder.
        split: How events are divided into train, eval and test.
        fractions: Shares of train, eval and test, exact decimals that sum to 1.
        cut: Given twice, the first instant of eval and of test instead of --fractions: a date, or Unix seconds.
        rolling: Number of rolling folds to record in folds.json.
        ties: Keep the order of events that share a second, or shuffle it by --seed.
        seed: Of shuffled ties and of the random split.
        max_reject_share: Events allowed whose ids the version cannot hold, as a share of those told.
        raw: Keep the events told inside the version.
        dry_run: Count what would come, and write no version.
        memory_limit: 1GB, 512MiB and so on; by default a quarter of the memory.
        temp_dir: Where the events told wait meanwhile; by default the data folder.
        workers: Processor cores to use; by default all.
        force: Make the version again although it is there.
        place: Where a base is pulled from that is not here.
        output: How to tell.
    """
    from matinee.etl.numba_start import start_numba_lightly  # noqa: PLC0415 - as below

    start_numba_lightly()
    from matinee.etl.from_events import from_events as make  # noqa: PLC0415 - a command's rooms are loaded when called

    settings = read_settings()
    where = place.settled(settings)
    found = make(
        version,
        rehearsal=rehearsal,
        past=past,
        until=until,
        until_place=until_place,
        out=out,
        split=split,
        fractions=fractions,
        cut=cut,
        rolling=rolling,
        ties=ties,
        seed=seed,
        max_reject_share=max_reject_share,
        raw=raw,
        dry_run=dry_run,
        memory_limit=memory_limit or settings.memory_limit_bytes,
        temp_dir=temp_dir,
        workers=workers,
        force=force,
        lineage=recorder(where["data_dir"], output),
        progress=output.progress(where["data_dir"]),
        **where,
    )
    if output.speaks:
        _print(found, where["data_dir"], output)
    output.result(found)


def _print(found: "NextVersion", data_dir: Path, output: Output) -> None:
    if found.folder is None:
        output.line(f"{found.dataset} {found.version} would come; nothing was written.")
    else:
        output.line(f"{found.dataset} {found.version} in {found.folder}")
        if not found.fresh:
            output.line("It was there already; nothing was done.")
    output.line()
    left_out = {"rejected": found.rejected, "repeats": found.repeats}
    output.facts(
        {
            "base": f"{found.base}, up to {found.past}",
            "told": f"{found.told:,} events of {found.log}, up to place {found.place:,}",
            "left out": ", ".join(f"{count:,} {what}" for what, count in left_out.items()),
            "events": found.events,
            "users": f"{found.users:,}, {found.new_users:,} of them new",
            "items": f"{found.items:,}, {found.new_items:,} of them new",
        }
    )
    output.line()
    if found.certificate is None:
        return
    print_certificate(found.certificate, output)
    output.line()
    matinee, there = program(), data_dir_words(data_dir)
    commands = {
        f"{matinee} train {found.version} --start-from {found.dataset}/sse-pt{there}": "go on from a trained model",
        f"{matinee} lineage {found.version}{there}": "where it came from",
    }
    print_next_steps("Go on:", commands, output)
