"""The training loop: stopped anywhere and by anything it goes on as if nothing had been; it ends when it should."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from matinee.errors import DiskFullError, ModelDamagedError, ModelError, ModelMismatchError, UsageError
from matinee.model.tensors_file import read_tensors, write_tensors
from matinee.train.evaluate import evaluate_split
from matinee.train.observer import Unobserved
from model_behaviour import planted
from own_disk import own_disk
from small_training import FORKS, Job, child, size_of_weights
from small_version import small_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matinee.model.neural import NeuralRecommender
    from matinee.train.observer import EpochFacts
    from matinee.train.state import Reached
    from matinee.version import Version
    from small_training import Result

STATE = "training.safetensors"

FORMS: dict[str, dict[str, Any]] = {
    "bce, published form": {"settings": {"loss": "bce", "norm": "query", "target_keep": 0.9}},
    "gbce, average": {"settings": {"loss": "gbce"}, "plan": {"average": 0.5, "schedule": "cosine"}},
    "sampled-softmax": {"plan": {"clip_norm": 0.1, "schedule": "linear", "warmup_steps": 4}},
    "softmax, sasrec, average": {"model": "sasrec", "settings": {"loss": "softmax"}, "plan": {"average": 0.9}},
}


class Told(Unobserved):
    """Notes what it is told, and calls `at` after each step with its number, from 1."""

    def __init__(self, at: Callable[[int], object] = lambda _: None) -> None:
        self.at, self.steps, self.sequences = at, 0, 0
        self.facts: list[EpochFacts] = []
        self.begun: list[tuple[int, int, int]] = []

    def on_start(self, epochs: int, steps_per_epoch: int, reached: Reached) -> None:
        self.steps = reached.steps
        self.begun.append((epochs, steps_per_epoch, reached.steps))

    def on_step(self, sequences: int) -> None:
        self.steps += 1
        self.sequences += sequences
        self.at(self.steps)

    def on_epoch(self, facts: EpochFacts) -> None:
        self.facts.append(facts)


def interrupt(*steps: int, number: signal.Signals = signal.SIGINT) -> Told:
    return Told(lambda step: os.kill(os.getpid(), number) if step in steps else None)


@pytest.fixture
def job(walked: Version, tmp_path: Path) -> Job:
    return Job(str(walked.folder), str(tmp_path / "model"))


@pytest.fixture(scope="session")
def references(walked: Version, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Result, int]]:
    """Each form trained without a stop, and how many steps an epoch it takes."""
    found = {}
    for name, form in FORMS.items():
        told, job = Told(), Job(str(walked.folder), str(tmp_path_factory.mktemp("reference")), **form)
        job.fit(observer=told)
        found[name] = job.result(), told.begun[0][1]
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("when", ["first", "second", "end of epoch", "begin", "last", "all"])
def test_stopped_at_any_step(form: str, when: str, job: Job, references: dict[str, tuple[Result, int]]) -> None:
    reference, each = references[form]
    last = 3 * each
    stops = {"first": [1], "second": [2], "end of epoch": [each], "begin": [each + 1, 2 * each + 1], "last": [last]}
    job = replace(job, **FORMS[form])
    for stop in stops.get(when, range(1, last + 1)):
        with pytest.raises(KeyboardInterrupt):
            job.fit(observer=interrupt(stop))
    told = Told()
    fitted = job.fit(observer=told)
    job.result().assert_same(reference)
    assert told.steps == fitted.reached.steps == last
    assert all(np.array_equal(array, reference.best[name]) for name, array in fitted.model.arrays().items())


def test_stopped_while_validating(job: Job, references: dict[str, tuple[Result, int]]) -> None:
    """Also in the last epoch, where nothing is left to do but to say that somebody wanted it to stop."""
    job, calls = replace(job, **FORMS["sampled-softmax"]), []

    def stop(model: NeuralRecommender) -> dict[str, float]:
        calls.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return size_of_weights(model)

    for epoch in range(1, 4):
        with pytest.raises(KeyboardInterrupt):
            job.fit(validate=stop)
        assert len(calls) == epoch
    job.fit(validate=stop)
    assert len(calls) == 3
    job.result().assert_same(references["sampled-softmax"][0])


def test_a_second_interrupt_while_validating_does_not_wait(job: Job, references: dict[str, tuple[Result, int]]) -> None:
    def stop_twice(_: NeuralRecommender) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    job = replace(job, **FORMS["gbce, average"])
    with pytest.raises(KeyboardInterrupt):
        replace(job, plan={**job.plan, "save_every_s": 0.0}).fit(validate=stop_twice)
    told = Told()
    job.fit(observer=told)
    assert told.begun[0][2] == references["gbce, average"][1]  # all of the epoch's steps were kept
    job.result().assert_same(references["gbce, average"][0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_child_that_is_told_to_stop(
    number: signal.Signals, job: Job, references: dict[str, tuple[Result, int]]
) -> None:
    job = replace(job, **FORMS["gbce, average"])
    process = FORKS.Process(target=child, args=(replace(job, pause_s=0.2),))
    process.start()
    wait_for(lambda: (epochs := Path(job.folder, "epochs.jsonl")).exists() and epochs.read_text())
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == 130
    told = Told()
    job.fit(observer=told)
    assert 0 < told.begun[0][2] < 3 * references["gbce, average"][1]
    job.result().assert_same(references["gbce, average"][0])


def test_killed_at_any_moment(job: Job, references: dict[str, tuple[Result, int]]) -> None:
    seed = random.SystemRandom().randrange(10**9)
    moments, form = random.Random(seed), FORMS["gbce, average"]
    job = replace(job, settings=form["settings"], plan={**form["plan"], "save_every_s": 0.0})
    killed = 0
    for _ in range(30):
        process = FORKS.Process(target=child, args=(replace(job, pause_s=0.01),))
        process.start()
        process.join(moments.uniform(0.02, 0.4))
        assert process.pid is not None
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL, f"seed {seed}"
    job.fit()
    assert killed, f"seed {seed}"
    job.result().assert_same(references["gbce, average"][0])


def wait_for(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_told(job: Job) -> None:
    told = Told()
    fitted = job.fit(observer=told)
    (epochs, each, done) = told.begun[0]
    assert (epochs, done) == (3, 0)
    assert told.steps == 3 * each == fitted.reached.steps
    assert told.sequences == fitted.reached.sequences
    assert [facts.epoch for facts in told.facts] == [0, 1, 2]
    assert [facts.step for facts in told.facts] == [each, 2 * each, 3 * each]
    assert all(facts.sequences_per_s > 0 for facts in told.facts)
    best = max(told.facts, key=lambda facts: facts.metrics["ndcg@10"])
    assert fitted.reached.best_epoch == best.epoch
    assert fitted.metrics == best.metrics == size_of_weights(fitted.model)
    assert fitted.reached.ended == "epochs"


def series(*values: float) -> Callable[[NeuralRecommender], dict[str, float]]:
    left = list(values)
    return lambda _: {"ndcg@10": left.pop(0)}


def test_patience(job: Job) -> None:
    job, seen = replace(job, plan={"epochs": 50, "patience": 2}), []
    metric = series(0.1, 0.3, 0.2, 0.35, 0.35, 0.1, 0.9)

    def validate(model: NeuralRecommender) -> dict[str, float]:
        seen.append({name: array.copy() for name, array in model.arrays().items()})
        return metric(model)

    fitted = job.fit(validate=validate)
    assert (fitted.reached.ended, fitted.reached.epoch, fitted.reached.best_epoch) == ("patience", 6, 3)
    assert all(np.array_equal(array, seen[3][name]) for name, array in fitted.model.arrays().items())
    assert [line["best"] for line in job.result().epochs] == [True, True, False, True, False, False]
    assert fitted.metrics == {"ndcg@10": 0.35}


def test_validation_has_its_turn(job: Job) -> None:
    job = replace(job, plan={"epochs": 5, "validate_every": 2})
    fitted = job.fit(validate=series(0.3, 0.2, 0.1))
    assert [bool(line["metrics"]) for line in job.result().epochs] == [False, True, False, True, True]
    assert fitted.reached.best_epoch == 1


def test_time_is_up(job: Job) -> None:
    """It ends with the epoch, and validates that, or there would be no best weights."""
    job = replace(job, plan={"epochs": 50, "validate_every": 7, "time_limit_s": 1e-9})
    fitted = job.fit()
    assert (fitted.reached.ended, fitted.reached.epoch, fitted.reached.best_epoch) == ("time", 1, 0)


def test_what_was_over_goes_on_with_more(job: Job, references: dict[str, tuple[Result, int]]) -> None:
    reference, each = references["bce, published form"]
    job = replace(job, **FORMS["bce, published form"])
    for plan in ({"epochs": 1}, {"epochs": 9, "time_limit_s": 1e-9}, {"epochs": 3}):
        told = Told()
        replace(job, plan=plan).fit(observer=told)
    assert told.begun[0] == (3, each, each)
    job.result().assert_same(reference)
    job.fit(observer=told)
    assert told.begun[1] == (3, each, 3 * each)  # over, and nothing is done


def test_from_the_start_again(job: Job, references: dict[str, tuple[Result, int]]) -> None:
    job = replace(job, **FORMS["sampled-softmax"])
    for resume, stop in ((True, 6), (False, 2)):
        with pytest.raises(KeyboardInterrupt):
            replace(job, resume=resume).fit(observer=interrupt(stop))

    class KilledError(Exception):
        pass

    def die(_: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        replace(job, resume=False).fit(observer=Told(die))
    told = Told()
    job.fit(observer=told)
    assert told.begun[0][2] == 0
    job.result().assert_same(references["sampled-softmax"][0])


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"plan": {"learning_rate": 0.02}}, "learning_rate"),
        ({"plan": {"average": 0.25, "batch_size": 4}}, "average and batch_size"),
        ({"plan": {"seed": 1}}, "seed"),
        ({"settings": {"maxlen": 5}}, "settings"),
        ({"model": "sasrec"}, "model and settings"),
    ],
)
def test_the_state_of_another_training_is_refused(other: dict[str, Any], named: str, job: Job) -> None:
    with pytest.raises(KeyboardInterrupt):
        job.fit(observer=interrupt(2))
    before = (tmp := Path(job.folder, STATE)).read_bytes()
    with pytest.raises(ModelMismatchError) as caught:
        replace(job, **other).fit()
    assert str(caught.value) == (
        f"{job.folder}: holds a training with another {named}; choose another folder, or start anew"
    )
    assert tmp.read_bytes() == before


def test_a_falling_rate_does_not_go_on_to_another_end(job: Job) -> None:
    """At each step the rate depends on how many epochs there will be: with others, it would be nobody's training."""
    job = replace(job, plan={"schedule": "linear"})
    with pytest.raises(KeyboardInterrupt):
        job.fit(observer=interrupt(2))
    with pytest.raises(ModelMismatchError, match="another epochs;"):
        replace(job, plan={"schedule": "linear", "epochs": 4}).fit()
    job.fit()


