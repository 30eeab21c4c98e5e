"""One transform on a cluster, start to end: what the workers do to the log, and what the driver makes of it."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matinee.errors import UsageError
from matinee.etl.certificate import certify
from matinee.etl.certificate_page import write_page
from matinee.etl.id_files import write_id_map
from matinee.etl.run_record import run_record
from matinee.etl.source_files import copy_raw, file_entry, source_entry
from matinee.etl.spark.facts import SparkFacts, count_facts
from matinee.etl.spark.ids import Numbered, encode, number
from matinee.etl.spark.order import Remaining, remaining, shuffled, ties
from matinee.etl.spark.parts import sorted_parts, write_part
from matinee.etl.spark.read import Log, Unpacked, read_log, rejects_of, unpack
from matinee.etl.spark.session import cluster_session
from matinee.etl.spark.split import Cuts, Ordered, divide, find_cuts
from matinee.etl.spark.write import write_events, write_rejects, write_sequences, write_text
from matinee.etl.transform import LocalVersion
from matinee.schema.layout import CERTIFICATE, CERTIFICATE_PAGE, FOLDS, ITEM_IDS, MANIFEST, RUN, USER_IDS
from matinee.schema.manifest import Manifest, version_id
from matinee.schema.transform_settings import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from matinee.etl.extract import Archive
    from matinee.schema.certificate import Certificate
    from matinee.schema.manifest import FileEntry, IdMapEntry
    from matinee.schema.progress import Progress
    from matinee.schema.transform_settings import TransformSettings

__all__ = ["transform_on_spark"]

_BLOCK_BYTES = 32 << 20  # of text that a worker reads at once; a range of events is about as many
_DIVIDED = "user int, item int, rating double, time bigint, split int, p bigint"


def transform_on_spark(
    path: Path,
    source: str | Path | Archive,
    settings: TransformSettings,
    folder: Path,
    out: Path,
    *,
    master: str,
    sha256: str,
    block_bytes: int | None,
    progress: Progress,
) -> LocalVersion:
    """Make the version of the log at `path` in the staging folder `folder`, which all workers must reach.

    Raises:
        SourceError: the log cannot be read, or nothing is left of it.
        SparkError: the cluster does not answer, or a job failed.
        UsageError: no Java, or a folder that Spark would take for a pattern.
    """
    folder = folder.absolute()
    if strange := sorted(set(str(folder)) & set("*?[]{}\\%:#")):
        raise UsageError(f"--out {out}: {' '.join(strange)} in its path is a pattern to Spark; choose another folder")
    plan = _Plan(settings, folder, folder / "spark", block_bytes or _BLOCK_BYTES, progress)
    with plan.phase("unpack"):
        log = unpack(path, settings, plan.scratch / "unpacked", progress)
    with cluster_session(master) as session:
        made = _on_cluster(session, log, plan)
        cores = session.sparkContext.defaultParallelism
        spark = {"version": session.version, "master": master}
    identity = version_id(sha256, settings)
    with plan.phase("certify"):
        entry = source_entry(path, source, sha256, log.member)
        certificate = _certificate(identity, made, plan)
        files, maps = _files(made, plan)
        if settings.raw:
            files.append(copy_raw(path, entry, folder))
    shutil.rmtree(plan.scratch)
    in_order = tuple(sorted(files, key=lambda file: file.path))
    manifest = Manifest(identity, settings.name, FORMAT, entry, settings.as_json(), *maps, in_order, None)
    record = run_record(plan.phases_s, certificate.reading.events, 0, cores)
    (folder / RUN).write_text(json.dumps({**record, "spark": spark}, indent=2) + "\n")
    (folder / MANIFEST).write_text(manifest.to_json())
    return LocalVersion(out, manifest, certificate, fresh=True)


@dataclass(slots=True)
class _Plan:
    """What to make, where, and how long each phase took so far."""

    settings: TransformSettings
    folder: Path
    scratch: Path
    block_bytes: int
    progress: Progress
    phases_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase that progress is told of."""
        self.progress.start(name, None, "rows")
        start = time.perf_counter()
        yield
        self.phases_s[name] = time.perf_counter() - start
        self.progress.finish()


