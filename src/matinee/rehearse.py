"""The whole journey on one page, from a source to a published version and trained models; done work stays done."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.errors import VersionError
from matinee.receipt import EMBEDDED, Receipt, ReplayedSplit, receipt_path
from matinee.schema.certificate import Certificate
from matinee.schema.layout import MANIFEST
from matinee.schema.manifest import Manifest, version_id
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matinee.lineage import Recorder
    from matinee.stack import Stack
    from matinee.train.rehearsal import Trial

__all__ = ["Rehearsal", "rehearse"]

# Served and replayed at the end: the network that is trained first, and the simplest of the others beside it.
_REPLAYED = ("sse-pt", "popularity")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of a rehearsal.

    Attributes:
        version, name: the version's id, and its data set's name.
        worked: False when everything was there and verified already.
        archive: the source as fetched.
        folder: the version on this machine.
        location: its address in the store.
        manifest_sha256: of the bytes of manifest.json, here and in the store.
        verified: when every byte in the store was compared, ISO 8601 in UTC.
        certificate: the facts about its splits.
        trials: the trained models, side by side on the split `test`; empty where nothing is trained.
        replay: the same split played through served models; None where nothing is served.
        store, endpoint, data_dir: as given; `store` None is the embedded one of `data_dir`.
    """

    version: str
    name: str
    worked: bool
    archive: Path
    folder: Path
    location: str
    manifest_sha256: str
    verified: str
    certificate: Certificate
    trials: tuple[Trial, ...]
    replay: ReplayedSplit | None
    store: str | None
    endpoint: str | None
    data_dir: Path


def rehearse(
    source: str | Path = "ml-100k",
    *,
    rows: str | int | None = None,
    memory_limit: str | int | None = None,
    store: str | None = None,
    endpoint: str | None = None,
    data_dir: str | Path = "matinee-data",
    stack: bool = True,
    train: bool = True,
    replay: bool = True,
    archives: str | Path | None = None,
    openlineage_url: str | None = None,
    progress: Progress | None = None,
) -> Rehearsal:
    """Extract, transform, load, verify, register, train, export, evaluate, serve, replay; a second call finds it done.

    Args:
        source: a catalogue name, a path, a URL, or remote:path of rclone.
        rows: expand the source to so many rows first, '192e6' or a number; see docs/synth.md.
        memory_limit: of the transform: '1GB', '512MiB' or bytes; None is a quarter of what the process may use.
        store: where to publish; None is the S3 of the stack in `data_dir`.
        endpoint: of an s3:// store; keys come from the environment.
        data_dir: where archives, versions, lineage, receipts and the stack's data are kept.
        stack: start Postgres, S3 and MLflow of `data_dir` where they do not run, and stop them at the end; False does
            without them, but for the S3 where no other store is named.
        train: train a few small models and compare them on the split `test`; left out, with a word, where PyTorch is
            not installed.
        replay: serve the network and the popularity that were trained, and play the split `test` through both; left
            out where nothing is trained, and without the stack.
        archives: where fetched archives go; None is in `data_dir`.
        openlineage_url: a collector that is told of each stage, too.
        progress: told of every phase.

    Raises:
        SourceError, VersionError, StoreError, ModelError, DiskFullError, ServiceError, LineageError: see the stages.
        UsageError: the version has too few events to learn from.
    """
    from matinee.etl import stages  # noqa: PLC0415 - `import matinee` imports this module and must stay light
    from matinee.lineage import Recorder  # noqa: PLC0415 - as above

    data_dir, progress = Path(data_dir), progress or Silent()
    if rows is not None:
        from matinee.etl.synth_source import source_text  # noqa: PLC0415 - as above

        source = source_text(str(source), rows)
    lineage = Recorder(data_dir / "lineage", openlineage_url, warn=progress.say)
    fetched_to = None if stages.is_local(source) else archives or data_dir / "archives"
    archive = stages.extract(source, out=fetched_to, lineage=lineage, progress=progress)
    settings = stages.settings_for(archive)
    version = version_id(archive.sha256, settings)
    folder = data_dir / "versions" / settings.name / version
    kept_at = receipt_path(data_dir, version, store, endpoint)

    receipt = Receipt.read(kept_at)
    here = _complete(folder)
    if receipt is not None and (receipt.manifest_sha256 != here or not _has_a_place(data_dir, store)):
        receipt = None
    train = train and _can_train(progress)
    replay = replay and train and stack
    worked = (
        receipt is None
        or (stack and not receipt.registered)
        or (train and not receipt.are_trained)
        or (replay and receipt.replayed is None)
    )
    if worked:
        # A folder of ours that lost or changed a file is made again; `matinee transform` would ask for --force.
        damaged = folder.exists() and here is None
        stages.transform(
            archive, out=folder, memory_limit=memory_limit, force=damaged, lineage=lineage, progress=progress
        )
        with _services(data_dir, progress, wanted=stack) as reached:
            if receipt is None or (stack and not receipt.registered):
                receipt = _publish(folder, data_dir, store, endpoint, lineage, progress)
                if reached is not None:
                    receipt = _register(reached, folder, receipt, lineage, progress)
                receipt.write(kept_at)
            if train:
                receipt = _train(reached, folder, receipt, data_dir, lineage, progress)
                receipt.write(kept_at)
            if replay:
                receipt = _replay(folder, receipt, data_dir, store, endpoint, lineage, progress)
                receipt.write(kept_at)
    assert receipt is not None  # noqa: S101 - made above where there was none, for the type checker
    return Rehearsal(
        version=version,
        name=settings.name,
        worked=worked,
        archive=archive.path,
        folder=folder,
        location=receipt.location,
        manifest_sha256=receipt.manifest_sha256,
        verified=receipt.verified,
        certificate=Certificate.read(folder),
        trials=receipt.trials if train else (),
        replay=receipt.replayed if replay else None,
        store=store,
        endpoint=endpoint,
        data_dir=data_dir,
    )


