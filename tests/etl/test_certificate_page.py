"""The certificate's page: what it says, that it renders for every log, and that it loads nothing."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from matinee.errors import DiskFullError
from matinee.etl.certificate_page import render_page, write_page
from matinee.pages.axes import _ticks
from matinee.pages.frame import share
from matinee.schema.certificate import Certificate, Reading, SplitFacts, Timeline
from page_outline import Outline, loads_nothing

TESTS = Path(__file__).parent.parent  # whose modules a test's own process does not find by itself
EMPTY = SplitFacts(0, 0, 0, None, None, 0, 0, 0, 0, 0, 0)


def a_reading(**changes: Any) -> Reading:
    plain = {
        "rows": 100_321,
        "rejects": 12,
        "below_rating": 0,
        "outside_range": 0,
        "repeats": 309,
        "below_core": 0,
        "core_rounds": 0,
        "events": 100_000,
        "separator": "\t",
        "header": True,
        "columns": {"user": "user_id", "item": "item_id", "rating": "rating", "time": "timestamp"},
        "user_kind": "integer",
        "item_kind": "integer",
        "time_unit": "s",
        "reject_reasons": {"has 3 columns, needs 4": 9, "rating is not a number": 3},
    }
    return Reading(**{**plain, **changes})


def a_certificate(**changes: Any) -> Certificate:
    """Like ml-100k: bursts, cuts by time, most later events by people that train has not seen."""
    first, last, bins = 874_724_710, 893_286_638, 200
    width = -(-(last - first + 1) // bins)
    edges = tuple(first + width * i for i in range(bins + 1))
    events = tuple(500 + (1_000 if 40 < i < 60 else 0) - 5 * (i % 20) for i in range(bins))
    cuts = (edges[90] + 1_000, edges[140] + 500)
    cold_users = tuple(0 if i < 90 else int(n * (0.5 + 0.002 * i)) for i, n in enumerate(events))
    cold_items = tuple(0 if i < 90 else int(n * 0.0002 * i) for i, n in enumerate(events))
    plain = {
        "version": "3f9a1c0be2d47785",
        "name": "ml-100k",
        "split": "time",
        "cuts": cuts,
        "ties": "input",
        "tied_events": 49_867,
        "users": 943,
        "items": 1_682,
        "train": SplitFacts(50_000, 480, 1_520, first, cuts[0] - 1, 0, 0, 0, 0, 0, 0),
        "eval": SplitFacts(25_000, 301, 1_400, cuts[0], cuts[1] - 1, 246, 70, 21_312, 214, 190, 0),
        "test": SplitFacts(25_000, 330, 1_390, cuts[1], last, 309, 104, 22_018, 611, 540, 0),
        "reading": a_reading(),
        "timeline": Timeline(edges, events, cold_users, cold_items),
        "popularity": tuple((rank, max(1, 600 // rank)) for rank in range(1, 1_683, 9)),
        "lengths": tuple((length, 1_000 // length) for length in range(20, 700, 7)),
        "warnings": (),
    }
    return Certificate(**{**plain, **changes})


def a_single_event(**changes: Any) -> Certificate:
    plain = {
        "train": SplitFacts(1, 1, 1, 5, 5, 0, 0, 0, 0, 0, 0),
        "eval": EMPTY,
        "test": EMPTY,
        "cuts": (6, 6),
        "tied_events": 0,
        "users": 1,
        "items": 1,
        "reading": a_reading(rows=1, rejects=0, repeats=0, events=1, reject_reasons={}),
        "timeline": Timeline((5, 6), (1,), (0,), (0,)),
        "popularity": ((1, 1),),
        "lengths": ((1, 1),),
    }
    return a_certificate(**{**plain, **changes})


def at(first: int, last: int, **changes: Any) -> Certificate:
    """A log between two instants, in two bins."""
    middle = (first + last) // 2
    return a_single_event(
        cuts=(middle, last),
        eval=SplitFacts(1, 1, 1, middle, middle, 1, 1, 1, 1, 1, 0),
        timeline=Timeline((first, middle, last + 1), (1, 1), (0, 1), (0, 1)),
        train=SplitFacts(1, 1, 1, first, first, 0, 0, 0, 0, 0, 0),
        **changes,
    )


SHAPES = {
    "realistic": a_certificate(),
    "single event": a_single_event(),
    "nothing in eval and test": a_certificate(eval=EMPTY, test=EMPTY),
    "cuts after the end": a_single_event(cuts=(6, 6)),
    "leave-one-out": a_certificate(
        split="leave-one-out",
        cuts=(),
        timeline=Timeline((0, 10, 20), (5, 7), (), ()),
        test=SplitFacts(100, 10, 9, 0, 20, 1, 2, 1, 2, None, 97),
    ),
    "no rating": a_certificate(reading=a_reading(columns={"user": "0", "item": "1", "time": "2"}, header=False)),
    "rows for time": at(0, 999, reading=a_reading(time_unit="row", rows=2, events=2, rejects=0, repeats=0)),
    "seconds": at(1_000_000_000, 1_000_000_003),
    "hours": at(1_000_000_000, 1_000_030_000),
    "days": at(1_000_000_000, 1_001_000_000),
    "centuries": at(-50_000_000_000, 50_000_000_000),
    "all of int64": at(-(2**63), 2**63 - 1),
    "two seconds beyond float": at(2**62, 2**62 + 2),
    "no events at all": a_single_event(
        train=EMPTY,
        timeline=Timeline((0, 1), (0,), (0,), (0,)),
        popularity=(),
        lengths=(),
        reading=a_reading(events=0),
    ),
    "one item has all": a_certificate(popularity=((1, 10**12),), lengths=((10**9, 3),)),
}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with nothing in it but what a test puts there."""
    folder = tmp_path / "room"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_log_gives_a_well_formed_accessible_page(shape: str) -> None:
    page = render_page(SHAPES[shape])
    Outline(page).check()
    assert page.count("<svg") == page.count('role="img"') == page.count("<desc")
    assert "nan" not in page.lower().replace("finance", "")
    assert len(page.encode()) < 300_000


