"""The cloud-init text against cloud-init's own schema, its commands against our own, its script on real volumes."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from matinee.cli.app import build_app
from matinee.cloud.user_data import LABEL, MOUNT, user_data
from matinee.cloud.wanted import wanted
from matinee.settings import CloudSettings

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "cloud-init.json").read_text())
SCRIPT = Path(__file__).parents[2] / "src" / "matinee" / "cloud" / "block_volume.sh"
VOLUME = "b13afbc4-9d34-4725-ba89-dfe0250f575c"

needs_tools = pytest.mark.skipif(
    not all(shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") for name in ("mkfs.ext4", "blkid", "wipefs")),
    reason="needs e2fsprogs and util-linux",
)


def _config(**changes: Any) -> dict[str, Any]:
    text = user_data(wanted(CloudSettings(**changes)), VOLUME)
    assert text.startswith("#cloud-config\n")
    assert len(text) < 16_384  # Nova takes 64 KiB of base64
    config = yaml.safe_load(text)
    assert isinstance(config, dict)
    return config


def _files(config: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["content"] for file in config["write_files"]}


def test_cloud_init_takes_it() -> None:
    jsonschema.Draft4Validator(SCHEMA).validate(_config())


def test_the_schema_would_say_no() -> None:
    config = _config()
    config["runcmd"].append({"a": "command"})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate(config)


def test_the_stack_runs_on_the_volume_as_an_ordinary_user() -> None:
    files = _files(_config(ssh_user="somebody"))
    unit = files["/etc/systemd/system/matinee.service"]
    assert "\nUser=somebody\n" in unit
    assert f"\nExecStart=/opt/matinee/bin/matinee up --data-dir {MOUNT}\n" in unit
    assert "\nRequires=matinee-block.service\n" in unit
    assert f"block_volume.sh {VOLUME} {LABEL} {MOUNT} somebody\n" in files["/etc/systemd/system/matinee-block.service"]


def test_its_calls_of_matinee_are_ones_that_the_command_line_understands() -> None:
    text = "\n".join(_files(_config()).values())
    calls = re.findall(r"^Exec\w+=\S*/bin/matinee (.*)$", text, re.MULTILINE)
    assert len(calls) == 2
    for call in calls:
        build_app().parse_args(call.split(), exit_on_error=False, print_error=False)


def test_the_package_is_what_the_settings_say() -> None:
    from matinee import __version__

    assert _config()["runcmd"][4][-1] == f"matinee[stack]=={__version__}"
    wheel = "https://example.org/matinee-0.1.0-py3-none-any.whl"
    assert _config(package=f"--pre {wheel}")["runcmd"][4][-2:] == ["--pre", wheel]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    for path, content in _files(_config()).items():
        if path.endswith(".service"):
            (tmp_path / Path(path).name).write_text(content.replace("/opt/matinee/bin/matinee", "/bin/true"))
    units = [str(path) for path in tmp_path.glob("*.service")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "Unknown" not in done.stderr + done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A blank volume of 16 MB."""
    path = tmp_path / "volume"
    with path.open("wb") as file:
        file.truncate(16_000_000)
    return path


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the server's own script, with a /etc/fstab of the test."""
    fstab = tmp_path / "fstab"
    fstab.touch()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"FSTAB": str(fstab), "WAIT_S": "0.05"}
        argv = ["/bin/sh", str(SCRIPT), *words]
        return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)

    return run


def _label(disk: Path) -> str:
    argv = ["/usr/sbin/blkid", "-p", "-o", "value", "-s", "LABEL", str(disk)]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


@needs_tools
def test_a_blank_volume_is_formatted_once(disk: Path, prepare: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    first = prepare(str(disk), LABEL)
    assert first.returncode == 0, first.stderr
    assert "is blank; making an ext4 file system" in first.stderr
    assert _label(disk) == LABEL
    before = disk.read_bytes()
    second = prepare(str(disk), LABEL)
    assert (second.returncode, disk.read_bytes() == before) == (0, True)
    assert "has the file system 'matinee' already" in second.stderr


def _ext4_without_our_label(disk: Path) -> None:
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-L", "theirs", str(disk)], check=True)


def _partition_table(disk: Path) -> None:
    """One Linux partition from sector 2048 on, as every partitioning tool writes it."""
    entry = struct.pack("<8BII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 20_000)
    with disk.open("r+b") as file:
        file.seek(446)
        file.write(entry + bytes(48) + b"\x55\xaa")


def _bytes_that_no_tool_knows(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(700_000)
        file.write(b"somebody's raw data")


def _damaged_beginning(disk: Path) -> None:
    _ext4_without_our_label(disk)
    with disk.open("r+b") as file:
        file.seek(1024 + 56)
        file.write(b"\0\0")  # the magic number is gone, the rest of the file system is there


@needs_tools
@pytest.mark.parametrize(
    "fill", [_ext4_without_our_label, _partition_table, _bytes_that_no_tool_knows, _damaged_beginning]
)
def test_what_is_not_blank_is_never_written_to(
    fill: Callable[[Path], None], disk: Path, prepare: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fill(disk)
    before = disk.read_bytes()
    done = prepare(str(disk), LABEL)
    assert done.returncode == 1
    assert "is neither blank nor labelled 'matinee': nothing was changed" in done.stderr
    assert disk.read_bytes() == before


@needs_tools
def test_it_waits_for_the_volume(disk: Path, prepare: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    late = disk.with_name("late")
    mover = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; mv {disk} {late}"])
    done = prepare(str(late), LABEL)
    mover.wait()
    assert done.returncode == 0
    assert f"waiting for {late} to be attached" in done.stderr
    assert _label(late) == LABEL


@needs_tools
def test_a_real_mount_keeps_its_data_and_changes_hands(
    disk: Path, prepare: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The whole script on a loop device, twice: what the first server wrote is the second's."""
    made = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=False)
    if os.geteuid() != 0 or made.returncode:
        pytest.skip(f"needs root and a loop device ({made.stderr.strip()})")
    device, mount, label = made.stdout.strip(), tmp_path / "mnt", "matinee-test"
    fstab = tmp_path / "fstab"
    try:
        first = prepare(device, label, str(mount), "nobody")
        if "denied" in first.stderr:
            pytest.skip(f"may not mount here ({first.stderr.splitlines()[-1]})")
        assert first.returncode == 0, first.stderr
        (mount / "kept").write_text("kept")
        subprocess.run(["umount", str(mount)], check=True)
        second = prepare(device, label, str(mount), "daemon")
        assert second.returncode == 0, second.stderr
        assert (mount / "kept").read_text() == "kept"
        assert mount.owner() == (mount / "kept").owner() == "daemon"
        assert fstab.read_text().count("LABEL=") == 1
    finally:
        subprocess.run(["umount", str(mount)], capture_output=True, check=False)
        subprocess.run(["losetup", "--detach", device], check=False)
