"""A trained network with rows for ids that it has never seen, which answers everybody as it did before.

Who or what it did not know was a stranger to it, and the row that is made for them is the vector that stood in for
strangers: row 0, UNK, for an item, as a cold item of a history was UNK; the stand-in of the settings for a user. So
nothing changes until the first step of a training. (The mean of the trained items would be another beginning, but
with it a history with a new item would at once be something else to the network than it was.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matinee.model.neural import NeuralRecommender
    from matinee.model.recommender import Known

    Trained = TypeVar("Trained", bound=NeuralRecommender)

__all__ = ["extended"]

_ITEMS, _USERS = "items.weight", "users.weight"


def extended(model: Trained, known: Known) -> Trained:
    """`model` over the ids of `known`, of which its own are the first.

    Rows that it has for ids it did not know were never trained, and are made new as well. Its prior is left behind: it
    is chosen by the events of a version.
    """
    arrays = model.arrays()
    arrays[_ITEMS] = _grown(arrays[_ITEMS], model.known.items, known.items.size, arrays[_ITEMS][0])
    if _USERS in arrays:
        stand_in = model.network.stand_in().detach().cpu().numpy()
        arrays[_USERS] = _grown(arrays[_USERS], model.known.users, known.users.size, stand_in)
    return model.from_arrays(model.settings, known, arrays)


def _grown(
    table: NDArray[np.float32], known: NDArray[np.bool_], rows: int, other: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The rows that were trained, row 0 among them, where they were; `other` everywhere else."""
    grown = np.tile(other, (rows, 1)).astype(np.float32)
    trained = np.append(np.zeros(1, np.int64), np.flatnonzero(known))
    grown[trained] = table[trained]
    return grown
