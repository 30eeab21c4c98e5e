"""`matinee cloud ...` as it is typed: what it prints, what it asks, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from double import Double, Fault

from matinee.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from matinee.settings import Settings


@pytest.fixture
def toml(machine: Callable[..., Settings], public_key: Path) -> None:
    """The settings as a file in the working folder."""
    machine()
    settings = {"cloud": "kvm", "object_cloud": "chi", "public_key": str(public_key), "ssh_from": "203.0.113.7/32"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    Path("matinee.toml").write_text("\n".join(["[cloud]", *lines]))


@pytest.mark.usefixtures("toml")
def test_from_a_plan_to_the_end(kvm: Double, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud", "plan"]) == 0
    planned = capsys.readouterr().out
    assert planned.splitlines()[0].split() == ["action", "what", "name", "detail"]
    assert "At kvm and chi: 7 to do." in planned
    assert main(["cloud", "up", "--yes"]) == 0
    told = capsys.readouterr()
    assert "server     matinee, ACTIVE, " in told.out
    assert "address    127.0.0.70" in told.out
    assert "volume     matinee, 50 GB, attached" in told.out
    assert "container  matinee at chi, 0 objects" in told.out
    assert "server matinee: in " in told.err
    assert main(["cloud", "plan", "--json"]) == 0
    assert {step["action"] for step in json.loads(capsys.readouterr().out)["steps"]} == {"keep"}
    assert main(["cloud", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["server"]["address"] == "127.0.0.70"
    assert main(["cloud", "down", "--dry-run"]) == 0
    assert "At kvm and chi: 3 to do." in capsys.readouterr().out
    assert len(kvm.compute.servers) == 1
    assert main(["cloud", "down", "--yes"]) == 0
    assert "Removed; volume matinee, container matinee stays." in capsys.readouterr().out
    assert main(["cloud", "down", "--yes"]) == 0
    assert "Nothing to remove." in capsys.readouterr().out
    assert main(["cloud", "status"]) == 0
    assert "server     none; `matinee cloud up` makes it" in capsys.readouterr().out


@pytest.mark.usefixtures("toml")
def test_without_a_terminal_nothing_is_done_without_yes(kvm: Double, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["cloud", "up"], ["cloud", "up", "--json"], ["cloud", "up", "--quiet"]):
        assert main(words) == 2
        assert "nobody is there to say yes" in capsys.readouterr().err
    assert not kvm.compute.key_pairs


@pytest.mark.usefixtures("toml")
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("yes", 0), ("", 1), ("no", 1)])
def test_a_person_is_asked(
    answer: str, code: int, kvm: Double, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer if question == "Do this? [y/N] " else "?")
    assert main(["cloud", "up"]) == code
    assert ("Nothing was changed." in capsys.readouterr().out) == bool(code)
    assert bool(kvm.compute.servers) == (not code)


@pytest.mark.usefixtures("toml")
def test_a_wrong_name_deletes_nothing(kvm: Double, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud", "up", "--yes", "--quiet"]) == 0
    assert main(["cloud", "down", "--yes", "--delete-volume", "matine"]) == 2
    assert capsys.readouterr().err == (
        "matinee: --delete-volume 'matine': nothing was removed; the name to type here is 'matinee'\n"
    )
    assert len(kvm.compute.servers) == 1


@pytest.mark.usefixtures("toml")
def test_a_failure_is_one_line_in_a_real_process(kvm: Double) -> None:
    """Nothing else on stderr either: the libraries log, and Python prints what nobody handles."""
    kvm.faults = [Fault("refused", times=10_000)]
    argv = [sys.executable, "-m", "matinee", "cloud", "plan"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("matinee: kvm: asking for a token: the connection failed or broke off")
    assert kvm.secret not in line


@pytest.mark.usefixtures("toml")
def test_an_unknown_key_of_the_table_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    Path("matinee.toml").write_text('[cloud]\nflavor = "m1.large"\n')
    assert main(["cloud", "plan"]) == 2
    assert "unknown key 'cloud.flavor', did you mean 'cloud.flavour'?" in capsys.readouterr().err
