"""The version that another goes on from, as the transform takes it: its id maps first, then its events, in batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from matinee.errors import VersionDamagedError
from matinee.etl.ids import RawIds
from matinee.etl.interner import LENGTH_BITS
from matinee.etl.spill import Events
from matinee.schema.layout import ITEM_IDS, SPLITS, USER_IDS, events_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from matinee.etl.dialect import Dialect
    from matinee.schema.layout import Split
    from matinee.schema.manifest import BaseEntry, IdMapEntry
    from matinee.version import Version

__all__ = ["Base", "is_rated"]

_BATCH_ROWS = 1 << 18
_MOST_SAMPLES = 4096  # of a row group


@dataclass(frozen=True)
class Base:
    """An earlier version whose ids stay what they are, and those of its events that have happened.

    Attributes:
        version: on this machine, with the hash that `entry` names.
        entry: what the new version's manifest says of it.
    """

    version: Version
    entry: BaseEntry

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits whose events are taken in."""
        names: tuple[str, ...] = SPLITS
        return SPLITS[: names.index(self.entry.past) + 1]

    @property
    def events(self) -> int:
        """How many events are taken in."""
        certificate = self.version.certificate
        return sum(getattr(certificate, split).rows for split in self.splits)

    @property
    def without_time(self) -> bool:
        """Whether row numbers stand in for its timestamps."""
        return self.version.certificate.reading.time_unit == "row"

    def read_as(self, dialect: Dialect) -> Dialect:
        """The dialect of a log whose ids are of the same kinds as this version's, whatever its first rows look like."""
        manifest = self.version.manifest
        columns = replace(
            dialect.columns,
            user_is_integer=manifest.users.kind == "integer",
            item_is_integer=manifest.items.kind == "integer",
        )
        return replace(dialect, columns=columns)

    def raw_ids(self) -> tuple[RawIds, RawIds]:
        """Users and items, numbered as they are here."""
        manifest = self.version.manifest
        return self._raw_ids(USER_IDS, manifest.users), self._raw_ids(ITEM_IDS, manifest.items)

    def times(self, rows_a_sample: int) -> NDArray[np.int64]:
        """Some timestamps, about one of so many events, from the files' statistics alone."""
        samples = [np.empty(0, np.int64)]
        for split in self.splits:
            metadata = parquet.read_metadata(self._path(split))
            column = metadata.schema.names.index("timestamp")
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                facts = group.column(column).statistics
                if facts is not None and facts.has_min_max:
                    count = min(max(1, group.num_rows // rows_a_sample), _MOST_SAMPLES)
                    span = facts.max - facts.min  # in Python's integers: it may leave int64
                    samples.append(np.array([facts.min + span * at // count for at in range(count)], np.int64))
        return np.concatenate(samples)

    def batches(self, users: RawIds, items: RawIds) -> Iterator[Events]:
        """The events taken in, split by split in order of time, their ids as codes of what `raw_ids` gave.

        Raises:
            VersionDamagedError: a file cannot be read, or is not what the manifest says.
        """
        user_codes, item_codes = (np.concatenate([np.zeros(1, np.uint32), ids.numbered]) for ids in (users, items))
        for split in self.splits:
            path, rows = self._path(split), 0
            try:
                with parquet.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BATCH_ROWS):
                        rows += batch.num_rows
                        user, item, time = (batch.column(name).to_numpy() for name in ("user", "item", "timestamp"))
                        self._check(path, user, user_codes.size)
                        self._check(path, item, item_codes.size)
                        yield Events(user_codes[user], item_codes[item], _ratings(batch), np.array(time))
            except (OSError, pa.ArrowException) as error:
                raise _unreadable(path, error) from None
            expected = self.version.manifest.file(events_path(split)).rows
            if rows != expected:
                raise VersionDamagedError(f"{path}: {rows:,} events, its manifest says {expected:,}; pull it again")

    def _path(self, split: Split) -> Path:
        return self.version.folder / events_path(split)

    def _raw_ids(self, relative: str, entry: IdMapEntry) -> RawIds:
        path = self.version.folder / relative
        try:
            table = parquet.read_table(path, columns=["id", "raw"])
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None
        if not np.array_equal(table.column("id").to_numpy(), np.arange(1, entry.count + 1)):
            raise VersionDamagedError(f"{path}: its ids are not 1 to {entry.count:,}; pull it again")
        ids = RawIds(integer=entry.kind == "integer")
        if ids.integer:
            ids.number(np.array(table.column("raw").to_numpy()), np.empty(0, np.uint8))
            return ids
        raw = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in table.column("raw").chunks])
        lengths = compute.binary_length(raw).to_numpy().astype(np.int64)
        _, offsets, text = raw.buffers()
        starts = np.frombuffer(offsets, np.int64)[raw.offset : raw.offset + len(raw)]
        ids.number((starts << LENGTH_BITS) | lengths, np.frombuffer(text, np.uint8))
        return ids

    def _check(self, path: Path, ids: NDArray[np.int32], size: int) -> None:
        if ids.size and (ids.min() < 1 or ids.max() >= size):
            raise VersionDamagedError(f"{path}: ids lie outside the id maps; pull it again")


def is_rated(version: Version) -> bool:
    """Whether a version's events have a column of ratings.

    Raises:
        VersionDamagedError: they cannot be read.
    """
    path = version.folder / events_path(SPLITS[0])
    try:
        return "rating" in parquet.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _ratings(batch: pa.RecordBatch) -> NDArray[np.float64]:
    """(n,) with NaN for none."""
    if "rating" not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    ratings: NDArray[np.float64] = np.array(batch.column("rating").to_numpy(zero_copy_only=False), np.float64)
    return ratings


def _unreadable(path: Path, error: Exception) -> VersionDamagedError:
    return VersionDamagedError(f"{path}: cannot be read ({' '.join(str(error).split())}); pull it again")