@contextmanager
def _services(data_dir: Path, progress: Progress, *, wanted: bool) -> Iterator[Stack | None]:
    """The services that a rehearsal writes to, unless it is to do without; one stack for all of its parts."""
    if not wanted:
        yield None
        return
    from matinee.stack import running  # noqa: PLC0415 - see _publish

    with running(data_dir, ["s3", "postgres", "mlflow"], progress=progress) as stack:
        yield stack


def _publish(
    folder: Path, data_dir: Path, store: str | None, endpoint: str | None, lineage: Recorder, progress: Progress
) -> Receipt:
    """Load the version, then read every byte back, here and there, and compare it with what was recorded."""
    from matinee.etl.load import load  # noqa: PLC0415 - a rehearsal without work needs no store
    from matinee.etl.tracing import trace_in  # noqa: PLC0415 - as above
    from matinee.place import place  # noqa: PLC0415 - as above
    from matinee.store import open_store  # noqa: PLC0415 - as above

    with place(store, endpoint, data_dir, create=True) as address:
        published = load(folder.absolute(), address.to, **address.reach, lineage=lineage, progress=progress)
        with open_store(address.to, **address.reach) as opened:
            chain = trace_in(opened, published.id, folder=folder, data_dir=data_dir, progress=progress)
    chain.verify()
    return Receipt(
        store=store or EMBEDDED,
        version=published.id,
        location=published.location,
        manifest_sha256=published.manifest_sha256,
        verified=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _register(stack: Stack, folder: Path, receipt: Receipt, lineage: Recorder, progress: Progress) -> Receipt:
    """Make the version known to Postgres and MLflow; the chain has just compared its bytes."""
    from matinee.register import register_in  # noqa: PLC0415 - see _publish

    register_in(stack, folder.absolute(), location=receipt.location, checked=True, lineage=lineage, progress=progress)
    return replace(receipt, registered=True)


def _can_train(progress: Progress) -> bool:
    from matinee.train.rehearsal import can_train  # noqa: PLC0415 - see rehearse

    if not can_train():
        progress.say("no models are trained: PyTorch is not installed; pip install 'matinee[train]', or say --no-train")
    return can_train()


def _train(
    stack: Stack | None, folder: Path, receipt: Receipt, data_dir: Path, lineage: Recorder, progress: Progress
) -> Receipt:
    """Train, compare and export the models, then check that the chain leads to each of them."""
    from matinee.lineage import LocalFiles, trace  # noqa: PLC0415 - see _publish
    from matinee.train.rehearsal import fingerprint, rehearse_models  # noqa: PLC0415 - as above

    trials = rehearse_models(stack, folder, data_dir=data_dir, lineage=lineage, progress=progress)
    trace(receipt.version, events=lineage.path, local=LocalFiles(folder.absolute()), progress=progress).verify()
    return receipt.with_models(fingerprint(), trials)


def _replay(
    folder: Path,
    receipt: Receipt,
    data_dir: Path,
    store: str | None,
    endpoint: str | None,
    lineage: Recorder,
    progress: Progress,
) -> Receipt:
    """Play the split `test` through served models, then check that the chain leads to what was measured."""
    from matinee.lineage import LocalFiles, trace  # noqa: PLC0415 - see _publish
    from matinee.replay_and_report import Replayed, replay  # noqa: PLC0415 - as above

    arms = [f"{trial.model}={trial.folder}" for trial in receipt.trials if trial.model in _REPLAYED]
    played = replay(
        folder,
        split="test",
        arms=arms,
        track=True,
        store=store,
        endpoint=endpoint,
        data_dir=data_dir,
        lineage=lineage,
        progress=progress,
    )
    assert isinstance(played, Replayed)  # noqa: S101 - it is no dry run, for the type checker
    trace(receipt.version, events=lineage.path, local=LocalFiles(folder.absolute()), progress=progress).verify()
    measured = ReplayedSplit.of(played.id, played.folder, played.report.facts)
    return replace(receipt, replay=measured.as_json())


def _complete(folder: Path) -> str | None:
    """SHA-256 of the manifest of the version in `folder`; None where its files are not all there with their sizes."""
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = Manifest.from_json(text, str(folder / MANIFEST))
        complete = all((folder / entry.path).stat().st_size == entry.size for entry in manifest.files)
    except (OSError, VersionError):
        return None
    return hashlib.sha256(text).hexdigest() if complete else None


def _has_a_place(data_dir: Path, store: str | None) -> bool:
    """Whether what a receipt says of a store may still hold.

    The store is not asked: to start one, or to reach one, takes longer than a person should wait to be told that there
    is nothing to do, and what it holds was compared byte for byte when the receipt was written. `matinee versions
    verify` asks it. Only the embedded store's folder is looked for, because it is deleted as easily as any folder.
    """
    from matinee.place import embedded_folder  # noqa: PLC0415 - see rehearse

    return store is not None or embedded_folder(data_dir).is_dir()