@dataclass(frozen=True, slots=True)
class _Made:
    """What the cluster gave."""

    log: Log
    left: Remaining
    users: Numbered
    items: Numbered
    cuts: Cuts | None
    facts: SparkFacts
    files: list[FileEntry]


def _on_cluster(session: SparkSession, unpacked: Unpacked, plan: _Plan) -> _Made:
    """Read, order, number, divide and count: all that is done in parallel."""
    settings, scratch, context = plan.settings, plan.scratch, session.sparkContext
    parts = max(context.defaultParallelism, -(-unpacked.size_bytes // plan.block_bytes))
    session.conf.set("spark.sql.shuffle.partitions", str(parts))
    with plan.phase("read"):
        log = read_log(context, unpacked, settings, scratch / "read", plan.block_bytes)
    with plan.phase("order"):
        user, item = _kinds(log)
        types = f"user {user}, item {item}, rating double, time bigint, pos bigint"
        events = session.read.schema(types).parquet(f"file://{log.folder}")
        left = remaining(events, log.events, settings, scratch / "left")
        frame, keys = left.frame, ["time", "pos"]
        if settings.ties == "shuffle":
            frame, keys = shuffled(frame, settings.seed, parts, scratch / "runs"), ["time", "key", "pos"]
        ordered = Ordered(scratch / "ordered", sorted_parts(frame, keys, parts, partial(_write_range, scratch)))
    with plan.phase("divide"):
        users = number(session, user, ordered.bases, parts, scratch / "users")
        items = number(session, item, ordered.bases, parts, scratch / "items")
        cuts = find_cuts(ordered, settings)
        divided = divide(context, ordered, users, items, settings, cuts, scratch / "divided")
        frame = session.read.schema(_DIVIDED).parquet(f"file://{divided.folder / 'events'}")
        facts = count_facts(frame, ordered, divided, by_time=cuts is not None)
    with plan.phase("write"):
        has_rating = log.dialect.columns.rating >= 0
        files = [write_rejects(plan.folder, rejects_of(log), log.rejected)]
        files += write_text(plan.folder, settings.name, divided)
        files += write_events(plan.folder, divided, has_rating=has_rating)
        files += write_sequences(plan.folder, frame, users.count, parts, scratch / "sequences")
    return _Made(log, left, users, items, cuts, facts, files)


def _kinds(log: Log) -> tuple[str, str]:
    """The types of raw users and items, as Spark calls them."""
    columns = log.dialect.columns
    kinds = {True: "bigint", False: "string"}
    return kinds[columns.user_is_integer], kinds[columns.item_is_integer]


def _write_range(scratch: Path, table: pa.Table, part: int) -> dict[str, Any]:
    """A range of events in order, ids as codes into the range's own lists of them."""
    codes = {name: encode(table[name], scratch / f"{name}s", part) for name in ("user", "item")}
    write_part(pa.table({**codes, "rating": table["rating"], "time": table["time"]}), scratch / "ordered", part)
    return ties(table["time"].to_numpy())


def _certificate(identity: str, made: _Made, plan: _Plan) -> Certificate:
    cuts = made.cuts.instants if made.cuts else ()
    ids = (made.users.count, made.items.count)
    certificate = certify(identity, plan.settings, made.log, made.left, made.facts, cuts, made.left.repeats, ids)
    (plan.folder / CERTIFICATE).write_text(certificate.to_json(), encoding="utf-8")
    write_page(certificate, plan.folder / CERTIFICATE_PAGE)
    return certificate


def _files(made: _Made, plan: _Plan) -> tuple[list[FileEntry], tuple[IdMapEntry, IdMapEntry]]:
    """Entries of all files but the archive; id maps and folds are written here."""
    users, user_map = write_id_map(plan.folder, USER_IDS, made.users.raw())
    items, item_map = write_id_map(plan.folder, ITEM_IDS, made.items.raw())
    files = [*made.files, users, items]
    files += [file_entry(plan.folder, path) for path in (CERTIFICATE, CERTIFICATE_PAGE)]
    if plan.settings.rolling and made.cuts:
        (plan.folder / FOLDS).write_text(json.dumps(made.cuts.folds, indent=2) + "\n", encoding="utf-8")
        files.append(file_entry(plan.folder, FOLDS))
    return files, (user_map, item_map)
