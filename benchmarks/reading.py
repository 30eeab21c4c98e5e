"""How fast a version of any size is opened, what that costs in memory, and what the first reads cost.

The version is made without a transform: manifest and certificate of a small real one, their counts replaced, and
sequences of the wanted size beside them, with random items and user lengths like MovieLens' (log-normal, 20 at least).
So nothing but sequences can be read of it. Each measurement is a process of its own that has imported NumPy, once with
the files in the machine's page cache and once after they have been dropped from it. Linux only: memory is read from
/proc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import matinee
from machine import busy_share, describe_machine
from matinee.schema.layout import CERTIFICATE, MANIFEST, SPLITS, sequence_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESULTS = Path(__file__).parent / "results" / "reading.json"
_SHARES = (0.5, 0.25, 0.25)
_EVENTS_A_USER = 165  # about MovieLens 25M's
_ITEMS = 60_000
_WRITTEN_AT_ONCE = 1 << 22
_READ_USERS = 1_000


def main() -> None:
    """Make the version, measure, print and keep what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=20e6, help="events of all three splits; 20e6 by default")
    parser.add_argument("--users", type=float, help=f"by default one for {_EVENTS_A_USER} events")
    parser.add_argument("--dir", type=Path, help="where 4 bytes an event fit; by default the temporary folder")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        sys.stdout.write(json.dumps(_measure(*asked.measure)) + "\n")
        return
    rows = int(asked.rows)
    users = int(asked.users or rows / _EVENTS_A_USER)
    with tempfile.TemporaryDirectory(dir=asked.dir) as folder:
        version = _make(Path(folder), rows, users)
        busy = busy_share()
        runs = {
            name: {then: _run(version, then, cached=name == "cached") for then in ("users", "items")}
            for name in ("cached", "dropped")
        }
    result = {
        "rows": rows,
        "users": users,
        "runs": runs,
        "busy": busy,
        "machine": describe_machine(("matinee", "numpy")),
    }
    _RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    for name, ways in runs.items():
        for facts in ways.values():
            sys.stdout.write(f"{name}: {facts}\n")


def _make(folder: Path, rows: int, users: int) -> Path:
    """A folder that opens as a version with so many events and users; what else a version has is a small one's."""
    (folder / "log.csv").write_text("user,item,time\n" + "".join(f"{n % 9},{n % 7},{n}\n" for n in range(100)))
    small = matinee.transform(folder / "log.csv", out=folder / "version", raw=False)
    chance = np.random.default_rng(0)
    weights = 20 + chance.lognormal(4, 1.3, users)
    certificate, totals = small.certificate, []
    for split, share in zip(SPLITS, _SHARES, strict=True):
        lengths = chance.multinomial(int(rows * share), weights / weights.sum())
        totals.append(int(lengths.sum()))
        np.save(small.folder / sequence_path(split, "offsets"), np.cumsum([0, 0, *lengths]))
        _write_items(small.folder / sequence_path(split, "items"), totals[-1], chance)
        certificate = replace(certificate, **{split: replace(getattr(certificate, split), rows=totals[-1])})
    manifest = small.manifest
    manifest = replace(
        manifest, users=replace(manifest.users, count=users), items=replace(manifest.items, count=_ITEMS)
    )
    (small.folder / CERTIFICATE).write_text(certificate.to_json())
    (small.folder / MANIFEST).write_text(manifest.to_json())
    return small.folder


def _write_items(path: Path, size: int, chance: np.random.Generator) -> None:
    items = np.lib.format.open_memmap(path, "w+", np.int32, (size,))
    for start in range(0, size, _WRITTEN_AT_ONCE):
        piece: NDArray[np.int32] = items[start : start + _WRITTEN_AT_ONCE]
        piece[:] = chance.integers(1, _ITEMS, piece.size, np.int32, endpoint=True)
    items.flush()


def _run(version: Path, then: str, *, cached: bool) -> dict[str, Any]:
    """One measurement in a process of its own."""
    for split in SPLITS:
        for part in ("offsets", "items"):
            _prepare(version / sequence_path(split, part), cached=cached)  # type: ignore[arg-type]
    command = [sys.executable, __file__, "--measure", str(version), then]
    facts: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return facts


def _prepare(path: Path, *, cached: bool) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)  # only what is on the disk can be dropped
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    if cached:
        while os.read(handle, _WRITTEN_AT_ONCE):
            pass
    os.close(handle)


def _measure(folder: str, then: str) -> dict[str, Any]:
    """Seconds and resident memory of opening, and of what is read then: 'users', some at random, or 'items', all."""
    facts: dict[str, Any] = {"before": _resident_mb()}
    began_s = time.perf_counter()
    version = matinee.open_version(folder)
    sequences = [version.sequences(split) for split in SPLITS]
    opened_s = time.perf_counter()
    facts["open"] = {"s": round(opened_s - began_s, 4), **_resident_mb()}
    for part in sequences:
        if then == "items":
            _ = part.items
        else:
            for user in np.random.default_rng(1).integers(1, version.users, _READ_USERS).tolist():
                part.of(user)
    facts[then] = {"s": round(time.perf_counter() - opened_s, 4), **_resident_mb()}
    return facts


def _resident_mb() -> dict[str, float]:
    """Of this process: its own memory, and what is mapped of files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: round(int(lines[key].split()[0]) / 1024, 1) for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))
    }


if __name__ == "__main__":
    main()
