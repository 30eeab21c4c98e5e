"""Several processes train as one would: real ones, started by torchrun, on this machine's loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from matinee.errors import ModelMismatchError, UsageError
from matinee.train.processes import group
from matinee.version import open_version
from small_training import FORKS, Job, one_of

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from matinee.version import Version

SCRIPT = Path(__file__).parent.parent / "small_training.py"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def torchrun(job: Job) -> None:
    words = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    command = [sys.executable, "-m", "torch.distributed.run", *words, str(SCRIPT), json.dumps(asdict(job))]
    quiet = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def pair(job: Job) -> list[ForkServerProcess]:
    """Two processes as torchrun would start them, without its seconds of start."""
    port = free_port()
    processes = [FORKS.Process(target=one_of, args=(job, rank, 2, port)) for rank in range(2)]
    for process in processes:
        process.start()
    return processes


def codes(processes: list[ForkServerProcess]) -> list[int | None]:
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


@pytest.fixture
def job(walked: Version, tmp_path: Path) -> Job:
    return Job(str(walked.folder), str(tmp_path / "one"))


def test_two_processes_of_torchrun_are_as_one(job: Job, tmp_path: Path) -> None:
    """Sparse gradients, clipping, an average, a last batch with nothing for the second, which never writes.

    Dropout is off: each process draws for its own rows, so what is dropped depends on how many there are. What is left
    to differ is the order in which gradients are summed.
    """
    users = int((np.diff(open_version(job.version).sequences("train").offsets) > 1).sum())
    assert users % 7 == 1
    plan = {"clip_norm": 1.0, "schedule": "linear", "average": 0.5, "batch_size": 7, "epochs": 5}
    job = replace(job, settings={"dropout": 0.0, "loss": "bce", "random_window": 0.0}, plan=plan)
    two = replace(job, folder=str(tmp_path / "two"))
    job.fit()
    torchrun(two)
    ours, theirs = two.result(), job.result()
    for line, same in zip(ours.epochs, theirs.epochs, strict=True):
        assert line["loss"] == pytest.approx(same["loss"], rel=1e-5)
        assert line["metrics"] == pytest.approx(same["metrics"], rel=1e-4)
        assert (line["epoch"], line["step"], line["best"]) == (same["epoch"], same["step"], same["best"])
    for name, array in ours.best.items():
        # A bias of all keys moves all logits alike: its gradient is 0 but for rounding, which Adam makes large.
        told = slice(array.size // 2, None) if name.endswith("key_value.bias") else slice(None)
        np.testing.assert_allclose(array[told], theirs.best[name][told], rtol=1e-3, atol=1e-4, err_msg=name)
    files = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert files == ["best.safetensors", "epochs.jsonl", "training.safetensors"]


def test_interrupted_they_go_on_bit_for_bit(job: Job, tmp_path: Path) -> None:
    """With dropout: each process goes on with its own random state."""
    job = replace(job, settings={"dropout": 0.5}, plan={"epochs": 4})
    stopped = replace(job, folder=str(tmp_path / "stopped"))
    assert codes(pair(job)) == [0, 0]
    processes = pair(replace(stopped, pause_s=0.1))
    wait_for_epoch(Path(stopped.folder))
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
    assert codes(processes) == [130, 130]
    assert len((Path(stopped.folder) / "epochs.jsonl").read_text().splitlines()) < 4
    with pytest.raises(ModelMismatchError, match="another number of processes;"):
        stopped.fit()
    assert codes(pair(stopped)) == [0, 0]
    stopped.result().assert_same(job.result())


def wait_for_epoch(folder: Path) -> None:
    end = time.monotonic() + 60
    while not ((lines := folder / "epochs.jsonl").exists() and lines.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("device", ["gpu", "meta", "cpu:x", "", "cuda:7", "mps"])
def test_a_device_that_is_none(device: str) -> None:
    with pytest.raises(UsageError) as caught, group(device):
        pass
    assert str(caught.value).startswith(f"device {device!r}: ")
    assert "'cpu', 'cuda' or 'auto'" in str(caught.value) or "expected one of cpu, cuda" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_device_for_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes need a device each"), group("cpu:0"):
        pass


def test_alone_everything_is_ones_own() -> None:
    with group("cpu") as ours:
        assert ours.leads
        layer = torch.nn.Linear(2, 2)
        assert ours.wrap(layer) is layer
        assert ours.sum(torch.ones(2)).tolist() == [1, 1]
        assert ours.agree("yes") == "yes"
        assert ours.gather(3) == [3]
