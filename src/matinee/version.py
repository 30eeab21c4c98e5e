"""A version on this machine, opened for reading: facts, id maps, memory-mapped sequences, events in order of time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from matinee.errors import VersionDamagedError, VersionNotFoundError
from matinee.schema.certificate import Certificate
from matinee.schema.layout import ITEM_IDS, MANIFEST, USER_IDS, Split, events_path, sequence_path
from matinee.schema.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pyarrow.dataset import Dataset

__all__ = ["EventBatch", "Sequences", "Version", "open_version"]

_Number = TypeVar("_Number", bound=np.integer)

_BATCH_ROWS = 1 << 16
_CHECKED_AT_ONCE = 1 << 20  # ids: what fits into a processor's cache, so that they are read from memory once


class EventBatch(NamedTuple):
    """Consecutive events of a split; (n,) each, dense ids, Unix seconds."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int64]


class Sequences:
    """Every user's items of one split in order of time: those of user u are `items[offsets[u]:offsets[u + 1]]`.

    Items that come from a version are memory-mapped, and no id leaves here that is none of its id map: `of` and `take`
    check what they read, `items` checks all of them once.

    Args:
        offsets: (users + 2,) int64, user 0 has none.
        items: (events,) int32, dense ids from 1.
        largest: the largest dense id; None where whoever made `items` has seen to it.
        place: where they lie, for errors.
    """

    def __init__(
        self, offsets: NDArray[np.int64], items: NDArray[np.int32], *, largest: int | None = None, place: str = ""
    ) -> None:
        self.offsets = offsets
        self._items, self._largest, self._place = items, largest, place

    @property
    def users(self) -> int:
        """The largest dense user id."""
        return self.offsets.size - 2

    @property
    def events(self) -> int:
        """How many items there are, repeats counted."""
        return self._items.size

    @cached_property
    def items(self) -> NDArray[np.int32]:
        """All items, (events,); read once when first asked for, to see that every id can be an index.

        Raises:
            VersionDamagedError: one cannot.
        """
        for start in range(0, self._items.size, _CHECKED_AT_ONCE):
            self._checked(self._items[start : start + _CHECKED_AT_ONCE])
        self._largest = None  # all of it has been seen to
        return self._items

    def of(self, user: int) -> NDArray[np.int32]:
        """The items of one user, the oldest first.

        Raises:
            VersionDamagedError: an id among them is none of the id map.
        """
        return self._checked(self._items[self.offsets[user] : self.offsets[user + 1]])

    def take(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """The items at these places, (n,), in one array of their own.

        Raises:
            VersionDamagedError: an id among them is none of the id map.
        """
        return self._checked(self._items[places])

    def _checked(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        if self._largest is not None and not _are_ids(items, self._largest):
            raise VersionDamagedError(
                f"{self._place}: ids lie outside the {self._largest:,} items of the id map; transform again"
            )
        return items


@dataclass(frozen=True)
class Version:
    """One version's folder, opened; nothing of its events is read before it is asked for.

    Attributes:
        folder: where it lies.
        manifest, certificate: what it is made of, and whether its splits can be trusted.
    """

    folder: Path
    manifest: Manifest
    certificate: Certificate

    @property
    def id(self) -> str:
        """The version's id."""
        return self.manifest.id

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.manifest.name

    @property
    def users(self) -> int:
        """Users in the id map; dense ids are 1..users."""
        return self.manifest.users.count

    @property
    def items(self) -> int:
        """Items in the id map; dense ids are 1..items."""
        return self.manifest.items.count

    @cached_property
    def sha256(self) -> str:
        """Of the bytes of manifest.json: the name of all of the version's bytes at once."""
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()

    def sequences(self, split: Split) -> Sequences:
        """The split's items by user, memory-mapped; opening reads where each user begins, and no item.

        Raises:
            VersionDamagedError: a file is missing, or not what the manifest says.
        """
        if split not in self._opened:
            offsets = self._map(sequence_path(split, "offsets"), np.int64, self.users + 2)
            items = self._map(sequence_path(split, "items"), np.int32, self._rows(split))
            ends = offsets[0] == offsets[1] == 0 and offsets[-1] == items.size
            if not (ends and (offsets[:-1] <= offsets[1:]).all()):
                raise VersionDamagedError(
                    f"{self.folder}: the sequences of {split} lead beyond its {items.size:,} events; transform again"
                )
            place = str(self.folder / sequence_path(split, "items"))
            self._opened[split] = Sequences(offsets, items, largest=self.items, place=place)
        return self._opened[split]

    def dataset(self, split: Split) -> Dataset:
        """The split's events in order of time as a lazy Arrow data set: user, item, rating, timestamp.

        Polars, DuckDB and pandas read it in pieces, and only the columns and rows that are asked for. Whether its ids
        are ids of the id map is not checked here: for a query they are numbers.

        Raises:
            VersionDamagedError: the file is missing or cannot be read.
        """
        import pyarrow as pa  # noqa: PLC0415 - see events
        from pyarrow import dataset  # noqa: PLC0415 - see events

        path = self.folder / events_path(split)
        try:
            return dataset.dataset(path, format="parquet")
        except (OSError, pa.ArrowException) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None

    def events(self, split: Split, *, since: int | None = None) -> Iterator[EventBatch]:
        """The split's events in order of time, in batches; `since` leaves out those before that Unix second.

        Raises:
            VersionDamagedError: the file is missing or cannot be read.
        """
        import pyarrow as pa  # noqa: PLC0415 - half a second, and training alone does not need it
        from pyarrow import parquet  # noqa: PLC0415 - as above

        path = self.folder / events_path(split)
        try:
            with parquet.ParquetFile(path) as file:
                for group in _groups_since(file, since):
                    for batch in file.iter_batches(_BATCH_ROWS, [group], columns=["user", "item", "timestamp"]):
                        user, item, timestamp = (batch.column(name).to_numpy() for name in EventBatch._fields)
                        if not (_are_ids(user, self.users) and _are_ids(item, self.items)):
                            raise VersionDamagedError(f"{path}: ids lie outside the id maps; transform again")
                        first = 0 if since is None else int(np.searchsorted(timestamp, since))
                        if first < user.size:
                            yield EventBatch(user[first:], item[first:], timestamp[first:])
        except (OSError, pa.ArrowException) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None

    def ratings(self, split: Split) -> NDArray[np.float64]:
        """The ratings of the split's events in order of time; (n,), NaN where there is none.

        Raises:
            VersionDamagedError: the file is missing or cannot be read.
        """
        import pyarrow as pa  # noqa: PLC0415 - see events
        from pyarrow import parquet  # noqa: PLC0415 - see events

        path = self.folder / events_path(split)
        try:
            with parquet.ParquetFile(path) as file:
                if "rating" not in file.schema_arrow.names:  # the log had no such column
                    return np.full(file.metadata.num_rows, np.nan)
                column = file.read(["rating"]).column("rating")
        except (OSError, pa.ArrowException) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None
        ratings: NDArray[np.float64] = column.to_numpy().astype(np.float64, copy=False)  # a missing one becomes NaN
        return ratings

    @cached_property
    def known_items(self) -> NDArray[np.bool_]:
        """Whether an item is warm, by dense id; (items + 1,), False for 0."""
        known = np.zeros(self.items + 1, np.bool_)
        known[self.sequences("train").items] = True
        return known

    @cached_property
    def known_users(self) -> NDArray[np.bool_]:
        """Whether a user is warm, by dense id; (users + 1,), False for 0."""
        return np.diff(self.sequences("train").offsets) > 0

    @cached_property
    def raw_users(self) -> NDArray[np.generic]:
        """Raw user ids by dense id - 1; (users,)."""
        return self._raw(USER_IDS)

    @cached_property
    def raw_items(self) -> NDArray[np.generic]:
        """Raw item ids by dense id - 1; (items,)."""
        return self._raw(ITEM_IDS)

    @cached_property
    def _opened(self) -> dict[Split, Sequences]:
        return {}

    def _rows(self, split: Split) -> int:
        rows: int = getattr(self.certificate, split).rows
        return rows

    def _map(self, relative: str, kind: type[_Number], size: int) -> NDArray[_Number]:
        path = self.folder / relative
        try:
            # An empty file cannot be mapped.
            array: NDArray[_Number] = np.load(path, mmap_mode="r" if size else None, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None
        if array.shape != (size,) or array.dtype != kind:
            raise VersionDamagedError(
                f"{path}: {array.shape} entries of {array.dtype}, expected ({size},) of {np.dtype(kind)}; "
                "transform again"
            )
        return array

    def _raw(self, relative: str) -> NDArray[np.generic]:
        import pyarrow as pa  # noqa: PLC0415 - see events
        from pyarrow import parquet  # noqa: PLC0415 - see events

        path = self.folder / relative
        try:
            table = parquet.read_table(path, columns=["id", "raw"])
        except (OSError, pa.ArrowException) as error:
            raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None
        array: NDArray[np.generic] = table.sort_by("id").column("raw").to_numpy()
        return array


def open_version(folder: str | Path) -> Version:
    """Open the version in `folder`; costs two small files, whatever its size.

    Raises:
        VersionNotFoundError: no complete version is there, or it has no certificate: splits that nobody vouches for
            are not trained on.
        VersionDamagedError: manifest or certificate cannot be read, or they speak of different versions.
    """
    folder = Path(folder).absolute()
    manifest = Manifest.read(folder)
    try:
        certificate = Certificate.read(folder)
    except VersionNotFoundError:
        raise VersionNotFoundError(
            f"{folder}: version {manifest.id} has no certificate, so its splits cannot be trusted; transform again"
        ) from None
    if certificate.version != manifest.id:
        raise VersionDamagedError(
            f"{folder}: the certificate speaks of {certificate.version}, the manifest of {manifest.id}; transform again"
        )
    return Version(folder, manifest, certificate)


def _are_ids(array: NDArray[np.int32], largest: int) -> bool:
    return not array.size or bool(array.min() >= 1 and array.max() <= largest)


def _groups_since(file: object, since: int | None) -> list[int]:
    """Row groups that hold an event at or after `since`, from the file's statistics alone."""
    metadata = file.metadata  # type: ignore[attr-defined]  # pyarrow ships no types
    groups = range(metadata.num_row_groups)
    if since is None:
        return [*groups]
    place = metadata.schema.names.index("timestamp")
    statistics = [metadata.row_group(group).column(place).statistics for group in groups]
    return [group for group, facts in zip(groups, statistics, strict=True) if facts is None or facts.max >= since]
