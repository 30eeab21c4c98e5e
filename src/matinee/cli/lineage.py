"""`matinee lineage`, and the recorder that the commands of the stages share."""

from pathlib import Path
from typing import TYPE_CHECKING

from matinee.cli.output import SPEAKING, Output
from matinee.cli.place import DEFAULT_PLACE, Place
from matinee.settings import read_settings

if TYPE_CHECKING:
    from matinee.lineage import Recorder

__all__ = ["lineage", "recorder"]


def lineage(version: str | None = None, /, *, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> int:
    """Print the chain from a source to a version, and check it.

    Args:
        version: An id, or with a store also LATEST or a data set's name; by default the last one recorded.
        place: Where published versions are; by default where the record says, in a folder or the embedded store.
        output: How to tell.
    """
    from matinee.etl.tracing import trace  # noqa: PLC0415 - a command's rooms are loaded when it is called

    chain = trace(version, progress=output.progress(place.data_dir), **place.settled())
    for line in chain.lines():
        output.line(line)
    output.result(chain.as_json())
    return 0 if chain.whole else 1


def recorder(data_dir: Path, output: Output) -> "Recorder":
    """Where the stages of a command are recorded: a file in the data folder, and a collector where there is one."""
    from matinee.lineage import Recorder  # noqa: PLC0415 - only stages are recorded

    return Recorder(data_dir / "lineage", read_settings().openlineage_url, warn=output.listener().say)
