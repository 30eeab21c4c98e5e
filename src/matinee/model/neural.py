"""What SSE-PT and SASRec share outside their network: tables of ids, strangers, scores in batches of like length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch

from matinee.model.recommender import Known, Prior, Recommender

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from matinee.model.histories import Histories
    from matinee.model.personalized import PersonalizedTransformer

__all__ = ["NeuralRecommender"]

_BATCH = 256  # histories a forward pass


class NeuralRecommender(Recommender):
    """A network over histories, with vectors for the items and users that training has seen.

    Row 0 of the items is UNK: every cold item of a history becomes it. A cold user gets the stand-in that
    `settings.stranger` names (see `PersonalizedTransformer.stand_in`).
    """

    engine = "torch"
    network_type: ClassVar[type[PersonalizedTransformer]]

    def __init__(
        self, settings: Any, known: Known, network: PersonalizedTransformer, prior: Prior | None = None
    ) -> None:
        super().__init__(settings, known, prior)
        self.network = network

    @classmethod
    def initial(cls, settings: Any, known: Known, seed: int = 0) -> Self:
        """Untrained, from a seed; the same on every machine."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = cls.network_type(settings, known)
        return cls(settings, known, network)

    @property
    def history_limit(self) -> int:
        """How many events of a history the model looks at, from its end."""
        limit: int = self.settings.maxlen
        return limit

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """(n, known.items.size); see `Recommender.scores`."""
        with torch.inference_mode():
            scores = self.states(asked) @ self.network.item_vectors().T
        return self.mask_unknown(scores.cpu().numpy())

    def states(self, asked: Histories) -> Tensor:
        """(n, item_dim): the item half of the last state of each history, in the order asked."""
        self.network.eval()
        device = self.network.device
        items, lengths = asked.padded(self.history_limit)
        tokens = torch.from_numpy(self.item_rows(items)).to(device)
        sizes = torch.from_numpy(np.maximum(lengths, 1)).to(device)  # no history at all is a history of one UNK
        users = torch.from_numpy(self.user_rows(asked.users)).to(device)
        states = torch.empty(len(asked), self.settings.item_dim, device=device)
        stand_in = self.network.stand_in()
        # Rows of like length go together, so that little is padding.
        order = torch.from_numpy(np.argsort(lengths, kind="stable")).to(device)
        with torch.inference_mode():
            for first in range(0, len(asked), _BATCH):
                rows = order[first : first + _BATCH]
                width = int(sizes[rows].max())
                last = self.network.last(tokens[rows, :width], sizes[rows], users[rows], stand_in)
                states[rows] = last[:, : self.settings.item_dim]
        return states

    def item_rows(self, items: NDArray[np.int32]) -> NDArray[np.int64]:
        """Dense ids to rows of the item vectors, cold items to row 0; any shape."""
        return _rows(items, self.known.items)

    def user_rows(self, users: NDArray[np.int32]) -> NDArray[np.int64]:
        """Dense ids to rows of the user vectors, cold users to row 0; any shape."""
        return _rows(users, self.known.users)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The network's weights, by the names of its state dict."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.network.state_dict().items()}

    @classmethod
    def from_arrays(cls, settings: Any, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model with these weights.

        Raises:
            KeyError, ValueError: they are not the weights of such a network.
        """
        if settings.blocks > len(arrays):  # asked before they are made: anybody can write a large number
            raise ValueError(f"blocks = {settings.blocks}, and {len(arrays)} arrays")
        with torch.device("meta"):
            network = cls.network_type(settings, known)
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        found = {name: tuple(array.shape) for name, array in arrays.items()}
        if found != expected:
            wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            raise ValueError(f"{wrong[0]} has shape {found.get(wrong[0])}, expected {expected.get(wrong[0])}")
        # Copied: arrays may be views of a file, and training writes into weights.
        weights = {name: torch.tensor(array, dtype=torch.float32) for name, array in arrays.items()}
        network.load_state_dict(weights, assign=True)
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        return cls(settings, known, network)


def _rows(ids: NDArray[np.int32], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    inside = np.where((ids > 0) & (ids < known.size), ids, 0)
    return np.where(known[inside], inside, 0).astype(np.int64)