def test_the_state_of_another_version_is_refused(job: Job, walked_as: Callable[[str], Version]) -> None:
    with pytest.raises(KeyboardInterrupt):
        job.fit(observer=interrupt(2))
    with pytest.raises(ModelMismatchError, match="another version;"):
        replace(job, version=str(walked_as("other").folder)).fit()


def damage(path: Path, how: str) -> None:
    arrays, texts = read_tensors(path)
    match how:
        case "cut off":
            path.write_bytes(path.read_bytes()[:-100])
        case "empty":
            path.write_bytes(b"")
        case "no facts":
            write_tensors(path, arrays)
        case "facts are no JSON":
            write_tensors(path, arrays, {"matinee": "{"})
        case "an array is missing":
            write_tensors(path, {name: arrays[name] for name in arrays if name != "weights.items.weight"}, texts)
        case "an array of another shape":
            write_tensors(path, {**arrays, "weights.items.weight": np.zeros((3, 3), np.float32)}, texts)
        case "a moment of another shape":
            (name,) = [name for name in arrays if name.endswith("1.0.exp_avg")]
            write_tensors(path, {**arrays, name: np.zeros((3, 3), np.float32)}, texts)
        case "no random state":
            write_tensors(path, {name: arrays[name] for name in arrays if "random" not in name}, texts)
        case "a random state of no meaning":
            write_tensors(path, {**arrays, "process.0.random.cpu": np.zeros(3, np.uint8)}, texts)
        case "a strange epoch":
            facts = json.loads(texts["matinee"])
            write_tensors(path, arrays, {"matinee": json.dumps({**facts, "history": [{"x": 1}]})})


