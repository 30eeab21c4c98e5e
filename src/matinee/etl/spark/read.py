"""The log, read in blocks by all workers: a line belongs to the block in which it begins."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from matinee.errors import SourceFormatError
from matinee.etl.archive import open_log
from matinee.etl.archive_stream import PlainLog
from matinee.etl.dialect import MAX_LINE_BYTES, Dialect, detect, line_too_long
from matinee.etl.ids import RawIds
from matinee.etl.parse import Parsed, Scratch, parse_chunk
from matinee.etl.read import check_rejects, filtered, read_head, reject_row
from matinee.etl.spark.parts import part_path, placed, write_part
from matinee.etl.swar import SLACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pyspark import SparkContext

    from matinee.schema.progress import Progress
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["ROW_BITS", "Log", "Unpacked", "read_log", "rejects_of", "unpack"]

ROW_BITS = 40  # a row's position is its block's number, and below these bits its own within the block
_COPY_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A log as the workers read it: a plain file, its size, its dialect, and the archive member that it was."""

    path: Path
    size_bytes: int
    dialect: Dialect
    member: str


@dataclass(slots=True)
class Log:
    """What was read, and what was left out so far; `events` remain, in parts in `folder`."""

    dialect: Dialect
    folder: Path
    rows: int = 0
    below_rating: int = 0
    outside_range: int = 0
    events: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    lines: list[int] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        """Rows that could not be read."""
        return self.rejects.total()


class _Block(NamedTuple):
    number: int
    start: int
    stop: int
    first_row: int = 0  # accepted rows before it, which stand in for times where the log has none


@dataclass(frozen=True, slots=True)
class _Task:
    """What a worker must know to read a block."""

    path: Path
    dialect: Dialect
    settings: TransformSettings
    folder: Path


def unpack(path: Path, settings: TransformSettings, folder: Path, progress: Progress) -> Unpacked:
    """Decide the dialect, and unpack a gzip or a member of a ZIP into `folder`; a plain file stays where it lies.

    Raises:
        SourceError: not a log, or a damaged archive.
    """
    with open_log(path, settings.member) as stream:
        head, ended = read_head(stream)
        dialect = detect(head, settings)
        if dialect.time_unit not in {"s", "row"} and settings.time_unit == "auto":
            progress.say(f"timestamps look like {dialect.time_unit}: divided to seconds (--time-unit says otherwise)")
        if isinstance(stream, PlainLog):
            return Unpacked(path.absolute(), stream.total_bytes, dialect, "")
        folder.mkdir(parents=True)
        target = folder / "log"
        with target.open("wb") as file:
            file.write(head)
            buffer = memoryview(bytearray(_COPY_BYTES))
            while not ended and (got := stream.readinto(buffer)):
                file.write(buffer[:got])
        member = stream.name if stream.name != path.name else ""
        return Unpacked(target.absolute(), target.stat().st_size, dialect, member)


def read_log(context: SparkContext, log: Unpacked, settings: TransformSettings, folder: Path, block_bytes: int) -> Log:
    """Read all blocks; events go to `folder`/events, and rejects, their lines counted from the block's first.

    Raises:
        SourceFormatError: not a log, or nothing left of it.
        TooManyRejectsError: more unreadable rows than allowed.
    """
    task = _Task(log.path, log.dialect, settings, folder)
    starts = range(log.dialect.data_offset, log.size_bytes, block_bytes)
    blocks = [_Block(number, start, min(start + block_bytes, log.size_bytes)) for number, start in enumerate(starts)]
    if log.dialect.time_unit == "row":
        accepted = context.parallelize(blocks, len(blocks)).map(partial(_count_block, task)).collect()
        before = np.cumsum([0, *accepted]).tolist()
        blocks = [block._replace(first_row=row) for block, row in zip(blocks, before[:-1], strict=True)]
    told = context.parallelize(blocks, len(blocks)).map(partial(_read_block, task)).collect()
    found = Log(log.dialect, folder / "events")
    line = log.dialect.data_line
    for block in told:
        if block["too_long"] >= 0:
            raise line_too_long(line + block["too_long"])
        found.lines.append(line)
        line += block["lines"]
        found.rows += block["rows"]
        found.below_rating += block["below_rating"]
        found.outside_range += block["outside_range"]
        found.events += block["events"]
        found.rejects.update(block["rejects"])
    check_rejects(found.rows, found.rejects, settings.max_reject_share)
    if not found.events:
        raise SourceFormatError(
            f"no event is left of {found.rows:,} rows: {found.rejected:,} rejected, {found.below_rating:,} below "
            f"--min-rating, {found.outside_range:,} outside --since/--until; loosen the filters"
        )
    return found


