"""The chain of a version: whole when nothing changed, and every changed byte is named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from matinee.errors import LineageError, VersionDamagedError
from matinee.lineage import Artifact, Chain, LocalFiles, Recorder, trace
from matinee.schema.certificate import Certificate, Reading, SplitFacts, Timeline
from matinee.schema.layout import CERTIFICATE, MANIFEST, SPLITS, events_path, sequence_path, text_path
from matinee.schema.manifest import FileEntry, IdMapEntry, Manifest, SourceEntry, version_id
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE = b"1\t2\t3\t881250949\n" * 9
SETTINGS = TransformSettings("ml-100k", columns=(("user", "0"), ("item", "1")), cuts=(5, 9), min_rating=3.0)
SHA = hashlib.sha256(ARCHIVE).hexdigest()
ID = version_id(SHA, SETTINGS)

FILES = (
    *(text_path("ml-100k", split) for split in SPLITS),
    *(events_path(split) for split in SPLITS),
    *(sequence_path(split, part) for split in SPLITS for part in ("offsets", "items")),
    "ids/users.parquet",
    "ids/items.parquet",
    "rejects.csv",
    "certificate.json",
    "certificate.html",
    "raw/u.data",
)


def a_certificate(version: str = ID) -> Certificate:
    facts = SplitFacts(3, 1, 1, 5, 5, 0, 0, 0, 0, 0, 0)
    reading = Reading(9, 0, 0, 0, 0, 0, 0, 9, "\t", False, {}, "integer", "integer", "s", {})
    timeline = Timeline((5, 6), (9,), (0,), (0,))
    return Certificate(
        version, "ml-100k", "time", (5, 9), "input", 0, 1, 1, facts, facts, facts, reading, timeline, (), (), ()
    )


def write_version(folder: Path, certificate: Certificate | None = None) -> Manifest:
    contents = {path: f"the bytes of {path}\n".encode() * 3 for path in FILES}
    contents[CERTIFICATE] = (certificate or a_certificate()).to_json().encode()
    contents["raw/u.data"] = ARCHIVE
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    entries = tuple(
        FileEntry(path, len(content), hashlib.sha256(content).hexdigest(), 3) for path, content in contents.items()
    )
    source = SourceEntry("ml-100k", "u.data", len(ARCHIVE), SHA, "https://host/u.data")
    ids = IdMapEntry(1, "integer", "00" * 32)
    manifest = Manifest(ID, "ml-100k", 1, source, SETTINGS.as_json(), ids, ids, entries)
    (folder / MANIFEST).write_text(manifest.to_json())
    return manifest


@dataclasses.dataclass
class Room:
    """A whole journey: archive, version, published copy, and the events that tell of them."""

    root: Path

    def __post_init__(self) -> None:
        self.archive = self.root / "cache" / "u.data"
        self.version = self.root / "version"
        self.published = self.root / "store" / "ml-100k" / "versions" / ID
        self.archive.parent.mkdir(parents=True)
        self.archive.write_bytes(ARCHIVE)
        write_version(self.version)
        shutil.copytree(self.version, self.published)
        self.recorder = Recorder(self.root / "lineage")
        assert self.recorder.path is not None
        self.events = self.recorder.path
        archive = Artifact("archive", "ml-100k", str(self.archive), SHA, len(ARCHIVE))
        source = Artifact("source", "ml-100k", "https://me:pw@host/u.data", SHA)
        made = Artifact.of_folder(self.version)
        there = Artifact.of_version(Manifest.read(self.published), made.sha256, self.published, published=True)
        for job, given, result in (
            ("extract", source, archive),
            ("transform", archive, made),
            ("load", made, there),
        ):
            with self.recorder.stage(job, [given]) as run:
                run.add_output(result)

    def trace(self, version: str | None = None) -> Chain:
        return trace(version, events=self.events)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "journey")


def flip(path: Path, position: int = -2) -> tuple[str, str]:
    content = bytearray(path.read_bytes())
    before = hashlib.sha256(content).hexdigest()
    content[position] ^= 1
    path.write_bytes(content)
    return before, hashlib.sha256(content).hexdigest()


def states(chain: Chain) -> dict[str, str]:
    return {link.kind: link.state for link in chain.links}


def test_a_journey_is_a_chain_of_four_links_with_their_runs(room: Room) -> None:
    chain = room.trace()
    assert states(chain) == {"source": "ok", "archive": "ok", "version": "ok", "published": "ok"}
    assert chain.whole
    chain.verify()
    assert (chain.version, chain.name) == (ID, "ml-100k")
    assert all(link.run and link.when for link in chain.links)
    assert [link.sha256 for link in chain.links][:2] == [SHA, SHA]
    assert [link.checked for link in chain.links] == [0, 1, len(FILES) + 1, len(FILES) + 1]
    assert chain.links[0].where == "https://host/u.data"
    text = "\n".join(chain.lines())
    for part in (ID, SHA, str(room.version), str(room.published), *(link.run for link in chain.links)):
        assert part in text
    assert json.loads(json.dumps(chain.as_json()))["whole"] is True


@pytest.mark.parametrize("place", ["version", "published"])
@pytest.mark.parametrize("path", [*FILES, MANIFEST])
def test_a_flipped_byte_is_named_with_both_hashes(room: Room, place: str, path: str) -> None:
    expected, found = flip(getattr(room, place) / path)
    chain = room.trace(ID)
    assert states(chain)[place] == "changed"
    assert not chain.whole
    with pytest.raises(LineageError) as caught:
        chain.verify()
    message = str(caught.value)
    for part in (path, expected, found, ID, str(getattr(room, place))):
        assert part in message
    assert [finding.path for link in chain.links for finding in link.findings] == [path]


@pytest.mark.parametrize("path", [*FILES, MANIFEST])
def test_a_missing_file_is_named(room: Room, path: str) -> None:
    (room.published / path).unlink()
    chain = trace(ID, events=room.events, published=LocalFiles(room.published))
    assert states(chain)["published"] == "missing"
    with pytest.raises(LineageError, match=f"{path} is missing"):
        chain.verify()


def test_every_byte_of_a_manifest_counts(room: Room) -> None:
    content = (room.version / MANIFEST).read_bytes()
    for position in range(0, len(content), 97):
        flip(room.version / MANIFEST, position)
        with pytest.raises(LineageError, match=r"manifest\.json has "):
            trace(ID, events=room.events, local=LocalFiles(room.version)).verify()
        (room.version / MANIFEST).write_bytes(content)


def test_a_changed_archive_is_named(room: Room) -> None:
    _, found = flip(room.archive)
    chain = room.trace()
    assert states(chain)["archive"] == "changed"
    with pytest.raises(LineageError, match=f"u.data has {found}, expected {SHA}"):
        chain.verify()


def test_without_events_the_files_are_checked_all_the_same(room: Room) -> None:
    chain = trace(local=LocalFiles(room.version))
    assert states(chain) == {"source": "unrecorded", "archive": "unrecorded", "version": "unrecorded"}
    chain.verify()
    flip(room.version / events_path("eval"))
    with pytest.raises(LineageError, match=events_path("eval")):
        trace(local=LocalFiles(room.version)).verify()


def test_a_manifest_forged_together_with_its_file_is_seen_through_the_events(room: Room) -> None:
    path = text_path("ml-100k", "train")
    expected, found = flip(room.version / path)
    text = (room.version / MANIFEST).read_text()
    (room.version / MANIFEST).write_text(text.replace(expected, found))
    trace(local=LocalFiles(room.version)).verify()
    with pytest.raises(LineageError, match=r"manifest\.json has .* its list of files differs too"):
        room.trace().verify()


def test_a_manifest_written_anew_with_the_same_files_says_that(room: Room) -> None:
    plain = json.loads((room.version / MANIFEST).read_text())
    (room.version / MANIFEST).write_text(json.dumps(plain))
    with pytest.raises(LineageError, match="its list of files is as recorded"):
        room.trace().verify()


def test_an_id_that_does_not_follow_from_source_and_settings_is_named(room: Room) -> None:
    manifest = Manifest.read(room.version)
    settings = {**manifest.settings, "seed": 1}
    (room.version / MANIFEST).write_text(dataclasses.replace(manifest, settings=settings).to_json())
    expected = version_id(SHA, dataclasses.replace(SETTINGS, seed=1))
    with pytest.raises(LineageError, match=f"manifest.json has {ID}, expected {expected}"):
        trace(local=LocalFiles(room.version)).verify()


def test_settings_that_are_none_are_named(room: Room) -> None:
    manifest = Manifest.read(room.version)
    (room.version / MANIFEST).write_text(dataclasses.replace(manifest, settings={"split": 7}).to_json())
    with pytest.raises(LineageError, match="settings cannot be read"):
        trace(local=LocalFiles(room.version)).verify()


def test_a_raw_archive_other_than_the_source_is_named(room: Room) -> None:
    manifest = Manifest.read(room.version)
    other = b"another archive\n"
    (room.version / "raw/u.data").write_bytes(other)
    digest = hashlib.sha256(other).hexdigest()
    entries = tuple(
        dataclasses.replace(entry, sha256=digest) if entry.path == "raw/u.data" else entry for entry in manifest.files
    )
    (room.version / MANIFEST).write_text(dataclasses.replace(manifest, files=entries).to_json())
    with pytest.raises(LineageError, match=f"has {digest}, expected {SHA}"):
        trace(local=LocalFiles(room.version)).verify()


def test_a_certificate_of_another_version_is_named(tmp_path: Path) -> None:
    write_version(tmp_path / "v", a_certificate("f" * 16))
    with pytest.raises(LineageError, match=rf"certificate\.json has {'f' * 16}, expected {ID}"):
        trace(local=LocalFiles(tmp_path / "v")).verify()


def test_a_folder_that_is_gone_is_told_from_the_record_and_breaks_nothing(room: Room) -> None:
    shutil.rmtree(room.version)
    shutil.rmtree(room.archive.parent)
    chain = room.trace()
    chain.verify()
    assert states(chain) == {"source": "ok", "archive": "ok", "version": "ok", "published": "ok"}
    assert [link.checked for link in chain.links] == [0, 0, 0, len(FILES) + 1]
    assert "not at hand" in chain.links[2].detail


def test_a_version_made_twice_with_other_libraries_is_checked_against_the_last(room: Room) -> None:
    path = room.version / events_path("train")
    path.write_bytes(b"the same rows, compressed by another library")
    manifest = Manifest.read(room.version)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entries = tuple(
        dataclasses.replace(entry, sha256=digest) if entry.path == events_path("train") else entry
        for entry in manifest.files
    )
    (room.version / MANIFEST).write_text(dataclasses.replace(manifest, files=entries).to_json())
    with pytest.raises(LineageError, match=r"manifest\.json"):
        room.trace().verify()
    with room.recorder.stage("transform") as run:
        run.add_output(Artifact.of_folder(room.version))
    room.trace().verify()


def test_a_failed_run_makes_nothing(room: Room) -> None:
    other = dataclasses.replace(Artifact.of_folder(room.version), version="f" * 16)
    with pytest.raises(RuntimeError), room.recorder.stage("transform", [], [other]):
        raise RuntimeError("killed")
    assert room.trace().version == ID
    with pytest.raises(LineageError, match=f"version {'f' * 16}: no event tells of it"):
        room.trace("f" * 16)


def test_another_version_in_the_folder_is_said(room: Room) -> None:
    with pytest.raises(LineageError, match=f"holds version {ID}, expected {'e' * 16}"):
        trace("e" * 16, events=room.events, local=LocalFiles(room.version))


def test_nothing_recorded_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="no event tells of a version yet; run 'matinee transform'"):
        trace(events=tmp_path / "events.jsonl")


def test_settings_survive_their_json() -> None:
    plain = json.loads(json.dumps(SETTINGS.as_json()))
    assert TransformSettings.from_json(plain, "m") == SETTINGS
    with pytest.raises(VersionDamagedError, match="m: its settings cannot be read"):
        TransformSettings.from_json({**plain, "unknown": 1}, "m")
