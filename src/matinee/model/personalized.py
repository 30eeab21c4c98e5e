"""The network of SSE-PT, and without its user half that of SASRec: histories and people in, states out.

B histories of L positions; D = item_dim + user_dim. Positions are counted from a history's end, so that the last event
always stands at the same place, as with the paper's padding on the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from matinee.errors import UsageError
from matinee.model.dropout import dropout
from matinee.model.losses import Loss
from matinee.model.ranges import among, within
from matinee.model.transformer import Block, Norm

if TYPE_CHECKING:
    from matinee.model.recommender import Known

__all__ = ["NetworkSettings", "PersonalizedTransformer", "Stranger"]

Stranger = Literal["mean", "unk", "clip"]

_SPREAD = 0.02  # standard deviation of initial vectors and weights


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Sizes, form and replacement of SASRec, which SSE-PT adds to.

    Attributes:
        maxlen: events of a history that the model looks at.
        item_dim: dimensions of an item's vector.
        blocks, heads: of the transformer; heads divide all dimensions.
        dropout: of inputs, attention and the position-wise network.
        norm: 'query' as published, or 'pre'.
        scale: multiply vectors by the square root of their dimension, as published.
        loss: 'bce' as published, 'gbce' or 'sampled-softmax' with shared negatives, 'softmax' over the catalogue.
        negatives: shared by the positions of a batch; 'bce' has one a position, 'softmax' none.
        gbce_t: calibration of 'gbce', 0 to 1.
        item_keep, target_keep: probabilities that SSE leaves an id as it is: an item's in the history, an item's as
            target.
        unk_share: share of the replacements that goes to row 0, UNK.
        random_window: probability that a history is taken as it was at a random moment, not as it is at its end, and
            more often where it is longer than maxlen (SSE-PT++; Wu et al. 2020, section 3.5).
    """

    user_dim: ClassVar[int] = 0
    user_keep: ClassVar[float] = 1.0
    stranger: ClassVar[Stranger] = "unk"

    maxlen: int = 50
    item_dim: int = 50
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.3
    norm: Norm = "pre"
    scale: bool = True
    loss: Loss = "sampled-softmax"
    negatives: int = 512
    gbce_t: float = 0.75
    item_keep: float = 0.9
    target_keep: float = 1.0
    unk_share: float = 0.1
    random_window: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("maxlen", "item_dim", "blocks", "heads", "negatives"):
            within(name, getattr(self, name), least=1)
        for name in ("item_keep", "target_keep", "unk_share", "random_window", "gbce_t"):
            within(name, getattr(self, name), least=0, most=1)
        within("dropout", self.dropout, least=0, most=0.99)
        among("norm", self.norm, get_args(Norm))
        among("loss", self.loss, get_args(Loss))
        dim = self.item_dim + self.user_dim
        if dim % self.heads:
            raise UsageError(f"heads = {self.heads}: expected a divisor of the {dim} dimensions")


class PersonalizedTransformer(nn.Module):
    """Wu et al. 2020, section 3: a transformer whose input at each position is an item's and the person's vector.

    Args:
        settings: sizes and form.
        known: whom and what training sees. Every id has a row, those of the others are never trained; row 0 of the
            users is the trained UNK, row 0 of the items padding and UNK.
    """

    known_users: Tensor
    known_items: Tensor

    def __init__(self, settings: NetworkSettings, known: Known) -> None:
        super().__init__()
        self.settings = settings
        # No weights: whoever keeps those keeps `known` too.
        self.register_buffer("known_users", torch.from_numpy(known.users.copy()), persistent=False)
        self.register_buffer("known_items", torch.from_numpy(known.items.copy()), persistent=False)
        dim = settings.item_dim + settings.user_dim
        # Softmax over the catalogue touches every item in every step; a sparse gradient would only cost.
        self.items = nn.Embedding(known.items.size, settings.item_dim, sparse=settings.loss != "softmax")
        self.users = nn.Embedding(known.users.size, settings.user_dim, sparse=True) if settings.user_dim else None
        self.positions = nn.Embedding(settings.maxlen, dim)
        self.blocks = nn.ModuleList(
            Block(dim, settings.heads, settings.dropout, settings.norm) for _ in range(settings.blocks)
        )
        self.final_norm = nn.LayerNorm(dim, eps=1e-8)
        self._initialise()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.items.weight.device

    def item_vectors(self) -> Tensor:
        """(item rows, item_dim): what a state's item half is multiplied with."""
        return self.items.weight

    def encode(self, items: Tensor, lengths: Tensor, users: Tensor) -> Tensor:
        """Items (B, L), right-padded with 0, lengths (B,), rows of users (B,) to states (B, L, D) at every position."""
        x = self._embed(items, lengths, self._user_vectors(users))
        for block in self.blocks:
            x = block(x)
        states: Tensor = self.final_norm(x)
        return states

    def last(self, items: Tensor, lengths: Tensor, users: Tensor, stand_in: Tensor | None = None) -> Tensor:
        """As `encode`, but the state (B, D) at each last position only, and row 0 of the users is the stand-in.

        `stand_in` (user_dim,) spares its computation to whoever calls often.
        """
        vectors = self._user_vectors(users)
        if vectors is not None:
            other = self.stand_in() if stand_in is None else stand_in
            vectors = torch.where((users == 0)[:, None], other, vectors)
        x = self._embed(items, lengths, vectors)
        *first, final = self.blocks
        for block in first:
            x = block(x)
        assert isinstance(final, Block)  # noqa: S101 - a ModuleList does not know what it holds
        states: Tensor = self.final_norm(final.last(x, lengths))
        return states

    def stand_in(self) -> Tensor:
        """(user_dim,): the vector of a person whom training has not seen.

        `mean`: that of the trained users. `unk`: row 0, trained by a share of the replacements. `clip`: the trained
        user with the largest id, as the first prototype's clipped ids had it. Nobody is a stranger where people have
        no vectors: (0,).
        """
        if self.users is None:
            return self.items.weight.new_zeros(0)
        match self.settings.stranger:
            case "mean":
                trained = self.known_users.to(self.users.weight.dtype)
                return trained @ self.users.weight / trained.sum().clamp(min=1)
            case "unk":
                return self.users.weight[0]
            case "clip":
                return self.users.weight[self.known_users.nonzero().amax()]

    def _embed(self, items: Tensor, lengths: Tensor, users: Tensor | None) -> Tensor:
        """The input (B, L, D): item and user side by side, and the position."""
        x = self.items(items)
        if self.settings.scale:
            x = x * self.settings.item_dim**0.5
        if users is not None:
            if self.settings.scale:
                users = users * self.settings.user_dim**0.5
            x = torch.cat([x, users[:, None].expand(-1, x.shape[1], -1)], -1)
        place = torch.arange(items.shape[1], device=items.device) + (self.settings.maxlen - lengths)[:, None]
        x = x + self.positions(place.clamp(max=self.settings.maxlen - 1))
        return dropout(x, self.settings.dropout, self.training)

    def _user_vectors(self, users: Tensor) -> Tensor | None:
        """(B, user_dim), or None where people have no vectors."""
        if self.users is None:
            return None
        vectors: Tensor = self.users(users)
        return vectors

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=_SPREAD)
        with torch.no_grad():
            self.items.weight[0] = 0  # padding, until some share of the replacements trains it
