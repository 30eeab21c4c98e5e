"""A version for RecBole: atomic files of all events, and of each split for its `benchmark_filename`."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from matinee.errors import VersionDamagedError
from matinee.schema.layout import SPLITS, Split, events_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.etl.export_version import ExportFolder
    from matinee.schema.progress import Progress
    from matinee.version import Version

__all__ = ["write_recbole"]

_NAMES: Final[dict[Split, str]] = {"train": "train", "eval": "valid", "test": "test"}
_COLUMNS: Final = {
    "user": "user_id:token",
    "item": "item_id:token",
    "rating": "rating:float",
    "timestamp": "timestamp:float",
}
_BATCH_ROWS: Final = 1 << 17


def write_recbole(version: Version, place: ExportFolder, progress: Progress) -> None:
    """Write `<name>/<name>.inter` and, as its pieces, `<name>.train.inter`, `.valid.inter`, `.test.inter`.

    RecBole calls that data set <name>, which is the name of the version and its id.

    Raises:
        VersionDamagedError: the events cannot be read.
    """
    rows = {split: getattr(version.certificate, split).rows for split in SPLITS}
    columns = [column for column in _COLUMNS if column in version.dataset("train").schema.names]
    header = "\t".join(_COLUMNS[column] for column in columns).encode() + b"\n"
    name = f"{version.name}-{version.id}"  # one called ml-100k RecBole takes from itself, whatever data_path says
    stem = f"{name}/{name}"
    progress.start("write atomic files", sum(rows.values()), "rows")
    with ExitStack() as files:
        whole = files.enter_context(place.open(f"{stem}.inter", sum(rows.values())))
        whole.write(header)
        for split, part in _NAMES.items():
            with place.open(f"{stem}.{part}.inter", rows[split]) as own:
                own.write(header)
                for batch in _batches(version, split, columns):
                    text = _lines(batch)
                    whole.write(text)
                    own.write(text)
                    progress.advance(batch.num_rows)
    progress.finish()


def _batches(version: Version, split: Split, columns: list[str]) -> Iterator[Any]:
    """The split's record batches in order of time, their ids checked."""
    import pyarrow as pa  # noqa: PLC0415 - as everywhere: half a second
    from pyarrow import compute, parquet  # noqa: PLC0415 - as above

    path = version.folder / events_path(split)
    largest = {"user": version.users, "item": version.items}
    try:
        with parquet.ParquetFile(path) as file:
            for batch in filter(len, file.iter_batches(_BATCH_ROWS, columns=columns)):
                spans = {name: compute.min_max(batch.column(name)).as_py() for name in largest}
                if any(spans[name]["min"] < 1 or spans[name]["max"] > largest[name] for name in largest):
                    raise VersionDamagedError(f"{path}: ids lie outside the id maps; transform again")
                yield batch
    except (OSError, pa.ArrowException) as error:
        raise VersionDamagedError(f"{path}: cannot be read ({error}); transform again") from None


def _lines(batch: Any) -> memoryview:
    from pyarrow import csv  # noqa: PLC0415 - see _batches

    text = io.BytesIO()
    csv.write_csv(batch, text, csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none"))
    return text.getbuffer()
