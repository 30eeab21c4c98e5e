"""How fast a split is evaluated: SSE-PT's forward pass, the ranks among 24,000 items, and the live counts of the prior.

    python benchmarks/evaluate.py                                    # a log made for it, every history full
    python benchmarks/evaluate.py --version versions/games --split test
    python benchmarks/evaluate.py --events 4096 --rounds 1

The model is not trained, as its speed does not depend on what it has learnt: 50 + 50 dimensions, 2 blocks, maxlen 50.
Four ways (no prior, a prior with a window by PyTorch and by ONNX Runtime, the choice among 33 priors) and the forward
pass alone run in turn. The figures go to benchmarks/results/evaluate.json; docs/benchmarks.md tells them. Exit code 1
where the bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import matinee
from machine import describe_machine
from matinee.model.checkpoint import ONNX, CheckpointFacts
from matinee.model.export_onnx import export_onnx
from matinee.model.onnx_recommender import OnnxRecommender
from matinee.model.recommender import Known, Prior
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from matinee.train.evaluate import evaluate_split
from matinee.train.past import Past
from matinee.train.prior import choose_prior
from matinee.train.targets import targets_in_time
from matinee.version import open_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.model.histories import Histories
    from matinee.model.recommender import Recommender
    from matinee.schema.layout import Split
    from matinee.version import Version

__all__ = ["main"]

BAR_EVENTS_PER_S = 5_000
ITEMS, MAXLEN = 24_000, 50
_USERS, _EVENTS_A_USER = 1_600, 240
_ASKED_AT_ONCE = 349  # as evaluation does with 24,000 items
_RESULTS = Path(__file__).parent / "results" / "evaluate.json"
_LIBRARIES = ("matinee", "torch", "onnxruntime", "numba", "numpy")


def main() -> int:
    """All rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=Path, help="a version's folder instead of the log that is made")
    parser.add_argument("--split", choices=["eval", "test"], default="test")
    parser.add_argument("--events", type=int, default=16_384, help="how many of the split's are asked about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        version = open_version(chosen.version or _dense_log(Path(folder)))
        result = _measure(version, chosen.split, chosen.events, chosen.rounds)
    for name, rates in result["events_per_s"].items():
        cpu_us = median(result["cpu_us_an_event"][name])
        print(f"{name:<22} {median(rates):8,.0f} events/s {[round(rate) for rate in rates]}, {cpu_us:.0f} us CPU each")
    print(f"others used {result['foreign_share']:.0%} of the cores")
    chosen.results.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["median_events_per_s"]["prior with a window"] >= BAR_EVENTS_PER_S else 1


def _dense_log(folder: Path) -> Path:
    """A version by time with 24,000 items, all in train, in which every user of test has a history beyond maxlen."""
    chance = np.random.default_rng(0)
    events = _USERS * _EVENTS_A_USER
    shares = 1 / (np.arange(ITEMS) + 20.0)
    items = np.concatenate([np.arange(ITEMS), chance.choice(ITEMS, events - ITEMS, p=shares / shares.sum())])
    users = np.tile(np.arange(_USERS), _EVENTS_A_USER)  # in turn, so that all have equally long histories
    log = folder / "log.csv"
    rows = (
        f"{user},{item},{10**9 + 60 * place}\n" for place, (user, item) in enumerate(zip(users, items, strict=True))
    )
    log.write_text("user,item,time\n" + "".join(rows))
    return Path(matinee.transform(log, out=folder / "version", archives=folder).folder)


def _measure(version: Version, split: Split, events: int, rounds: int) -> dict[str, Any]:
    known = Known(version.known_users, version.known_items)
    model = SSEPT.initial(SSEPTSettings(maxlen=MAXLEN, item_dim=50, user_dim=50, blocks=2), known)

    def once(asked: Recommender, prior: Prior) -> Callable[[int], object]:
        def run(limit: int) -> object:
            asked.prior = prior
            return evaluate_split(asked, version, split=split, limit=limit)

        return run

    ways: dict[str, Callable[[int], object]] = {
        "no prior": once(model, Prior()),
        "prior with a window": once(model, Prior(0.3, 30 * 86_400)),
        "the same, ONNX Runtime": once(_exported(model, version), Prior(0.3, 30 * 86_400)),
        "forward pass alone": lambda limit: _forward(model, version, split, limit),
        "choice among priors": lambda limit: choose_prior(model, version, split=split, limit=limit),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    cpu_us: dict[str, list[float]] = {name: [] for name in ways}
    busy_s, wall_s = _others_s(), time.perf_counter()
    for number in range(rounds + 1):  # the first compiles, and fills the caches
        for name, way in ways.items():
            limit = events if number else 2_048
            begun_s, cpu_s = time.perf_counter(), time.process_time()
            way(limit)
            if number:
                rates[name].append(limit / (time.perf_counter() - begun_s))
                cpu_us[name].append((time.process_time() - cpu_s) / limit * 1e6)
    cores = len(os.sched_getaffinity(0))
    return {
        "version": version.id,
        "items": version.items,
        "split": split,
        "events": events,
        "mean_history": _mean_history(version, split, events),
        "settings": {"maxlen": MAXLEN, "item_dim": 50, "user_dim": 50, "blocks": 2},
        "events_per_s": rates,
        "cpu_us_an_event": cpu_us,
        "median_events_per_s": {name: median(values) for name, values in rates.items()},
        "threads": torch.get_num_threads(),
        "bar_events_per_s": BAR_EVENTS_PER_S,
        "foreign_share": (_others_s() - busy_s) / ((time.perf_counter() - wall_s) * cores),
        "machine": describe_machine(_LIBRARIES),
    }


def _exported(model: SSEPT, version: Version) -> OnnxRecommender:
    """The model as `matinee evaluate` asks it where its folder has a `model.onnx`."""
    manifest = version.manifest
    facts = CheckpointFacts.of(
        model,
        dataset=version.name,
        version=version.id,
        manifest_sha256=version.sha256,
        users=manifest.users,
        items=manifest.items,
    )
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, facts, Path(folder) / ONNX)
        return OnnxRecommender((Path(folder) / ONNX).read_bytes(), threads=len(os.sched_getaffinity(0)))


def _forward(model: SSEPT, version: Version, split: Split, limit: int) -> None:
    for asked in _histories(version, split):
        if limit <= 0:
            return
        model.scores(asked)
        limit -= len(asked)


def _mean_history(version: Version, split: Split, events: int) -> float:
    """How many positions the model sees, on average over the events."""
    return float(np.concatenate([asked.lengths for asked in _histories(version, split)])[:events].mean())


def _histories(version: Version, split: Split) -> Iterator[Histories]:
    past, everybody = Past(version, split), np.ones(version.users + 1, np.bool_)
    for scene in targets_in_time(version, split, everybody, window_s=None, counting=False):
        for start in range(0, len(scene.asked), _ASKED_AT_ONCE):
            part = scene.asked.part(start, start + _ASKED_AT_ONCE)
            yield past.before(part.users, part.positions, MAXLEN)


def _others_s() -> float:
    """CPU seconds since boot of everybody but this process."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _, _, irq, soft_irq, steal = (int(field) for field in fields[:8])
    mine = os.times()
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK") - mine.user - mine.system


if __name__ == "__main__":
    raise SystemExit(main())
