from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from rich.console import Console

from matinee.cli import main
from matinee.cli.monitor import Picture
from matinee.cli.screen import graph
from matinee.network import Flow, Interface, Reading


def test_away_from_a_terminal_it_is_a_line_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "lo", "--every-s", "0.02", "--seconds", "0.04"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d  lo in \S+ \w+/s out \S+ \w+/s; processors \d+%, memory \S+ \w+ of \S+ \w+", line
        )


def test_json_is_one_document_a_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "lo", "--every-s", "0.02", "--once", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (interface,) = told["interfaces"]
    assert interface["name"] == "lo"
    assert interface["received"].keys() == interface["sent"].keys()
    assert interface["received"]["total_bytes"] > 0


def test_an_unknown_interface_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "nope0"]) == 2
    assert capsys.readouterr().err.startswith("matinee: no interface 'nope0'; this machine has ")


def test_on_a_terminal_it_moves_until_it_is_interrupted() -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "matinee", "monitor", "lo", "--every-s", "0.05"]
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.PIPE, env=environment) as process:
        os.close(follower)
        shown = b""
        deadline_s = time.monotonic() + 30
        while shown.count(b"processors") < 4 and time.monotonic() < deadline_s:
            shown += os.read(leader, 1 << 16)
        process.send_signal(signal.SIGINT)
        shown += _rest(leader)
        assert process.wait(30) == 0
        assert process.stderr
        assert process.stderr.read() == b""
    text = shown.decode()
    for word in ("interface", "average", "lo", "processors", "memory"):
        assert word in text
    assert text.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def _rest(leader: int) -> bytes:
    """What is written until the other end is closed, which Linux tells by EIO."""
    rest = b""
    try:
        while chunk := os.read(leader, 1 << 16):
            rest += chunk
    except OSError:
        pass
    os.close(leader)
    return rest


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", ["lo", "wlp0s20f3"])
def test_the_widest_figures_fit_the_terminal(width: int, name: str) -> None:
    widest = Flow(99.9e6, 99.9e6, 99.9e6, 99.9e6, 10**12, 999 * 10**9)
    reading = Reading(datetime.now(UTC), 1.0, (Interface(name, widest, widest),), 100.0, 10**9, 10**10)
    picture = Picture()
    console = Console(file=io.StringIO(), record=True, width=width)
    for _ in range(100):
        drawn = picture.of(reading, width)
    console.print(drawn)
    text = console.export_text()
    assert "…" not in text
    assert text.count("99.9 MB/s") == 8
    assert max(map(len, text.splitlines())) <= width
    assert text.splitlines()[1].count("█") == min(60, width - 63 - 9)


def test_a_graph_is_scaled_by_its_highest_value_and_shows_the_last_ones() -> None:
    assert graph([9, 0, 1, 8], 3) == " ▂█"
    assert graph([], 5) == ""
    assert graph([0.0, 0.0], 5) == "  "
