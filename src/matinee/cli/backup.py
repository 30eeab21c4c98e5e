"""`matinee backup` and `matinee restore`: the whole stack in one file, and out of it again."""

from pathlib import Path

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import data_folder
from matinee.sizes import show_size

__all__ = ["backup", "restore"]


def backup(file: Path, /, *, data_dir: Path | None = None, output: Output = SPEAKING) -> None:
    """Write databases, buckets, notebooks, lineage and credentials of the stack to one file, while it runs.

    Args:
        file: Where to; it must not be there yet.
        data_dir: The data folder; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.backup import backup as write  # noqa: PLC0415 - a command's rooms are loaded when it is called

    made = write(file, data_dir=data_folder(data_dir), progress=output.progress(data_dir))
    output.facts(
        {
            "databases": _counted(made.databases, "rows"),
            "buckets": _counted(made.objects, "objects"),
            "files": made.files,
        }
    )
    output.line()
    output.line(f"{made.file}: {show_size(made.size_bytes)}, with the stack's credentials: keep it like a password.")
    output.result(made)


def restore(file: Path, /, *, force: Flag = False, data_dir: Path | None = None, output: Output = SPEAKING) -> None:
    """Bring a backup back into a fresh data folder, checked byte by byte; run only files that you trust.

    Args:
        file: What `matinee backup` wrote.
        force: Where the folder is not empty, move what is there aside, to a folder beside it.
        data_dir: The data folder, empty or not there; by default matinee-data.
        output: How to tell.
    """
    from matinee.stack.restore import restore as bring  # noqa: PLC0415 - a command's rooms are loaded when it is called

    restored = bring(file, force=force, data_dir=data_folder(data_dir), progress=output.listener())
    output.facts(
        {
            "made": restored.made,
            "databases": _counted(restored.databases, "rows"),
            "objects": restored.objects,
            "files": restored.files,
        }
    )
    output.line()
    if restored.replaced is not None:
        output.line(f"What was in {restored.data_dir} is now {restored.replaced}.")
    output.line(f"{restored.data_dir} is restored and checked; 'matinee up --data-dir {restored.data_dir}' starts it.")
    output.result(restored)


def _counted(numbers: dict[str, int], noun: str) -> str:
    return ", ".join(f"{name} ({number:,} {noun})" for name, number in numbers.items()) or "none"
