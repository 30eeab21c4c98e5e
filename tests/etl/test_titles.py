from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from matinee.etl.titles import Title, Titles, read_titles
from matinee.schema.manifest import SourceEntry
from matinee.version import open_version
from small_version import next_version, small_version

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.version import Version

EVENTS = [(user, item, 100 * user + item) for user in range(1, 5) for item in (1, 2, 3, 50)]

# The first lines of each, as they are in the archives.
U_ITEM = (
    "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "2|GoldenEye (1995)|01-Jan-1995||http://us.imdb.com/|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0\n"
    "3|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/|0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
).encode("latin-1")
MOVIES_CSV = (
    "movieId,title,genres\r\n"
    "1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy\r\n"
    '2,"American President, The (1995)",Comedy|Drama|Romance\r\n'
    "3,Das Boot: größer,(no genres listed)\r\n"
).encode()
MOVIES_DAT = (
    b"1::Toy Story (1995)::Animation|Children's|Comedy\n2::Jumanji (1995)::Adventure|Children's|Fantasy\n"
    b"3::Cit\xe9 des enfants perdus, La (1995) ::Adventure|Sci-Fi\n"
)
RECBOLE = (
    b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    b"1\tToy Story\t1995\tAnimation Children's Comedy\n"
    b"2\tGoldenEye\t1995\tAction Adventure Thriller\n"
    b"3\tFour Rooms\t\t\n"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A version from a plain file: its archive holds the log alone."""
    return small_version(tmp_path_factory.mktemp("titles"), EVENTS)


def from_archive(version: Version, folder: Path, members: dict[str, bytes], log: str) -> Version:
    """The same version as if it came from a ZIP of these files."""
    folder.mkdir(exist_ok=True)
    path = folder / "log.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    source = SourceEntry("log", "log.zip", len(content), hashlib.sha256(content).hexdigest(), "log.zip", log)
    raw = version.folder / "raw"
    raw.mkdir(exist_ok=True)
    (raw / "log.zip").write_bytes(content)
    return replace(version, manifest=replace(version.manifest, source=source))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "ml/u.item",
            U_ITEM,
            [
                Title(1, "Toy Story", "1995", ("Animation", "Children's", "Comedy")),
                Title(2, "GoldenEye", "1995", ("Action", "Adventure", "Thriller")),
                Title(3, "Misérables, Les", "1995", ("Drama",)),
            ],
        ),
        (
            "ml/movies.csv",
            MOVIES_CSV,
            [
                Title(1, "Toy Story", "1995", ("Adventure", "Animation", "Children", "Comedy", "Fantasy")),
                Title(2, "American President, The", "1995", ("Comedy", "Drama", "Romance")),
                Title(3, "Das Boot: größer"),
            ],
        ),
        (
            "ml/movies.dat",
            MOVIES_DAT,
            [
                Title(1, "Toy Story", "1995", ("Animation", "Children's", "Comedy")),
                Title(2, "Jumanji", "1995", ("Adventure", "Children's", "Fantasy")),
                Title(3, "Cité des enfants perdus, La", "1995", ("Adventure", "Sci-Fi")),
            ],
        ),
        (
            "ml/log.item",
            RECBOLE,
            [
                Title(1, "Toy Story", "1995", ("Animation", "Children's", "Comedy")),
                Title(2, "GoldenEye", "1995", ("Action", "Adventure", "Thriller")),
                Title(3, "Four Rooms"),
            ],
        ),
    ],
    ids=["u.item", "movies.csv", "movies.dat", "RecBole"],
)
def test_titles_of_each_kind_of_archive(
    name: str, content: bytes, expected: list[Title], plain: Version, tmp_path: Path
) -> None:
    version = from_archive(plain, tmp_path, {"ml/log.inter": b"log", name: content}, "ml/log.inter")
    titles = read_titles(version)
    assert titles.note == f"titles of 3 of 4 items from {name} in log.zip"
    assert [titles.of(raw) for raw in (1, 2, 3)] == expected
    assert titles.of(50) == Title(50, "50")
    assert set(titles.known) == {"1", "2", "3"}, "267 is no item of this version"


def test_a_title_is_told_with_its_year() -> None:
    assert str(Title(1, "Toy Story", "1995")) == "Toy Story (1995)"
    assert str(Titles("", {}).of("b00")) == "b00"


def test_of_several_movie_files_it_is_the_logs_own(plain: Version, tmp_path: Path) -> None:
    members = {"a/a.item": RECBOLE.replace(b"Toy", b"Wrong"), "b/b.inter": b"", "b/b.item": RECBOLE, "b/c.item": b"x\n"}
    assert read_titles(from_archive(plain, tmp_path, members, "b/b.inter")).of(1).text == "Toy Story"
    titles = read_titles(from_archive(plain, tmp_path, members, "c/c.inter"))
    assert titles == Titles("raw ids stand for titles: log.zip has no movie file", {})


def test_a_plain_log_has_no_titles(plain: Version) -> None:
    titles = read_titles(plain)
    assert titles.note == "raw ids stand for titles: log.csv has no movie file"
    assert titles.of(2) == Title(2, "2")


def test_the_fetched_archive_serves_where_the_version_kept_none(plain: Version, tmp_path: Path) -> None:
    version = from_archive(plain, tmp_path / "archives", {"u.data": b"", "u.item": U_ITEM}, "u.data")
    (version.folder / "raw" / "log.zip").unlink()
    assert read_titles(version).note == "raw ids stand for titles: log.zip is not here"
    assert read_titles(version, archives=tmp_path / "archives").of(1).text == "Toy Story"
    archive = tmp_path / "archives" / "log.zip"
    archive.write_bytes(archive.read_bytes()[::-1])
    assert read_titles(version, archives=tmp_path / "archives").note == "raw ids stand for titles: log.zip is not here"


def test_a_version_of_events_told_has_the_titles_of_the_one_that_it_goes_on_from(tmp_path: Path) -> None:
    first = small_version(tmp_path / "first", EVENTS, beside={"u.item": U_ITEM.decode("latin-1")}).folder
    place = tmp_path / "versions" / open_version(first).id
    place.parent.mkdir()
    base = open_version(first.rename(place))
    folder, known = base.folder, base
    for event in range(2):  # the second goes on from a version that has no archive itself
        made = next_version(tmp_path / str(event), known, [(9, 51 + event, 10**6 + event)]).folder
        folder = made.rename(place.parent / open_version(made).id)
        known = open_version(folder)
    titles = read_titles(known)
    assert titles.note == f"titles of 3 of {known.items} items from u.item in log.zip"
    assert (titles.of(2).text, titles.of(52)) == ("GoldenEye", Title(52, "52"))

    (base.folder / "manifest.json").write_text((base.folder / "manifest.json").read_text() + "\n")
    assert read_titles(known).note.endswith("goes on from, is not beside it"), "that is another version now"
    shutil.rmtree(base.folder)
    assert base.id in read_titles(known).note


def test_a_manifest_cannot_lead_to_another_folder(plain: Version, tmp_path: Path) -> None:
    version = from_archive(plain, tmp_path, {"u.item": U_ITEM}, "u.data")
    (version.folder / "raw" / "log.zip").rename(version.folder / "log.zip")
    source = replace(version.manifest.source, archive="../log.zip")
    assert not read_titles(replace(version, manifest=replace(version.manifest, source=source))).known


def test_what_would_move_a_cursor_is_left_out(plain: Version, tmp_path: Path) -> None:
    hostile = b"1|\x1b[2J\x07Toy\x9b Story\x00 (1995)|\n2|" + b"x" * 5000 + b"|\n3|\x1b\x1b|\n"
    titles = read_titles(from_archive(plain, tmp_path, {"u.data": b"", "u.item": hostile}, "u.data"))
    assert titles.of(1) == Title(1, "[2JToy Story", "1995")
    assert len(titles.of(2).text) == 300
    assert titles.of(3) == Title(3, "3")
    assert titles.of("\x1b[2Jb01").text == "[2Jb01"
    assert titles.of("\x07") == Title("\x07", r"'\x07'")


def test_a_bomb_and_a_damaged_archive_are_said_and_not_read(plain: Version, tmp_path: Path) -> None:
    version = from_archive(plain, tmp_path, {"u.data": b"", "u.item": bytes(65 << 20)}, "u.data")
    titles = read_titles(version)
    assert titles.note.startswith("raw ids stand for titles: ")
    assert "unpacks to more than 67.1 MB" in titles.note
    (version.folder / "raw" / "log.zip").write_bytes(b"PK\x03\x04 no more")
    assert "cut short" in read_titles(version).note


@pytest.mark.parametrize("content", [b"", b"\n\n", b"1\n|\n||\n", b"\xff\xfe\x00", b'"1,2\n'])
@pytest.mark.parametrize("name", ["u.item", "movies.csv", "movies.dat", "a.item"])
def test_nonsense_names_nothing(name: str, content: bytes, plain: Version, tmp_path: Path) -> None:
    titles = read_titles(from_archive(plain, tmp_path, {"u.data": b"", name: content}, "u.data"))
    assert [titles.of(raw) for raw in (1, 50)] == [Title(1, "1"), Title(50, "50")]


def test_ids_that_are_text_have_titles_too(plain: Version, tmp_path: Path) -> None:
    version = from_archive(
        plain, tmp_path, {"a.inter": b"", "a.item": RECBOLE.replace(b"\n1\t", b"\nb01\t")}, "a.inter"
    )
    object.__setattr__(version, "__dict__", vars(version) | {"raw_items": np.array(["b01", "2"])})
    assert read_titles(version).of("b01") == Title("b01", "Toy Story", "1995", ("Animation", "Children's", "Comedy"))


def test_the_manifest_is_untouched(plain: Version) -> None:
    assert json.loads((plain.folder / "manifest.json").read_text())["source"]["archive"] == "log.csv"
    assert open_version(plain.folder).items == 4