@pytest.mark.parametrize(
    "how",
    [
        "cut off",
        "empty",
        "no facts",
        "facts are no JSON",
        "an array is missing",
        "an array of another shape",
        "a moment of another shape",
        "no random state",
        "a random state of no meaning",
        "a strange epoch",
    ],
)
def test_a_damaged_state_is_told_in_a_line(how: str, job: Job, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        job.fit(observer=interrupt(2))
    damage(tmp_path / "model" / STATE, how)
    with pytest.raises(ModelDamagedError) as caught:
        job.fit()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'model' / STATE}: ")
    assert "delete it to" in message
    replace(job, resume=False).fit()


@pytest.mark.parametrize("how", ["lost", "cut off", "no facts", "another's"])
def test_damaged_best_weights_are_told_in_a_line(how: str, job: Job, tmp_path: Path) -> None:
    job.fit()
    path = tmp_path / "model" / "best.safetensors"
    match how:
        case "lost":
            path.unlink()
        case "another's":
            write_tensors(path, {"a": np.zeros(1)}, {"metrics": "{}"})
        case _:
            damage(path, how)
    with pytest.raises(
        ModelDamagedError, match=rf"{path}: not the best weights .*delete training\.safetensors"
    ) as caught:
        job.fit()
    assert "\n" not in str(caught.value)
    (tmp_path / "model" / STATE).unlink()
    job.fit()


