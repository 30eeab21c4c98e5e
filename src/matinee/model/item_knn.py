"""What is taken by the same people as the history's items: nearest neighbours of items, by the library implicit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from matinee.errors import ModelError
from matinee.model.links import LINK_ARRAYS, Links
from matinee.model.ranges import among, within
from matinee.model.recommender import CountedRecommender, Known, TrainingData, exactly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.model.histories import Histories

__all__ = ["ItemKNN", "ItemKNNSettings", "Similarity"]

Similarity = Literal["cosine", "tf-idf", "bm25"]

_FEW_EVENTS = 100_000  # with fewer, threads on a busy machine wait for each other longer than they work


@dataclass(frozen=True, slots=True)
class ItemKNNSettings:
    """Which items are near, and how much of a history counts.

    Attributes:
        neighbours: the nearest items that are kept for each item.
        similarity: of two items by the people who took both: 'cosine'; 'tf-idf', the same with people who took much
            weighing less; 'bm25', which favours the popular.
        maxlen: the last events of a history that are looked at.
    """

    neighbours: int = 200
    similarity: Similarity = "tf-idf"
    maxlen: int = 5

    def __post_init__(self) -> None:
        """Raise UsageError where a setting is impossible."""
        within("neighbours", self.neighbours, least=1)
        within("maxlen", self.maxlen, least=1)
        among("similarity", self.similarity, get_args(Similarity))


class ItemKNN(CountedRecommender):
    """An item's score is the sum of its similarities to the history's last items.

    Deshpande and Karypis, 'Item-based top-N recommendation algorithms', TOIS 22(1), 2004, pp. 143-177. Cold items have
    no neighbours; without any neighbour all known items score 0, and only the prior tells them apart. Neither the user
    nor the order within the last `maxlen` events matters.
    """

    name = "item-knn"

    def __init__(self, settings: ItemKNNSettings, known: Known, links: Links) -> None:
        """The neighbours: links weigh the similarity."""
        super().__init__(settings, known)
        self._links = links

    @classmethod
    def fit(cls, settings: ItemKNNSettings, train: TrainingData, known: Known) -> Self:
        """Compare all pairs of items that somebody took both of, on all cores."""
        return cls(settings, known, _neighbours(settings, train, known.items.size))

    def scores(self, asked: Histories) -> NDArray[np.float32]:
        """Sums of similarities; (n, known.items.size)."""
        recent, _ = asked.padded(self.settings.maxlen)
        place, item, similarity = self._links.leaving(self._links.inside(recent.ravel()))
        rows = self._links.rows
        sums = np.bincount(place // recent.shape[1] * rows + item, similarity, minlength=len(asked) * rows)
        return self.mask_unknown(sums.reshape(len(asked), rows).astype(np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The neighbours as links."""
        return self._links.arrays()

    @classmethod
    def from_arrays(cls, settings: ItemKNNSettings, known: Known, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The model again; raises ValueError where the arrays are not neighbours."""
        parts = exactly(arrays, *LINK_ARRAYS)
        return cls(settings, known, Links.checked(known.items.size, *parts))


def _neighbours(settings: ItemKNNSettings, train: TrainingData, rows: int) -> Links:
    """The `neighbours` most similar others of each item, the nearest first."""
    try:
        from implicit.nearest_neighbours import ItemItemRecommender  # noqa: PLC0415 - brings SciPy, and only here
    except ImportError:
        raise ModelError("model item-knn: the library implicit is not installed; pip install implicit") from None

    threads = 1 if train.items.size < _FEW_EVENTS else 0  # 0 is one a core
    # One neighbour more: an item is its own nearest.
    model = ItemItemRecommender(K=settings.neighbours + 1, num_threads=threads)
    model.fit(_weighted(settings.similarity, train, rows), show_progress=False)
    found = model.similarity.tocoo()
    others = (found.row != found.col) & (found.data > 0)
    row, column, similarity = found.row[others], found.col[others], found.data[others]
    order = np.lexsort((column, -similarity, row))
    row, column, similarity = row[order], column[order], similarity[order]
    rank = np.arange(row.size) - np.searchsorted(row, row)  # by BM25 an item need not be among its own nearest
    kept = rank < settings.neighbours
    return Links.of_sorted(row[kept], column[kept], similarity[kept], rows)


def _weighted(similarity: Similarity, train: TrainingData, rows: int) -> Any:
    """People by items, in CSR; similarity of two items is the product of their columns.

    implicit's CosineRecommender and its like do the same, but hand their own matrices on in a form that they then warn
    about.
    """
    from implicit.nearest_neighbours import bm25_weight, normalize, tfidf_weight  # noqa: PLC0415 - as above
    from scipy import sparse  # noqa: PLC0415 - as above

    # Its own copy of the items: duplicates are summed in place.
    events = (np.ones(train.items.size), np.array(train.items), train.offsets)
    taken = sparse.csr_matrix(events, shape=(train.offsets.size - 1, rows))
    taken.sum_duplicates()
    taken.data[:] = 1  # taking twice is no more than taking
    match similarity:
        case "cosine":
            weighted = normalize(taken.T)
        case "tf-idf":
            weighted = tfidf_weight(taken.T)
            weighted.eliminate_zeros()  # somebody who took everything says nothing, and normalising nothing is 0 / 0
            weighted = normalize(weighted)
        case "bm25":
            weighted = bm25_weight(taken.T, K1=1.2, B=0.75)
    return weighted.T.tocsr()
