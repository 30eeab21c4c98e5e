"""A service that hangs, for real: it is given some time, and then started anew."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from matinee.stack.folders import Folders
from matinee.stack.services import SERVICES
from matinee.stack.state import StackState
from matinee.stack.supervisor import Supervisor
from matinee.stack.watch import Patience

if TYPE_CHECKING:
    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_one_that_hangs_is_found_and_comes_back(stack_service: Stack) -> None:
    folders, supervisor = Folders(stack_service.data_dir), Supervisor(Folders(stack_service.data_dir))
    state = StackState.read(folders.state)
    assert state is not None
    hung = {supervisor.states()[name].pid for name in ("postgres", "jupyter")}
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    patience = Patience(silent_s=1.0)
    assert patience.exhausted(folders, supervisor) == []  # silent, but not for long
    time.sleep(1.1)
    assert set(patience.exhausted(folders, supervisor)) == hung
    for pid in hung:
        os.kill(pid, signal.SIGKILL)
    deadline_s = time.monotonic() + 60
    while not all(service.is_healthy(state) for service in SERVICES.values()):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    assert patience.exhausted(folders, supervisor) == []
