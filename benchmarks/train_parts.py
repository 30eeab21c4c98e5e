"""What benchmarks/train.py measures, a part a function: each lists its runs, and each run is one process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["PARTS", "Place", "Run", "execute"]

_HERE = Path(__file__).parent
_SETTINGS = _HERE / "train_settings.toml"
_PEERS = {"recbole": "recbole_sasrec.py", "rectools": "rectools_sasrec.py", "padded": "padded_loop.py"}
_SAME_SIZES = ("--dim", "50", "--heads", "1", "--blocks", "2")
# Names of train_judge.JUDGED; the first of a run is the one that validation follows.
_FULL = "leave-one-out, full ranking"
_NEGATIVES = "leave-one-out, 100 negatives"
_IN_TIME = "time, full ranking"

_LONG_MAXLEN = 200
_SNAPSHOTS = 6
_LARGE_ROWS = 48_000_000
_STEPS = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where things lie.

    Attributes:
        folder: for data and what runs leave; below the temporary folder by default.
        peers_python: of the environment with RecBole and RecTools.
        games: the log of Games.
    """

    folder: Path
    peers_python: Path
    games: Path


@dataclass(frozen=True, slots=True)
class Run:
    """One training of one way.

    Attributes:
        data: 'games' or 'long', 'ml-100k', 'large'.
        way: who trains, and how, in the results' words.
        seed: of everything that is drawn.
        command: what is run; OUT in it stands for the folder of what it leaves.
        facts: what else is told in the results; part of the run's identity.
        after: reads more figures from that folder, once the process has ended.
    """

    data: str
    way: str
    seed: int
    command: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    after: Callable[[Path], dict[str, Any]] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same."""
        return {"data": self.data, "way": self.way, "seed": self.seed, **self.facts}


def execute(run: Run, place: Place) -> dict[str, Any]:
    """Run it, measured from outside, and return all that is known about it.

    Raises:
        CommandError: it failed.
    """
    out = place.folder / f"run-{run.data}-{run.way}-{run.seed}".replace(" ", "-")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    usage = measure.run([str(out) if word == "OUT" else word for word in run.command], timeout_s=7200)
    figures = json.loads((out / "run.json").read_text())
    if run.after is not None:
        figures |= run.after(out)
    shutil.rmtree(out)
    return {**run.identity, "usage": asdict(usage), **figures}


def speed(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Sequences a second, on Games and on long histories, for `minutes` each (a third of one by default).

    Matinee's own with its default loss, and with the loss that the padded loop has.
    """
    seconds = 60 * minutes if minutes else 20.0
    warm_up = seconds / 4
    for data, maxlen in (("games", 50), ("long", _LONG_MAXLEN)):
        version, task = _version(data, place)
        clock = ["--seconds", str(seconds), "--warm-up", str(warm_up), "--snapshots", "0"]
        sizes = [*_SAME_SIZES, "--maxlen", str(maxlen)]
        facts = {"seconds": seconds, "maxlen": maxlen}
        ways = {"padded": ("padded",), "padded with users": ("padded", "--user-dim", "50")}
        if data == "games":
            ways = {"recbole": ("recbole",), "rectools": ("rectools",), **ways}
        for way, (peer, *more) in ways.items():
            yield Run(data, way, seed, [*_peer(place, peer, task, seed), *clock, *sizes, *more], facts)
        for model, loss in product(("sasrec", "sse-pt"), ("", "bce")):
            said = {**_table("speed"), "maxlen": maxlen} | ({"user_dim": 50} if model == "sse-pt" else {})
            said |= {"loss": loss} if loss else {}
            job = {"do": "speed", "model": model, "set": said, "seconds": seconds, "warm_up": warm_up}
            way = f"matinee {model}" + (f", {loss}" if loss else "")
            yield Run(data, way, seed, _own(job, version, seed), {**facts, "set": said})


