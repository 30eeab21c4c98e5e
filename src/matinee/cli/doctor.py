"""`matinee doctor`: what is well on this machine, what is not, and what to do about it."""

from matinee.cli.output import SPEAKING, Flag, Output
from matinee.cli.place import DEFAULT_PLACE, Place

__all__ = ["doctor"]


def doctor(*, online: Flag = False, place: Place = DEFAULT_PLACE, output: Output = SPEAKING) -> int:
    """Look at everything that Matinee needs on this machine; nothing is changed.

    The exit code is 1 where there is a problem, 0 where there are notes at most.

    Args:
        online: Ask the catalogue's mirrors, too.
        place: The store to reach, and the data folder to look at.
        output: How to tell.
    """
    from matinee.checkup.doctor import doctor as look  # noqa: PLC0415 - a command's rooms are loaded when it is called

    report = look(online=online, **place.settled())
    output.table(
        ("check", "", "found", "what to do"),
        [(finding.check, finding.level, finding.found, finding.advice) for finding in report.findings],
    )
    output.line()
    output.line(f"{_count(len(report.problems), 'problem')}, {_count(len(report.notes), 'note')}")
    output.result({"healthy": not report.problems, "findings": report.findings})
    return 1 if report.problems else 0


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
