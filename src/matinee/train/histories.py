"""A version's histories as a PyTorch data set, for training loops that are not Matinee's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from matinee.errors import UsageError
from matinee.schema.layout import SPLITS
from matinee.version import Version, open_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matinee.schema.layout import Split
    from matinee.version import Sequences

__all__ = ["UserHistories"]


class UserHistories(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What each user took, the oldest first: entry i is a dense user id, (), and dense item ids, (n,); both int64.

    Nothing is loaded: the items stay memory-mapped, and a worker of a `DataLoader` maps them anew. The order is that of
    the users' ids; shuffling is the loader's business, and padding its `collate_fn`'s.

    Args:
        version: an open version, or its folder.
        splits: whose events are told; neighbours, as ("train", "eval").
        at_least: users with fewer events there are left out.
        last: only so many of the newest; None is all.

    Raises:
        UsageError: the splits are no neighbours, or were made at random, which leaves nobody a history.
        VersionNotFoundError, VersionDamagedError: see `open_version` and `Version.sequences`.
    """

    def __init__(
        self,
        version: Version | str | Path,
        splits: Sequence[Split] = ("train",),
        *,
        at_least: int = 2,
        last: int | None = None,
    ) -> None:
        opened = version if isinstance(version, Version) else open_version(version)
        first = SPLITS.index(splits[0]) if splits and splits[0] in SPLITS else 0
        if not splits or tuple(splits) != SPLITS[first : first + len(splits)]:
            raise UsageError(f"splits {tuple(splits)}: expected neighbours among {', '.join(SPLITS)}, in that order")
        if opened.certificate.split == "random":
            raise UsageError(f"{opened.folder}: split at random, so nobody has a history; take one split by time")
        if at_least < 1 or (last is not None and last < 1):
            raise UsageError(f"at_least {at_least}, last {last}: expected whole numbers from 1")
        self.folder, self.splits, self.last = opened.folder, tuple(splits), last
        self._parts = self._open(opened)
        lengths = sum(np.diff(part.offsets) for part in self._parts)
        self.users = np.flatnonzero(lengths >= at_least)  # (len(self),) int64

    def __len__(self) -> int:
        return self.users.size

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        user = int(self.users[place])
        items = np.concatenate([part.of(user) for part in self._parts], dtype=np.int64)
        if self.last is not None:
            items = items[-self.last :].copy()  # a worker sends a view with all that lies behind it
        return torch.tensor(user), torch.from_numpy(items)

    def __getstate__(self) -> dict[str, Any]:
        # A mapped array would be pickled as a copy of all its bytes.
        return {name: value for name, value in self.__dict__.items() if name != "_parts"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._parts = self._open(open_version(self.folder))

    def _open(self, version: Version) -> list[Sequences]:
        return [version.sequences(split) for split in self.splits]
