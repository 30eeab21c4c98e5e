"""The transform, start to end: a log becomes a complete local version, or nothing at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matinee.errors import (
    DiskFullError,
    SourceNotFoundError,
    VersionConflictError,
    VersionNotFoundError,
)
from matinee.etl.archive import open_log
from matinee.etl.certificate import certify
from matinee.etl.digest import file_sha256
from matinee.etl.emit import RepeatsFoundError, Writer, ahead, emit
from matinee.etl.facts import Facts
from matinee.etl.ids import DenseIds
from matinee.etl.order import Batch, Room, in_order, shuffle_ties
from matinee.etl.parse import is_compiled
from matinee.etl.read import Log, read_log
from matinee.etl.run_record import run_record
from matinee.etl.source_files import copy_raw, file_entry, source_entry
from matinee.etl.split import Splitter, fold_shares, make_splitter
from matinee.etl.staging import staged
from matinee.etl.survey import Survey, survey
from matinee.etl.text import TextWriter
from matinee.etl.tuning import Tuning, default_memory_limit_bytes
from matinee.schema.certificate import Certificate
from matinee.schema.layout import (
    CERTIFICATE,
    CERTIFICATE_PAGE,
    FOLDS,
    ITEM_IDS,
    MANIFEST,
    REJECTS,
    RUN,
    USER_IDS,
)
from matinee.schema.manifest import IdMapEntry, Manifest, version_id
from matinee.schema.progress import Progress, Silent
from matinee.schema.transform_settings import FORMAT, TransformSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from concurrent.futures import Future

    import pyarrow as pa
    from numpy.typing import NDArray

    from matinee.etl.base import Base
    from matinee.etl.extract import Archive
    from matinee.schema.manifest import FileEntry

__all__ = ["LocalVersion", "transform"]

_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16


@dataclass(frozen=True, slots=True)
class LocalVersion:
    """A complete version in a folder; `fresh` is False when it had been there already."""

    folder: Path
    manifest: Manifest
    certificate: Certificate
    fresh: bool


def transform(
    source: str | Path | Archive,
    out: Path,
    settings: TransformSettings | None = None,
    *,
    base: Base | None = None,
    memory_limit_bytes: int | None = None,
    temp_dir: Path | None = None,
    workers: int | None = None,
    force: bool = False,
    text_only: bool = False,
    spark: str = "",
    progress: Progress = Silent(),  # noqa: B008 - it has no state
    _tuning: Tuning | None = None,
) -> LocalVersion:
    """Turn a log (a file, or an archive that `extract` gave) into a version in the folder `out`.

    `out` appears complete or not at all: the work is done in a hidden folder beside it. The same source and settings
    give the same bytes whatever the memory limit, the number of workers and the folder for what does not fit.

    Args:
        source: a text file, plain, gzip or in a ZIP; or an Archive, whose hints fill what the settings leave open.
        out: the version's folder; it must not exist, be empty, or hold this very version (then nothing is done).
        settings: what decides the result; by default the name is the source's.
        base: an earlier version whose ids stay, and whose events come before those of the log; see docs/format.md.
        memory_limit_bytes: of the events in work; id maps (some 20 bytes a distinct id) come on top. A quarter of
            the machine's memory by default.
        temp_dir: where events go that do not fit; beside `out` by default. What lies there has no name and goes with
            the process.
        workers: threads that parse; the machine's cores by default.
        force: replace a version that is not this one.
        text_only: write the three text files and nothing else (for benchmarks; this is no version).
        spark: the master of a Spark cluster that does the work, as in spark://host:7077; its workers must reach the
            log and the folder of `out` under the same paths. Memory limit, temp_dir and workers are then Spark's.
        progress: told of each phase.

    Raises:
        SourceError: the log cannot be read, or nothing is left of it.
        VersionConflictError: `out` holds something else.
        DiskFullError: no space left; nothing half-written stays.
    """
    path = Path(source) if isinstance(source, str | Path) else source.path
    if not path.is_file():
        raise SourceNotFoundError(f"{path}: no such file; expected a log or an archive (see 'matinee data list')")
    settings = _with_hints(settings or TransformSettings(name=_name_of(path)), source)
    fold_shares(settings)  # raises where rolling is impossible
    workers = workers or len(os.sched_getaffinity(0))
    limit = memory_limit_bytes or default_memory_limit_bytes()
    tuning = _tuning or Tuning.for_memory(limit, workers)
    known_sha256 = getattr(source, "sha256", None)
    if out.exists() and not text_only and not force:
        done = _already_there(out, known_sha256 or file_sha256(path, progress=progress), settings, base)
        if done is not None:
            return done
    if not is_compiled():
        progress.say("first run here: compiling the kernels, some ten seconds; later runs find them ready")
    with ExitStack() as stack, _disk_full(out, temp_dir or out.parent):
        pool = stack.enter_context(ThreadPoolExecutor(1))
        sha256 = pool.submit(file_sha256, path) if known_sha256 is None and not text_only else None
        if temp_dir is not None:
            temp_dir.mkdir(parents=True, exist_ok=True)
        with staged(out, replace_existing=force) as folder:
            if spark:
                from matinee.etl.spark.job import transform_on_spark  # noqa: PLC0415 - it brings PySpark

                digest = sha256.result() if sha256 else known_sha256 or ""
                block_bytes = _tuning.chunk_bytes if _tuning else None
                return transform_on_spark(
                    path, source, settings, folder, out,
                    master=spark, sha256=digest, block_bytes=block_bytes, progress=progress,
                )  # fmt: skip
            job = _Job(
                path, source, settings, base, tuning, folder, temp_dir or folder, workers, limit, text_only, progress
            )
            return job.run(sha256, known_sha256, out)


class _Job:
    """One transform in its hidden folder."""

    def __init__(
        self,
        path: Path,
        source: str | Path | Archive,
        settings: TransformSettings,
        base: Base | None,
        tuning: Tuning,
        folder: Path,
        temp_dir: Path,
        workers: int,
        limit_bytes: int,
        text_only: bool,
        progress: Progress,
    ) -> None:
        self._path, self._source, self._settings, self._tuning = path, source, settings, tuning
        self._base = base
        self._folder, self._workers, self._limit_bytes = folder, workers, limit_bytes
        self._text_only, self._progress = text_only, progress
        self._room = Room(tuning.bucket_events, temp_dir, tuning.block_bytes)
        self._phases: dict[str, float] = {}
        self._files: list[FileEntry] = []
        self._sequences: Future[list[FileEntry]] | None = None
        self._member = ""

    def run(self, sha256: Future[str] | None, known_sha256: str | None, out: Path) -> LocalVersion:
        """All phases in their order; what need not be waited for is done aside, and is done when this returns."""
        with ThreadPoolExecutor(1) as self._aside:
            return self._run(sha256, known_sha256, out)

    def _run(self, sha256: Future[str] | None, known_sha256: str | None, out: Path) -> LocalVersion:
        if not self._text_only:
            self._aside.submit(_load_writers)
        with self._phase("read"):
            log = self._read()
        with self._phase("write"):
            users, items, splitter, facts, found = self._order_and_write(log)
        if self._text_only:
            return LocalVersion(out, *_no_version(self._settings), fresh=True)
        with self._phase("certify"):
            digest = known_sha256 or (sha256.result() if sha256 else "")
            source = source_entry(self._path, self._source, digest, self._member)
            entry = self._base.entry if self._base else None
            identity = version_id(source.sha256, self._settings, entry)
            certificate = self._certify(identity, log, found, facts, splitter, (users.count, items.count))
            user_map = self._write_ids(
                USER_IDS, self._raw_ids(log.users.raw, users, found.user_codes if found else None)
            )
            item_map = self._write_ids(
                ITEM_IDS, self._raw_ids(log.items.raw, items, found.item_codes if found else None)
            )
            if found:
                found.close()
            if self._settings.rolling:
                self._put(FOLDS, json.dumps(splitter.folds(), indent=2) + "\n")
            if self._settings.raw:
                self._files.append(copy_raw(self._path, source, self._folder))
            if self._sequences is not None:
                self._files += self._sequences.result()
        plain = self._settings.as_json()
        files = tuple(sorted(self._files, key=lambda file: file.path))
        manifest = Manifest(identity, self._settings.name, FORMAT, source, plain, user_map, item_map, files, entry)
        events = certificate.reading.events
        record = run_record(self._phases, events, self._limit_bytes, self._workers)
        (self._folder / RUN).write_text(json.dumps(record, indent=2) + "\n")
        (self._folder / MANIFEST).write_text(manifest.to_json())
        return LocalVersion(out, manifest, certificate, fresh=True)

    def _read(self) -> Log:
        rejects_path = self._folder / REJECTS
        with open_log(self._path, self._settings.member) as stream:
            self._member = stream.name if stream.name != self._path.name else ""
            with rejects_path.open("w", encoding="utf-8", newline="") as rejects:
                log = read_log(
                    stream,
                    self._settings,
                    self._tuning,
                    workers=self._workers,
                    folder=self._room.folder,
                    samples=_samples(self._path, stream.size_bytes),
                    rejects=rejects,
                    progress=self._progress,
                    base=self._base,
                )
        if self._text_only:
            rejects_path.unlink()
        else:
            self._add(REJECTS, rows=log.rejected)
        return log

    def _order_and_write(self, log: Log) -> tuple[DenseIds, DenseIds, Splitter, Facts | None, Survey | None]:
        settings = self._settings
        per_user = settings.split in {"leave-one-out", "ratio"}
        if not (per_user or settings.min_user_events > 1 or settings.min_item_events > 1):
            # Repeats are rare. Where the cuts depend on their number, assume none, and begin again if one turns up.
            counts_matter = settings.split == "time" and not settings.cuts
            try:
                return self._write(log, None, allow_repeats=not counts_matter)
            except RepeatsFoundError:
                self._progress.say("the log has exact repeats: counted first, then written")
        with closing(self._in_order(log)) as batches:
            found = survey(batches, log, settings, self._room)
        log.spill.close()
        return self._write(log, found, allow_repeats=True)

    def _in_order(self, log: Log) -> Generator[Batch]:
        batches = in_order(log.spill, self._room)
        return ahead(batches) if self._workers > 1 else batches

    def _write(
        self, log: Log, found: Survey | None, *, allow_repeats: bool
    ) -> tuple[DenseIds, DenseIds, Splitter, Facts | None, Survey | None]:
        settings = self._settings
        memory = self._limit_bytes
        if found is None:
            users = DenseIds(log.largest_user, memory, log.users.numbered)
            items = DenseIds(log.largest_item, memory, log.items.numbered)
            batches, events, totals = self._in_order(log), log.events, None
        else:
            # The survey's provisional numbers begin with the ids that are numbered, in their order.
            users = DenseIds(found.user_codes.size, memory, _first(log.users.numbered.size))
            items = DenseIds(found.item_codes.size, memory, _first(log.items.numbered.size))
            batches, events, totals = found.batches(), found.events, found.totals
        if settings.ties == "shuffle":
            batches = shuffle_ties(batches, settings.seed, self._room)
        splitter = make_splitter(settings, events, totals)
        first, last = (found.first, found.last) if found else (log.first or 0, log.last or 0)
        text = TextWriter(self._folder, settings.name, hashed=not self._text_only)
        writers: list[Writer] = [text]
        facts = None
        if not self._text_only:
            from matinee.etl.events import EventsWriter  # noqa: PLC0415 - see _load_writers
            from matinee.etl.sequences import SequencesWriter  # noqa: PLC0415 - see _load_writers

            facts = Facts(first, last, by_time=splitter.by_time)
            parquet = EventsWriter(self._folder, has_rating=log.dialect.columns.rating >= 0)
            sequences = SequencesWriter(self._folder, self._room.folder, self._tuning.block_bytes)
            writers += [parquet, sequences]
        self._progress.start("write", events, "rows")
        with closing(batches):
            self._repeats = emit(
                batches, users, items, splitter, facts, writers,
                allow_repeats=allow_repeats, threads=self._workers > 1, progress=self._progress,
            )  # fmt: skip
        if found:
            self._repeats = found.repeats
        self._files += text.close()
        if facts is not None:
            self._files += parquet.close()
            self._sequences = self._aside.submit(sequences.close, facts.totals(users.count))
        if found is None:
            log.spill.close()
        self._progress.finish(f"{users.count:,} users, {items.count:,} items")
        return users, items, splitter, facts, found

    def _certify(
        self,
        identity: str,
        log: Log,
        found: Survey | None,
        facts: Facts | None,
        splitter: Splitter,
        ids: tuple[int, int],
    ) -> Certificate:
        from matinee.etl.certificate_page import write_page  # noqa: PLC0415 - see _load_writers

        if facts is None:
            raise ValueError("text only has no certificate")
        certificate = certify(
            identity, self._settings, log, found, facts, splitter.cuts(), self._repeats, ids, self._base
        )
        self._put(CERTIFICATE, certificate.to_json())
        write_page(certificate, self._folder / CERTIFICATE_PAGE)
        self._add(CERTIFICATE_PAGE)
        return certificate

    def _raw_ids(self, raw: Any, dense: DenseIds, provisional: np.ndarray[Any, Any] | None) -> pa.Array:
        codes = dense.codes()
        return raw(codes if provisional is None else provisional[codes.astype(np.int64) - 1])

    def _write_ids(self, path: str, raw: pa.Array) -> IdMapEntry:
        from matinee.etl.id_files import write_id_map  # noqa: PLC0415 - see _load_writers

        entry, id_map = write_id_map(self._folder, path, raw)
        self._files.append(entry)
        return id_map

    def _put(self, path: str, text: str) -> None:
        (self._folder / path).write_text(text, encoding="utf-8")
        self._add(path)

    def _add(self, path: str, rows: int | None = None) -> None:
        self._files.append(file_entry(self._folder, path, rows))

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._phases[name] = time.perf_counter() - start


def _load_writers() -> None:
    """Import what writes a version while the log is read, which needs none of it."""
    for name in ("events", "id_files", "sequences", "certificate_page"):
        import_module(f"matinee.etl.{name}")


def _with_hints(settings: TransformSettings, source: object) -> TransformSettings:
    """What the settings leave open, as the catalogue knows it."""
    return replace(
        settings,
        member=settings.member or getattr(source, "member", ""),
        columns=settings.columns or tuple(getattr(source, "columns", ())),
        separator=settings.separator or getattr(source, "separator", ""),
    )


def _name_of(path: Path) -> str:
    stem = re.sub(r"(\.(zip|gz|whl|csv|dat|tsv|txt|inter|data))+$", "", path.name.lower())
    return re.sub(r"[^a-z0-9_.-]+", "-", stem).strip(".-") or "log"


def _samples(path: Path, size: int | None) -> list[bytes]:
    """Pieces of a plain file from all over it; nothing from what can only be read in order."""
    total = path.stat().st_size
    if size != total or total < _SAMPLES * _SAMPLE_BYTES:
        return []
    with path.open("rb") as file:
        pieces = []
        for number in range(_SAMPLES):
            file.seek(number * (total - _SAMPLE_BYTES) // (_SAMPLES - 1))
            pieces.append(file.read(_SAMPLE_BYTES))
        return pieces


def _first(size: int) -> NDArray[np.uint32]:
    """1, 2, 3, ..."""
    return np.arange(1, size + 1, dtype=np.uint32)


def _already_there(out: Path, sha256: str, settings: TransformSettings, base: Base | None) -> LocalVersion | None:
    """The version in `out` if it is this one; None where there is room for it."""
    if out.is_dir() and not any(out.iterdir()):
        return None
    identity = version_id(sha256, settings, base.entry if base else None)
    try:
        manifest = Manifest.read(out)
    except VersionNotFoundError:
        raise VersionConflictError(f"{out}: not empty, and no version; choose another --out, or --force") from None
    if manifest.id != identity:
        raise VersionConflictError(
            f"{out}: holds version {manifest.id}, this would be {identity}; choose another --out, or --force"
        )
    for file in manifest.files:
        path = out / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            raise VersionConflictError(f"{path}: missing or of another size than its manifest says; pass --force")
    return LocalVersion(out, manifest, Certificate.read(out), fresh=False)


def _no_version(settings: TransformSettings) -> tuple[Any, Any]:
    del settings
    return None, None


@contextmanager
def _disk_full(out: Path, temp_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        places = {place: shutil.disk_usage(place).free for place in (out.parent, temp_dir) if place.is_dir()}
        told = ", ".join(f"{free:,} bytes free in {place}" for place, free in places.items())
        raise DiskFullError(
            f"no space left while making {out} ({told}); nothing half-written stays: make room, or point --out and "
            "--temp-dir elsewhere, and run again"
        ) from error
