from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import peers
from generate import generate

_HEADER = "userId,movieId,rating,timestamp\n"


def _oracle(source: Path) -> list[str]:
    """The text job as docs/format.md says it, one row after another."""
    rows = [line.split(",") for line in source.read_text().splitlines()[1:]]
    rows.sort(key=lambda row: int(row[3]))
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    lines = [
        f"{users.setdefault(user, len(users) + 1)}\t{items.setdefault(item, len(items) + 1)}\n"
        for user, item, *_ in rows
    ]
    times = [int(row[3]) for row in rows]
    cuts = []
    for quarters in (2, 3):
        cut = len(rows) * quarters // 4
        while 0 < cut < len(rows) and times[cut - 1] == times[cut]:
            cut += 1
        cuts.append(cut)
    return ["".join(lines[start:end]) for start, end in ((0, cuts[0]), (cuts[0], cuts[1]), (cuts[1], len(rows)))]


def _write_tied(path: Path, rows: int, seconds: int, seed: int) -> None:
    choose = random.Random(seed)
    lines = (
        f"{choose.randint(1, 9)},{choose.randint(1, 30)},3.5,{1_000_000_000 + choose.randrange(seconds)}\n"
        for _ in range(rows)
    )
    path.write_text(_HEADER + "".join(lines))


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_a_peer_does_what_the_rules_say(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name.partition("-")[0], reason="comes with the extra 'bench'")
    for order in ("user", "time", "random"):
        generate(tmp_path / f"{order}.csv", 4000, order=order)
    for seed, (rows, seconds) in enumerate([(2, 1), (2, 9), (3, 2), (40, 1), (40, 3), (300, 20), (5000, 4)]):
        _write_tied(tmp_path / f"{rows}-{seconds}.csv", rows, seconds, seed)
    for source in tmp_path.glob("*.csv"):
        out = tmp_path / source.stem
        out.mkdir()
        peers.PEERS[name](source, out)
        assert [(out / text).read_text() for text in peers.TEXTS] == _oracle(source), source.name
        assert {path.name for path in out.iterdir()} == set(peers.TEXTS)


def test_a_peer_runs_as_a_process(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="comes with the extra 'bench'")
    _write_tied(tmp_path / "log.csv", 100, 30, seed=0)
    command = [sys.executable, str(Path(peers.__file__)), "duckdb", "log.csv", "new/out"]
    subprocess.run(command, check=True, cwd=tmp_path)
    texts = [(tmp_path / "new" / "out" / text).read_text() for text in peers.TEXTS]
    assert texts == _oracle(tmp_path / "log.csv")
