"""A small version that nobody has wholly seen, and folders of models of it, for servers to serve."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from matinee.model.item_knn import ItemKNN, ItemKNNSettings
from matinee.model.markov import Markov, MarkovSettings
from matinee.model.recommender import Known, Prior
from matinee.model.sse_pt import SSEPT, SSEPTSettings
from served import save
from small_version import small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.model.recommender import Recommender
    from matinee.version import Version

__all__ = ["Models", "changing_version"]

_USERS, _ITEMS = 40, 90


def changing_version(folder: Path, *, name: str = "log") -> Version:
    """900 events over 30 days, with new people and new items to the end, and many in the same second."""
    chance = random.Random(4)
    events = []
    for number in range(900):
        newest = 4 + number * (_ITEMS - 4) // 900
        user = 100 + chance.randrange(max(0, number // 30 - 8), number // 30 + 4) % _USERS
        item = 5000 + min(int(chance.paretovariate(0.7)) + chance.randrange(newest), newest)
        events.append((user, item, 1_000_000_000 + number // 3 * 8640))
    return small_version(folder, events, name=name)


class Models(dict[str, "Path"]):
    """Folders of models by name, each made when it is first asked for, as an export takes seconds.

    'sse-pt' is a network whose prior has a window, 'frozen' the same without a prior; 'markov' are chains with a prior,
    'plain' without; 'near' are neighbours without.
    """

    def __init__(self, version: Version, root: Path) -> None:
        super().__init__()
        self._version, self._root = version, root

    def __missing__(self, name: str) -> Path:
        self[name] = save(self._root / name, self._made(name), self._version)
        return self[name]

    def _made(self, name: str) -> Recommender:
        known = Known(self._version.known_users, self._version.known_items)
        if name in {"sse-pt", "frozen"}:  # untrained: what it says is arbitrary, and the same for the same history
            settings = SSEPTSettings(maxlen=20, item_dim=8, user_dim=8, blocks=1)
            network = SSEPT.initial(settings, known, 1)
            network.prior = {"sse-pt": Prior(0.4, 5 * 86_400), "frozen": Prior()}[name]
            return network
        if name == "near":
            return ItemKNN.fit(ItemKNNSettings(), self._version.sequences("train"), known)
        markov = Markov.fit(MarkovSettings(), self._version.sequences("train"), known)
        markov.prior = {"markov": Prior(0.7, None), "plain": Prior()}[name]
        return markov