def test_a_lost_list_of_epochs_comes_back(job: Job, references: dict[str, tuple[Result, int]], tmp_path: Path) -> None:
    job = replace(job, **FORMS["sampled-softmax"])
    with pytest.raises(KeyboardInterrupt):
        job.fit(observer=interrupt(2 * references["sampled-softmax"][1]))
    (tmp_path / "model" / "epochs.jsonl").unlink()
    job.fit()
    job.result().assert_same(references["sampled-softmax"][0])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; only root can mount one."""
    with own_disk(tmp_path / "small") as disk:
        yield disk


@pytest.mark.parametrize("when", ["step", "epoch"])
def test_a_full_disk_loses_nothing(
    when: str, small_disk: Path, job: Job, references: dict[str, tuple[Result, int]]
) -> None:
    reference, each = references["gbce, average"]
    form = FORMS["gbce, average"]
    job = replace(job, **form, folder=str(small_disk / "model"))
    if when == "step":
        job = replace(job, plan={**job.plan, "save_every_s": 0.0})
    filler = small_disk / "filler"

    def fill(step: int) -> None:
        if step == each + 2:
            with filler.open("wb") as file:
                free = os.statvfs(small_disk)
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize)

    with pytest.raises(DiskFullError) as caught:
        job.fit(observer=Told(fill))
    assert "\n" not in str(caught.value)
    assert str(small_disk) in str(caught.value)
    filler.unlink()
    assert not list(small_disk.rglob(".*"))
    told = Told()
    job.fit(observer=told)
    assert told.begun[0][2] == (each + 1 if when == "step" else each)
    job.result().assert_same(reference)


def test_nobody_with_two_events(tmp_path: Path) -> None:
    version = small_version(tmp_path / "single", [(user, user % 3, 100 + user) for user in range(12)])
    with pytest.raises(UsageError) as caught:
        Job(str(version.folder), str(tmp_path / "model")).fit()
    assert str(caught.value) == (
        f"version {version.id}: nobody in its split train has two events, so nothing can be learnt"
    )


def test_an_unknown_metric(job: Job) -> None:
    with pytest.raises(UsageError, match=r"^validation metric 'hr@3' is unknown; known are ndcg@10, other$"):
        replace(job, plan={"metric": "hr@3"}).fit()


def test_a_training_that_diverges_says_so(job: Job) -> None:
    with pytest.raises(ModelError) as caught:
        replace(job, plan={"learning_rate": 1e30, "clip_norm": 0.0}).fit()
    assert "training diverged" in str(caught.value)
    assert "learning_rate (1e+30)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mixed_precision(job: Job) -> None:
    mixed, exact = replace(job, plan={"amp": True}), replace(job, folder=job.folder + "-exact")
    losses = []
    for each in (mixed, exact):
        fitted = each.fit()
        assert all(array.dtype == np.float32 for array in fitted.model.arrays().values())
        losses.append([line["loss"] for line in each.result().epochs])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("model", ["sse-pt", "sasrec"])
@pytest.mark.parametrize("loss", ["bce", "gbce", "sampled-softmax", "softmax"])
def test_a_pattern_is_learnt(model: str, loss: str, planted_log: Version, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"item_dim": 16, "maxlen": 6, "dropout": 0.1, "negatives": 16, "loss": loss}
    plan: dict[str, Any] = {"epochs": 30, "batch_size": 16, "learning_rate": 5e-3, "validate_every": 10}
    untrained = []

    def validate(candidate: NeuralRecommender) -> dict[str, float]:
        if not untrained:
            fresh = type(candidate).initial(candidate.settings, candidate.known, 0)
            untrained.append(evaluate_split(fresh, planted_log, protocol="leave-one-out").metrics["ndcg@10"])
        return evaluate_split(candidate, planted_log, protocol="leave-one-out").metrics

    job = Job(str(planted_log.folder), str(tmp_path), model=model, settings=settings, plan=plan)
    fitted = job.fit(validate=validate)
    losses = [line["loss"] for line in job.result().epochs]
    assert losses[-1] < losses[10] < losses[0]
    assert fitted.metrics["ndcg@10"] > 1.3 * untrained[0]


@pytest.fixture(scope="session")
def planted_log(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The next item is the last one + 1, but for noise."""
    log = planted(people=100, noise=0.1, seed=5)
    rows = [(user, item, 60 * at) for user in range(1, log.users + 1) for at, item in enumerate(log.of(user).tolist())]
    return small_version(
        tmp_path_factory.mktemp("planted"), sorted(rows, key=lambda row: row[2]), split="leave-one-out"
    )
