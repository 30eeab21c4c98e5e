"""The Dockerfile: small, without tools for building at the end, and its install line works in a fresh environment."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from compose_file import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

ROOT = FOLDER.parent
TEXT = (FOLDER / "Dockerfile").read_text()


def stages() -> dict[str, list[str]]:
    """Instructions by stage, continued lines joined, comments left out."""
    found: dict[str, list[str]] = {}
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#")))
    name = ""
    for line in lines.splitlines():
        if start := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = start[2]
            found[name] = []
        elif line.strip() and name:
            found[name].append(" ".join(line.split()))
    return found


def test_what_is_shipped_holds_no_tools_and_does_not_run_as_root() -> None:
    final = stages()
    assert [*final][-1] == "etl"  # what is built without a target
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+$", TEXT, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) == {"${PYTHON_IMAGE}", "build", "base"}
    for name in ("stack", "etl"):
        assert final[name] == [f"COPY --from=build-{name} /opt/matinee /opt/matinee"]
    base = final["base"]
    assert "USER 1000:1000" in base
    assert any("pip uninstall --yes pip" in line for line in base)
    assert not any("apt-get" in line for lines in final.values() for line in lines)
    (labels,) = [line for line in base if line.startswith("LABEL ")]
    for label in ("title", "description", "version", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels


def test_what_is_copied_is_there_and_is_let_in() -> None:
    *patterns, _ = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")] + [
        ""
    ]
    copied = [word for line in stages()["build"] if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert sorted(copied) == sorted(patterns)
    for name in copied:
        assert (ROOT / name).exists()


def test_the_environment_names_settings_that_exist() -> None:
    from matinee.settings import read_settings

    (line,) = [line for line in stages()["base"] if line.startswith("ENV ")]
    pairs = dict(pair.split("=", 1) for pair in line.split()[1:])
    told = {name: value for name, value in pairs.items() if name.startswith("MATINEE_")}
    assert str(read_settings(told).data_dir) == "/data"


@pytest.mark.registry
def test_the_install_line_works_in_a_fresh_environment(tmp_path: Path) -> None:
    (line,), (more,) = (stages()[f"build-{target}"] for target in ("etl", "stack"))
    assert more == line.removesuffix(" .") + ' ".[stack]"'  # what `make` installs, so it is not installed once more
    words = shlex.split(line.removeprefix("RUN "))
    assert words[:2] == ["python", "-m"]
    place = tmp_path / "matinee"
    words = [str(place) if word == "/opt/matinee" else word for word in words]
    context = tmp_path / "context"
    context.mkdir()
    for name in [word for line in stages()["build"] if line.startswith("COPY ") for word in line.split()[1:-1]]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, context)
    run = [sys.executable, "-m", "venv", "--without-pip", str(place)]
    subprocess.run(run, check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=context, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ended = subprocess.run(
        [place / "bin" / "matinee", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert ended.stdout.startswith("matinee ")
    assert not (place / "bin" / "pip").exists()
    shipped = {path.name: path for path in place.glob("lib/python*/site-packages/matinee/stack/notebooks/*.ipynb")}
    assert sorted(shipped) == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    for name, path in shipped.items():
        assert path.read_bytes() == (ROOT / "notebooks" / name).read_bytes()
