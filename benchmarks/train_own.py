"""One training of Matinee's, as a process of its own, so that it is measured as its peers are.

    .venv/bin/python benchmarks/train_own.py JOB OUT        # JOB is JSON; train_parts.py writes it

The job says which version, which model with which settings and seed, and what to do: 'speed' takes a rate, 'steps'
takes some steps (for memory), 'judge' trains to the best validation and evaluates, 'strangers' evaluates one training
under each stand-in with and without prior, 'count' evaluates a model that is counted in one go.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parent / "train_peers"))  # scripts for another environment, not a package
from exchange import Clock  # found through the line above

from matinee.model.options import divide, settings_of
from matinee.model.recommender import Known, Prior
from matinee.model.table import find_model
from matinee.train.evaluate import evaluate_split
from matinee.train.train_settings import TrainSettings
from matinee.version import Version, open_version
from train_judge import JUDGED, KEPT

if TYPE_CHECKING:
    from matinee.model.neural import NeuralRecommender
    from matinee.train.loop import EpochFacts, Fitted
    from matinee.train.state import Reached

__all__ = ["main"]

Job = dict[str, Any]

_STRANGERS = ("mean", "unk", "clip")


class Enough(Exception):  # noqa: N818 - nothing is wrong
    """Ends a training from outside."""


class Timed:
    """Ends a training by the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        """See `matinee.train.loop.Observer`."""
        del epochs, steps_per_epoch, reached
        self._clock.start()

    def on_step(self, sequences: int) -> None:
        """See `matinee.train.loop.Observer`."""
        if not self._clock.tick(sequences):
            raise Enough

    def on_epoch(self, facts: EpochFacts) -> None:
        """Epochs do not matter here."""


class Counted(Timed):
    """Ends a training after some steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        """See `matinee.train.loop.Observer`."""

    def on_step(self, sequences: int) -> None:
        """See `matinee.train.loop.Observer`."""
        del sequences
        self._left -= 1
        if not self._left:
            raise Enough


def speed(job: Job, version: Version, out: Path) -> None:
    """Train for some seconds, and write the rate as peers do."""
    clock = Clock(out, job["seconds"], job["warm_up"])
    _train_until_enough(job, version, out, Timed(clock))
    clock.finish(1.0)


def steps(job: Job, version: Version, out: Path) -> None:
    """Take some steps; whoever started this process looks at its memory."""
    _train_until_enough(job, version, out, Counted(job["steps"]))
    _write(out, {"steps": job["steps"]})


def judge(job: Job, version: Version, out: Path) -> None:
    """Train to the best validation within the time, choose the prior if asked, evaluate on test."""
    fitted = _fitted(job, version, out)
    if job["prior"]:
        fitted.model.prior = _prior(fitted.model, job, version)
    _write(out, {**_facts(fitted), "prior": _words(fitted.model.prior), "judged": _judged(fitted.model, job, version)})


def strangers(job: Job, version: Version, out: Path) -> None:
    """One training, judged under each stand-in, with and without the prior that validation chooses."""
    fitted = _fitted(job, version, out)
    judged = {}
    for stranger in _STRANGERS:
        settings = replace(fitted.model.settings, stranger=stranger)
        model = type(fitted.model).from_arrays(settings, fitted.model.known, fitted.model.arrays())
        judged[f"{stranger}, no prior"] = _judged(model, job, version)
        model.prior = _prior(model, job, version)
        judged[f"{stranger}, prior"] = {**_judged(model, job, version), "prior": _words(model.prior)}
    _write(out, {**_facts(fitted), "judged": judged})


def count(job: Job, version: Version, out: Path) -> None:
    """A model that is counted in one go, with the prior it comes with."""
    kind, settings_kind = find_model(job["model"]).load()
    known = Known(version.known_users, version.known_items)
    settings = settings_of(settings_kind, job["set"], job["model"])
    model = kind.fit(settings, version.sequences("train"), known)  # type: ignore[attr-defined]  # the counted have it
    _write(out, {"prior": _words(model.prior), "judged": _judged(model, job, version)})


def main() -> None:
    """The command line."""
    job, out = json.loads(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    doing = {each.__name__: each for each in (speed, steps, judge, strangers, count)}
    doing[job["do"]](job, open_version(job["version"]), out)


def _train_until_enough(job: Job, version: Version, out: Path, observer: Timed) -> None:
    from matinee.train.loop import fit  # noqa: PLC0415 - see _fitted

    model, plan = _untrained(job, version)
    plan = replace(plan, epochs=10**6, validate_every=10**6)
    try:
        fit(model, version, plan, folder=out / "training", validate=_never, observer=observer, resume=False)
    except Enough:
        return
    raise RuntimeError("training ended by itself")


def _never(model: NeuralRecommender) -> dict[str, float]:
    raise RuntimeError(f"{model.name} was to be stopped before its first validation")


def _untrained(job: Job, version: Version) -> tuple[NeuralRecommender, TrainSettings]:
    kind, settings_kind = find_model(job["model"]).load()
    for_model, for_plan = divide(job["set"], (settings_kind, TrainSettings), job["model"])
    settings = settings_of(settings_kind, for_model, job["model"])
    plan = settings_of(TrainSettings, {**for_plan, "seed": job["seed"]}, "training")
    known = Known(version.known_users, version.known_items)
    return kind.initial(settings, known, job["seed"]), plan  # type: ignore[attr-defined]  # the neural have it


def _fitted(job: Job, version: Version, out: Path) -> Fitted:
    from matinee.train.loop import fit  # noqa: PLC0415 - 'count' does without torch

    model, plan = _untrained(job, version)
    plan = replace(plan, time_limit_s=job["seconds"])

    def validate(candidate: NeuralRecommender) -> dict[str, float]:
        return evaluate_split(candidate, version, split="eval", limit=plan.validation_events, **_first(job)).metrics

    return fit(model, version, plan, folder=out / "training", validate=validate, resume=False)


def _prior(model: NeuralRecommender, job: Job, version: Version) -> Prior:
    from matinee.train.prior import choose_prior  # noqa: PLC0415 - half of the jobs have none

    return choose_prior(model, version, **_first(job)).prior


def _first(job: Job) -> dict[str, Any]:
    """The protocol that the bar is held against, which validation follows too."""
    return JUDGED[job["judged_by"][0]]


def _judged(model: Any, job: Job, version: Version) -> dict[str, Any]:
    """Protocol -> what the evaluation on test says."""
    said = {}
    for name in job["judged_by"]:
        whole = evaluate_split(model, version, split="test", **JUDGED[name]).as_json()
        said[name] = {key: value for key, value in whole.items() if key in KEPT}
    return said


def _words(prior: Prior) -> dict[str, Any]:
    return {"weight": prior.weight, "window_s": prior.window_s}


def _facts(fitted: Fitted) -> dict[str, Any]:
    reached = fitted.reached
    return {
        "trained_s": reached.seconds,
        "epochs": reached.epoch,
        "best_epoch": reached.best_epoch,
        "ended_by": reached.ended,
        "sequences_per_s": reached.sequences / reached.seconds,
        "validation": fitted.metrics,
    }


def _write(out: Path, facts: dict[str, Any]) -> None:
    (out / "run.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