def test_nothing_is_loaded_from_anywhere() -> None:
    page = render_page(a_certificate())
    loads_nothing(page)


def test_the_same_certificate_gives_the_same_bytes(room: Path) -> None:
    write_page(a_certificate(), room / "page.html")
    code = (
        "import runpy, pathlib, sys; sys.path.insert(0, sys.argv[2]); tests = runpy.run_path(sys.argv[1]); "
        "tests['write_page'](tests['a_certificate'](), pathlib.Path(sys.argv[3]))"
    )
    settings = room / "matplotlibrc"
    settings.write_text("svg.fonttype: path\nlines.linewidth: 9\nfont.size: 30\n")
    environment = {**os.environ, "PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(settings), "TZ": "Asia/Tokyo"}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, __file__, TESTS, room / "other.html"],
        env=environment,
        check=True,
        timeout=60,
    )
    assert (room / "page.html").read_bytes() == (room / "other.html").read_bytes()
    assert sorted(file.name for file in room.iterdir()) == ["matplotlibrc", "other.html", "page.html"]


def test_a_home_that_cannot_be_written_says_nothing_and_keeps_nothing(room: Path) -> None:
    code = (
        "import runpy, sys; sys.path.insert(0, sys.argv[2]); tests = runpy.run_path(sys.argv[1]); "
        "tests['render_page'](tests['a_single_event']())"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "MPL"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, __file__, TESTS],
        env={**environment, "HOME": "/proc/no-such-home", "TMPDIR": str(room)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(room.iterdir()) == []


def test_a_page_is_quick_once_matplotlib_is_loaded() -> None:
    render_page(a_certificate())
    start = time.process_time()
    render_page(a_certificate())
    assert time.process_time() - start < 1.5


def test_importing_the_page_loads_no_matplotlib() -> None:
    code = "import sys, matinee.etl.certificate_page; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_leak_free_split_says_so() -> None:
    page = render_page(a_certificate())
    assert ">Leak-free<" in page
    assert "No target of eval and test (50,000 in all)" in page


def test_a_leak_is_the_headline() -> None:
    facts = dataclasses.replace(a_certificate().test, before_train=12_500)
    page = render_page(a_certificate(split="leave-one-out", cuts=(), test=facts))
    assert "Not leak-free: 25.0% of the targets lie before training" in page
    assert "12,500 of 50,000" in page
    assert ">Leak-free<" not in page


def test_a_lucky_split_is_not_promised() -> None:
    assert "does not promise it" in render_page(a_certificate(split="random", cuts=()))


def test_nothing_held_out_is_no_success() -> None:
    page = render_page(SHAPES["nothing in eval and test"])
    assert "Nothing is held out" in page
    assert ">Leak-free<" not in page


def test_the_numbers_are_there_with_separators_and_dates() -> None:
    page = render_page(a_certificate())
    for text in ("100,321", "1,682", "21,312", "85.2%", "246 cold", "49,867 (49.9%)", "1997-09-20", "&minus;309"):
        assert text in page, text


def test_row_numbers_are_not_dressed_up_as_dates() -> None:
    page = render_page(SHAPES["rows for time"])
    assert "row 499" in page
    assert "1970" not in page
    assert "the row number stands in" in page


def test_a_split_other_than_by_time_has_no_cuts_and_no_cold_timeline() -> None:
    page = render_page(SHAPES["leave-one-out"])
    assert "none: this split is not by time" in page
    assert "Cold share over time" not in page
    assert "not counted" in page


def test_texts_of_the_log_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script>\"'&\x00\x1b\ud800"
    page = render_page(
        a_certificate(
            name=hostile,
            version=hostile,
            split=hostile,
            ties=hostile,
            warnings=(hostile,),
            reading=a_reading(
                columns={"user": hostile, "item": hostile},
                separator=hostile,
                user_kind=hostile,
                item_kind=hostile,
                reject_reasons={hostile: 1},
            ),
        )
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00\x1b\ud800]", page)
    assert Outline(page.encode().decode()).open == []


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1, 10**6, "under 0.1%"),
        (10**6 - 1, 10**6, "over 99.9%"),
        (1, 8, "12.5%"),
        (0, 0, "\u2013"),
    ],
)
def test_a_share_is_zero_or_all_only_when_it_is(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


@pytest.mark.parametrize("span", [1, 3, 59, 4_000, 90_000, 10**6, 10**7, 10**8, 10**9, 10**11, 10**14, 2**63])
@pytest.mark.parametrize("first", [-(2**62), -1, 0, 951_782_400, 2**62])
@pytest.mark.parametrize("unit", ["s", "row"])
def test_ticks_are_few_ordered_distinct_and_inside(first: int, span: int, unit: str) -> None:
    ticks = _ticks(first, first + span, unit, most=6)
    moments = [moment for moment, _ in ticks]
    assert 1 <= len(ticks) <= 8
    assert moments == sorted(set(moments))
    assert first <= moments[0]
    assert moments[-1] <= first + span


def test_a_full_disk_leaves_no_page_behind(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (room / "page.html").write_text("the page of before")
    with pytest.raises(DiskFullError, match=r"page\.html: no space"):
        write_page(a_single_event(), room / "page.html")
    assert [file.name for file in room.iterdir()] == ["page.html"]
    assert (room / "page.html").read_text() == "the page of before"
