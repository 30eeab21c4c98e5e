from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest

from matinee.cli.replay_screen import ReplayScreen
from matinee.replay.folder import Record
from matinee.replay.live_document import LiveDocument
from matinee.replay.plan import Arm, Plan
from replay_oracle import make_stream

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    """A terminal that keeps what it was sent."""

    def isatty(self) -> bool:
        return True

    def taken(self) -> str:
        """What came since the last time, without what moves the cursor or colours."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": "90", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    record = Record("id", Plan("toy", "0123456789abcdef", "00"), (Arm("it", "", "", "", "", ""),), (), {}).begun()
    return LiveDocument(tmp_path, record, make_stream([(True, True)] * 3)).make("running")


def test_the_picture_takes_the_bars_place_and_gives_it_back(terminal: Terminal, document: dict[str, Any]) -> None:
    screen = ReplayScreen(terminal)
    screen.start("start the server", None, "files")
    screen.finish("up")
    assert "start the server:" in terminal.taken()
    screen.show(document)
    assert re.search(r"toy 0123456789abcdef, eval: 3 events, as fast as possible; running\n", terminal.taken())
    screen.start("replay", 3, "events")
    screen.advance(3)
    screen.finish()
    assert not terminal.taken(), "the picture tells more than a bar"
    screen.say("the server is slow")
    shown = terminal.taken()
    assert shown.index("the server is slow") < shown.index("toy 0123456789abcdef")
    screen.show(document | {"state": "finished"})
    assert "; finished" in terminal.taken()
    screen.start("report", 3, "files")
    screen.advance(3)
    screen.finish()
    screen.say("that was it")
    assert re.search(r"report: 3 files in .*\nthat was it\n$", terminal.taken())


def test_the_cursor_is_there_again_in_the_end(terminal: Terminal, document: dict[str, Any]) -> None:
    screen = ReplayScreen(terminal)
    screen.show(document)
    assert "\x1b[?25l" in terminal.getvalue()
    screen.show(document | {"state": "failed"})
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")
