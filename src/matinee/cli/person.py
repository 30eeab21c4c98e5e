"""`matinee person`: one person's events, each with what was offered before it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matinee.etl.titles import Title
    from matinee.one_person.view import Now, Person, Step

__all__ = ["person"]


def person(
    user: str | None = None,
    /,
    *,
    replay: str | None = None,
    against: str | None = None,
    version: str | None = None,
    split: Literal["eval", "test"] = "eval",
    warm: Annotated[bool | None, Parameter(negative="--cold")] = None,
    seed: int = 0,
    first: int = 1,
    steps: int = 5,
    last: int = 5,
    k: Annotated[int, Parameter(name="--k")] = 10,
    token_file: Path | None = None,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Look at one person: event by event what they had taken, what was offered, and what they took next.

    Args:
        user: Raw id; by default somebody is drawn.
        replay: A replay's folder or id (or its beginning), running or over; by default the newest one.
        against: The address of a server, which is asked now instead; it is told nothing.
        version: Whose events are stepped through; by default the replay's or the server's.
        split: Which of them; of a replay it is the replay's own.
        warm: Draw somebody whom training has seen, or a stranger; by default either.
        seed: Of the draw.
        first: Begin with this event of the person, from 1.
        steps: At most so many events.
        last: So many titles of a history.
        k: Length of a list that a server is asked for.
        token_file: A file that only its owner can read, with the token that the server needs.
        data_dir: The data folder, with replays, versions and archives; by default matinee-data.
        output: How to tell.
    """
    from matinee.one_person.stage import person as look_at  # noqa: PLC0415 - a command's rooms are loaded when called

    seen = look_at(
        user,
        replay=replay,
        against=against,
        version=version,
        split=split,
        warm=warm,
        seed=seed,
        first=first,
        steps=steps,
        last=last,
        k=k,
        token_file=token_file,
        data_dir=data_folder(data_dir),
    )
    if output.speaks:
        _print(seen, output)
    output.result(seen)


def _print(seen: "Person", output: Output) -> None:
    kind = "warm" if seen.is_warm else "cold"
    where = f"{seen.split} of {seen.dataset} {seen.version}"
    output.line(f"User {seen.user}, {kind}: {seen.events:,} events in {where}; offers by {seen.source}.")
    output.line(f"({seen.titles})")
    for step in seen.steps:
        output.line()
        _print_step(step, seen, output)
    if not seen.steps and seen.events:
        output.line("Nothing was offered from there on, so far.")
    if seen.now is not None:
        output.line()
        _print_now(seen.now, output)


def _print_step(step: "Step", seen: "Person", output: Output) -> None:
    when = datetime.fromtimestamp(step.time_s, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    output.line(f"Event {step.number:,} of {seen.events:,}, {when}. {_history(step.events_before, step.last)}")
    length = max((len(offer.items) for offer in step.offers), default=0)
    rows = [
        [
            str(place + 1),
            *(
                ("> " if offer.items[place].raw == step.taken.raw else "  ") + str(offer.items[place])
                if place < len(offer.items)
                else ""
                for offer in step.offers
            ),
        ]
        for place in range(length)
    ]
    output.table(["", *(f"  {offer.arm}" for offer in step.offers)], rows, right=[""])
    output.line(f"Took {step.taken}{_genres(step.taken)}: {'; '.join(_verdicts(step)) or 'nobody was asked'}.")


def _verdicts(step: "Step") -> "Iterable[str]":
    for offer in step.offers:
        if offer.outcome != "answered":
            yield f"{offer.arm}: {offer.outcome}"
        elif offer.rank is None:
            yield f"{offer.arm} had never heard of it"
        else:
            yield f"{offer.arm} {'offered it at' if step.is_hit(offer) else 'had it at'} rank {offer.rank:,}"


def _print_now(now: "Now", output: Output) -> None:
    output.line(f"By what the server itself knows now. {_history(now.events, now.last)}")
    rows = [[str(place), f"  {item}"] for place, item in enumerate(now.offer.items, 1)]
    output.table(["", f"  {now.offer.arm}"], rows, right=[""])


def _history(events: int, last: "tuple[Title, ...]") -> str:
    if not events:
        return "Nothing before."
    return f"{events:,} before" + (f", the last: {'; '.join(map(str, last))}" if last else "") + "."


def _genres(title: "Title") -> str:
    return f" [{', '.join(title.genres)}]" if title.genres else ""