def _count_block(task: _Task, block: _Block) -> int:
    """Accepted rows of a block."""
    _, parsed = _parse(task, block)
    return int(parsed.user.size)


def _read_block(task: _Task, block: _Block) -> dict[str, Any]:
    """Read a block, write its events and rejects, and say how much there was."""
    text, parsed = _parse(task, block)
    columns = task.dialect.columns
    time = parsed.time
    if task.dialect.time_unit == "row":
        time = np.arange(block.first_row, block.first_row + parsed.user.size)
    keep, below_rating, outside_range = filtered(parsed.rating, time, task.settings)
    table = pa.table(
        {
            "user": _raw(parsed, "user", text, integer=columns.user_is_integer),
            "item": _raw(parsed, "item", text, integer=columns.item_is_integer),
            "rating": pa.array(parsed.rating, pa.float64(), from_pandas=True),  # NaN becomes null
            "time": pa.array(time, pa.int64()),
            "pos": pa.array(np.arange(time.size, dtype=np.int64) | (block.number << ROW_BITS)),
        }
    )
    if keep is not None:
        table = table.filter(pa.array(keep))
    write_part(table, task.folder / "events", block.number)
    if parsed.rejects:
        with placed(part_path(task.folder / "rejects", block.number, "csv")) as aside:
            rows = "".join(reject_row(reject.line, reject) for reject in parsed.rejects)
            aside.write_bytes(rows.encode())
    return {
        "lines": parsed.lines,
        "rows": parsed.rows,
        "events": table.num_rows,
        "below_rating": below_rating,
        "outside_range": outside_range,
        "rejects": dict(Counter(reject.reason for reject in parsed.rejects)),
        "too_long": parsed.too_long,
    }


def _parse(task: _Task, block: _Block) -> tuple[NDArray[np.uint8], Parsed]:
    lines = _lines(task.path, block, task.dialect.data_offset)
    text = np.zeros(len(lines) + SLACK_BYTES, np.uint8)
    text[: len(lines)] = np.frombuffer(lines, np.uint8)
    return text, parse_chunk(text, len(lines), task.dialect.columns, Scratch())


def _lines(path: Path, block: _Block, first: int) -> bytes:
    """The lines that begin in a block, whole; of one that is too long to be a row, enough to see that."""
    with path.open("rb") as file:
        start = block.start
        if start > first:
            file.seek(start - 1)
            start += len(file.readline(MAX_LINE_BYTES + 3)) - 1  # what began before
        if start >= block.stop:
            return b""
        file.seek(start)
        lines = file.read(block.stop - start)
        return lines if lines.endswith(b"\n") else lines + file.readline(MAX_LINE_BYTES + 3)


def _raw(parsed: Parsed, role: str, text: NDArray[np.uint8], *, integer: bool) -> pa.Array:
    """A column of raw ids, int64 or string."""
    values: NDArray[np.int64] = getattr(parsed, role)
    if integer:
        return pa.array(values)
    ids = RawIds(integer=False)
    return ids.raw(ids.codes(values, text, [(row, raw) for row, kind, raw in parsed.texts if kind == role]))


def rejects_of(log: Log) -> Iterator[bytes]:
    """The rows of rejects.csv in order, their lines counted from the log's first."""
    for number, line in enumerate(log.lines):
        path = part_path(log.folder.parent / "rejects", number, "csv")
        if path.exists():
            with path.open("rb") as rows:
                for row in rows:
                    within, _, rest = row.partition(b",")
                    yield b"%d,%s" % (line + int(within), rest)
