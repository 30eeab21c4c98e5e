"""What a log looks like to a sequential model: the figures that benchmarks/synth.py compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import matinee

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.version import Version

__all__ = ["MODELS", "likeness", "look_at", "predictability"]

MODELS = ("markov", "item-knn")
GAP_EDGES_S = (0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600, 86_400, 7 * 86_400, 30 * 86_400, 10**9)
_SESSION_S = 1800
_POINTS = 120


def look_at(version: Version) -> dict[str, Any]:
    """Popularity, lengths, gaps, ties and cold shares of a version's log."""
    user, item, time = _columns(version)
    certificate = version.certificate
    lengths, counts = np.bincount(user)[1:], np.sort(np.bincount(item)[1:])[::-1]
    by_user = np.argsort(user, kind="stable")
    same_user = np.diff(user[by_user]) == 0
    gaps = np.diff(time[by_user])[same_user]
    tied = np.zeros(user.size, bool)
    second = np.concatenate(([False], same_user & (np.diff(time[by_user]) == 0)))
    tied |= second
    tied[:-1] |= second[1:]
    splits = {"eval": certificate.eval, "test": certificate.test}
    return {
        "rows": int(user.size),
        "users": int(lengths.size),
        "items": int(counts.size),
        "popularity": _popularity(counts),
        "lengths": {
            "mean": float(lengths.mean()),
            "quantiles": _quantiles(lengths, (0.1, 0.5, 0.9, 0.99)),
            "at_least": [(int(at), float((lengths >= at).mean())) for at in _spread(int(lengths.max()))],
        },
        "gaps": {
            "at_most": [(edge, float((gaps <= edge).mean())) for edge in GAP_EDGES_S],
            "new_session": float((gaps > _SESSION_S).mean()),
        },
        "tied": {"with_own": float(tied.mean()), "with_anybody": certificate.tied_events / user.size},
        "cold": {
            name: {"by_users": facts.by_cold_users / facts.rows, "on_items": facts.on_cold_items / facts.rows}
            for name, facts in splits.items()
        },
    }


def predictability(version: Version, folder: Path, users: int | None) -> dict[str, Any]:
    """HR@10 on the test split, with its 95% interval, of models that are counted; no recency prior."""
    trained = []
    for model in MODELS:
        matinee.train(version.folder, model=model, prior="off", track=False, out=folder / model, data_dir=folder)
        trained.append(folder / model)
    report = matinee.evaluate(
        *trained, version=version.folder, split="test", users=users, out=folder / "report", data_dir=folder
    )
    found = {}
    for one in report.models:
        everything = one.evaluation.segments["all"]
        low, high = everything.intervals["hr@10"]
        found[one.label] = {
            "hr@10": everything.metrics["hr@10"],
            "low": low,
            "high": high,
            "events": everything.events,
            "users": everything.users,
        }
    return found


def likeness(log: Path, originals: list[int], items: int) -> dict[str, float]:
    """How many of the source's `items` copies of one user share, in any block: Jaccard's index of each and the next."""
    user, item = np.loadtxt(log, np.int64, delimiter=",", skiprows=1, usecols=(0, 1), unpack=True)
    starts = np.flatnonzero(np.diff(user, prepend=0))
    sets = [set(own.tolist()) for own in np.split((item - 1) % items, starts[1:])]
    last: dict[int, set[int]] = {}
    shared = []
    for own, original in zip(sets, originals, strict=True):
        if original in last:
            shared.append(len(own & last[original]) / len(own | last[original]))
        last[original] = own
    return _quantiles(np.array(shared), (0.1, 0.5, 0.9))


def _columns(version: Version) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """The whole log in order of time, dense ids; (events,) each."""
    batches = [batch for split in ("train", "eval", "test") for batch in version.events(split)]
    user, item, time = (np.concatenate([batch[column] for batch in batches]) for column in range(3))
    return user, item, time


def _popularity(counts: NDArray[np.int64]) -> dict[str, Any]:
    """`counts` descend."""
    shares = counts / counts.sum()
    return {
        "ranks": [(int(rank), float(shares[rank - 1])) for rank in _spread(counts.size)],
        "first": float(shares[0]),
        "first_hundredth": float(shares[: max(1, counts.size // 100)].sum()),
        "first_tenth": float(shares[: max(1, counts.size // 10)].sum()),
        "items_below_5": float((counts < 5).mean()),
    }


def _spread(most: int) -> list[int]:
    """Whole numbers from 1 to `most`, evenly spread on a logarithmic axis."""
    return sorted({round(most ** (step / _POINTS)) for step in range(_POINTS + 1)})


def _quantiles(values: NDArray[Any], at: tuple[float, ...]) -> dict[str, float]:
    return {f"{share:g}": float(value) for share, value in zip(at, np.quantile(values, at), strict=True)}
