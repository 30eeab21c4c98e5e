"""`matinee replay compare`: replays of the same split side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import data_folder

if TYPE_CHECKING:
    from matinee.replay.compare import Compared

__all__ = ["compare"]


def compare(
    replay: str,
    /,
    *replays: str,
    out: Path | None = None,
    data_dir: Path | None = None,
    output: Output = SPEAKING,
) -> None:
    """Compare replays of the same split: quality with significance, latency, throughput, and what differs.

    Args:
        replay: A replay's folder, or its id or the id's beginning.
        replays: One more, or several; each arm is compared with the first arm of the first.
        out: Write a page to this file.
        data_dir: The data folder with the replays; by default matinee-data.
        output: How to tell.
    """
    from matinee.replay.compare import compare_replays  # noqa: PLC0415 - a command's rooms are loaded when it is called

    found = compare_replays(replay, *replays, out=out, data_dir=data_folder(data_dir))
    if output.speaks:
        _print(found, output)
    output.result(found.facts)


def _print(found: "Compared", output: Output) -> None:
    from matinee.replay.compare_page import compared_rows  # noqa: PLC0415 - see compare

    facts = found.facts
    for letter, one in facts["replays"].items():
        output.line(f"{letter}  {one['id']}, {one['state']}, {one['events']:,} events of {one['users']:,} people")
    output.line()
    arms = list(facts["arms"])
    output.table(["", *arms], [[what, *cells] for what, cells in compared_rows(facts)], right=arms)
    output.line()
    _print_differences(facts, output)
    if facts["differs"]:
        rows = [
            [name, *("" if value is None else str(value) for value in each.values())]
            for name, each in facts["differs"].items()
        ]
        output.table(["differs in", *facts["replays"]], rows)
    for sentence in facts["careful"]:
        output.line(f"careful: {sentence}")
    if found.page is not None:
        output.line(f"Page: {found.page}")


def _print_differences(facts: dict[str, Any], output: Output) -> None:
    rows = []
    for label, one in facts["differences"].items():
        pair = f"{label} - {one['against']}"
        if "cannot" in one:
            output.line(f"{pair}: quality cannot be compared, {one['cannot']}")
            continue
        for metric, test in one["metrics"].items():
            interval = f"{test['low']:+.4f} to {test['high']:+.4f}"
            rows.append(
                [
                    pair,
                    metric,
                    f"{test['difference']:+.4f}",
                    interval,
                    f"{test['p']:.4f}",
                    test["events"],
                    test["users"],
                ]
            )
    if rows:
        heads = ["difference", "95% interval", "p", "events", "users"]
        output.table(["arms", "metric", *heads], rows, right=heads)
        output.line()