def games(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Games with 100 negatives, within ten minutes of training."""
    yield _judged("games-10min", "games", place, seed, minutes, [_NEGATIVES, _FULL])


def games_best(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Games with 100 negatives, with as long as it takes."""
    yield _judged("games-best", "games", place, seed, minutes, [_NEGATIVES, _FULL])


def games_full(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Games over the whole catalogue, against the peers for the same time: at our sizes and at those they recommend."""
    minutes = minutes or _table("games-full")["minutes"]
    yield _judged("games-full", "games", place, seed, minutes, [_FULL, _NEGATIVES])
    version, task = _version("games", place)
    clock = ["--seconds", str(60 * minutes), "--snapshots", str(_SNAPSHOTS)]
    for peer in _PEERS:
        sizes = {"our sizes": [*_SAME_SIZES, "--maxlen", "50"]}
        if peer != "padded":
            sizes["recommended sizes"] = []
        for name, words in sizes.items():
            command = [*_peer(place, peer, task, seed), *clock, *words]
            facts = {"minutes": minutes, "sizes": name}
            yield Run("games", f"{peer}, {name}", seed, command, facts, _judge_snapshots(version))


def ml_100k(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """MovieLens 100k cut in time, every test event over the whole catalogue."""
    for table in ("ml-100k-full", "ml-100k-sasrec"):
        yield _judged(table, "ml-100k", place, seed, minutes, [_IN_TIME])
    version, _ = _version("ml-100k", place)
    for model in ("popularity", "recent-popularity", "markov", "item-knn"):
        job = {"do": "count", "model": model, "set": {}, "judged_by": [_IN_TIME]}
        yield Run("ml-100k", model, seed, _own(job, version, seed), {"set": {}})


def strangers(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Stand-ins for cold people, with user SSE and without, with the prior and without."""
    for sse in ("on", "off"):
        table = _table("ml-100k-full") | _table(f"strangers-{sse}")
        yield _judged(table, "ml-100k", place, seed, minutes, [_IN_TIME], do="strangers", way=f"user SSE {sse}")


def memory(place: Place, seed: int, minutes: float | None) -> Iterator[Run]:
    """Memory of training on 48 M generated events, some hundred steps."""
    del minutes
    version, _ = _version("large", place)
    said = {key: value for key, value in _table("games-full").items() if key not in _BENCHMARKS_OWN}
    job = {"do": "steps", "model": "sse-pt", "set": said, "steps": _STEPS}
    facts = {"events": _LARGE_ROWS, "set": said}
    yield Run("large", "matinee sse-pt", seed, _own(job, version, seed), facts)


PARTS = {
    "speed": speed,
    "games": games,
    "games-best": games_best,
    "games-full": games_full,
    "ml-100k": ml_100k,
    "strangers": strangers,
    "memory": memory,
}

_BENCHMARKS_OWN = ("model", "minutes", "prior")


def _table(name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(_SETTINGS.read_text())[name]
    return found


def _judged(
    table: str | Mapping[str, Any],
    data: str,
    place: Place,
    seed: int,
    minutes: float | None,
    judged_by: list[str],
    *,
    do: str = "judge",
    way: str = "",
) -> Run:
    """Matinee's training with a table's settings, to the best validation, judged on test."""
    words = _table(table) if isinstance(table, str) else dict(table)
    version, _ = _version(data, place)
    said = {key: value for key, value in words.items() if key not in _BENCHMARKS_OWN}
    minutes = minutes or words["minutes"]
    job = {
        "do": do,
        "model": words["model"],
        "set": said,
        "seconds": 60 * minutes,
        "prior": words["prior"],
        "judged_by": judged_by,
    }
    facts = {"minutes": minutes, "prior_asked": words["prior"], "set": said}
    return Run(data, way or f"matinee {words['model']}", seed, _own(job, version, seed), facts)


def _own(job: Mapping[str, Any], version: Path, seed: int) -> list[str]:
    words = json.dumps({**job, "version": str(version), "seed": seed})
    return [sys.executable, str(_HERE / "train_own.py"), words, "OUT"]


def _peer(place: Place, peer: str, task: Path, seed: int) -> list[str]:
    python = sys.executable if peer == "padded" else str(place.peers_python)
    return [python, str(_HERE / "train_peers" / _PEERS[peer]), str(task), "OUT", "--seed", str(seed)]


def _version(data: str, place: Place) -> tuple[Path, Path]:
    """The folders of the version and of what peers train from, made in a process of its own where they are missing.

    This process stays small, as measure.py asks for.
    """
    version, task = place.folder / data, place.folder / f"{data}-task"
    if not (version / "manifest.json").exists() or (data in {"games", "long"} and not (task / "task.json").exists()):
        place.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(_HERE / "train_data.py"), data, str(place.folder)]
        more = {"games": ["--games", str(place.games)], "large": ["--rows", str(_LARGE_ROWS)]}
        subprocess.run([*command, *more.get(data, [])], check=True)
    return version, task


def _judge_snapshots(version_folder: Path) -> Callable[[Path], dict[str, Any]]:
    """The snapshot that is best on validation, judged on test by Matinee's own evaluation."""

    def judge(out: Path) -> dict[str, Any]:
        subprocess.run([sys.executable, str(_HERE / "train_judge.py"), str(version_folder), str(out)], check=True)
        found: dict[str, Any] = json.loads((out / "judged.json").read_text())
        return found

    return judge
