from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from matinee.serve.position import Position

if TYPE_CHECKING:
    from pathlib import Path


def test_it_moves_forward_only_and_all_see_it(tmp_path: Path) -> None:
    one, two = Position.open(tmp_path / "p"), Position.open(tmp_path / "p")
    assert two.read() == 0
    one.reach(7)
    two.reach(5)
    assert (one.read(), two.read()) == (7, 7)
    code = (
        "import sys; from pathlib import Path; from matinee.serve.position import Position\n"
        "position = Position.open(Path(sys.argv[1]))\n"
        "for place in range(3000): position.reach(int(sys.argv[2]) + place)"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "p"), str(base)]) for base in (0, 1000, 500)]
    assert [racer.wait(120) for racer in racers] == [0, 0, 0]
    assert one.read() == 3999
    assert (tmp_path / "p").stat().st_mode & 0o077 == 0
    for each in (one, two):
        each.close()
