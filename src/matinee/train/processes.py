"""The processes of one training: this one alone, or those that torchrun started, one a device."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from matinee.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["Group", "group"]

T = TypeVar("T")

_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Group:
    """Who trains together.

    Attributes:
        rank, world: our number among how many processes.
        device: ours.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether we are the one that validates, writes and tells."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are the mean over all processes."""
        if self.world == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def gather(self, value: T) -> list[T]:
        """What each process says, in order of rank; for rank 0, the others get nothing."""
        if self.world == 1:
            return [value]
        box: list[T | None] | None = [None] * self.world if self.leads else None
        dist.gather_object(value, box)
        return cast("list[T]", box or [])

    def agree(self, value: T) -> T:
        """What rank 0 says."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]


@contextmanager
def group(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started with us, if it did.

    Raises:
        UsageError: there is no such device, or one device for several processes.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    found = _device(device)
    if world == 1:
        yield Group(0, 1, found)
        return
    if ":" in device:
        raise UsageError(f"device {device!r}: {world} processes need a device each; use 'cpu', 'cuda' or 'auto'")
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Group(rank, world, found)
    finally:
        dist.destroy_process_group()


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":  # whichever is ours
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r}: {str(error).splitlines()[0]}; use 'cpu', 'cuda' or 'auto'") from None
    if device.type not in _DEVICES:
        raise UsageError(f"device {name!r}: expected one of {', '.join(_DEVICES)}, or 'auto'")
    if device.type == "cuda":
        torch.cuda.set_device(device)  # what gathers and broadcasts use
    return device
