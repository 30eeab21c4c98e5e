"""The stack for an ordinary user, started by root's tests: nothing in it needs a right that others do not have."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matinee.stack.account import closed_above

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.xdist_group("stack"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; others are ordinary already"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that `nobody` owns and can reach; pytest's own are closed to others."""
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("no right to mount")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        yield Path(folder)


def test_an_ordinary_user_has_a_stack(home: Path) -> None:
    try:
        up = as_nobody(home, "up", "--json")
        assert up.returncode == 0, up.stderr
        assert set(json.loads(up.stdout)["services"]) == {"s3", "postgres", "mlflow", "jupyter"}
        told = as_nobody(home, "status", "--json")
        assert told.returncode == 0, told.stdout
        for service in json.loads(told.stdout)["services"]:
            assert Path(f"/proc/{service['pid']}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        assert all(path.owner() == "nobody" for path in home.rglob("*"))
    finally:
        down = as_nobody(home, "down")
    assert (down.returncode, down.stdout) == (0, "The stack of matinee-data is down; its data stays.\n")


def as_nobody(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `matinee` as the user `nobody`.

    Where Python lies below a folder that is closed to others (root's own), it is shown alone in that place, in a mount
    namespace that nobody else sees.
    """
    python = Path(sys.executable).resolve()
    closed = closed_above(python)
    show = "true"
    if closed is not None:
        kept = closed / python.relative_to(closed).parts[0]
        show = (
            f"mount --bind {kept} /mnt && mount -t tmpfs -o mode=755 none {closed} && mkdir {kept} && "
            f"mount --move /mnt {kept}"
        )
    call = shlex.join([sys.executable, "-m", "matinee", *words])
    script = f"{show} && exec setpriv --reuid nobody --regid nogroup --clear-groups {call}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "MPLCONFIGDIR": str(home)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
