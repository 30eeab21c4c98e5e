"""The oracle against examples worked out by hand from docs/format.md, so that it cannot agree with a wrong kernel."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from matinee.errors import SourceFormatError, TooManyRejectsError, UsageError
from matinee.schema.certificate import SplitFacts, Timeline
from matinee.schema.transform_settings import TransformSettings
from oracle import Event, Expected, expect


def made_of(log: bytes, **settings: Any) -> Expected:
    expected = expect(log, TransformSettings(name="log", **settings))
    assert isinstance(expected, Expected), expected
    return expected


def error_of(log: bytes, **settings: Any) -> object:
    return expect(log, TransformSettings(name="log", **settings))


def rejects_of(rows: bytes, **settings: Any) -> list[str]:
    """The rejects of `rows` between two good ones under a header, as lines of rejects.csv."""
    log = b"user,item,rating,time\n1,1,1,1\n" + rows + b"\n2,2,2,2\n"
    return made_of(log, max_reject_share=1.0, **settings).rejects.decode().splitlines()[1:]


def all_events(expected: Expected) -> list[Event]:
    return [event for events in expected.events.values() for event in events]


def test_a_whole_small_log() -> None:
    log = b"userId,movieId,rating,timestamp\n7,20,4.0,30\n5,10,3.5,10\n7,10,5,20\n5,30,1,40\n5,10,3.5,10\n"
    expected = made_of(log)
    assert expected.users == [5, 7]
    assert expected.items == [10, 20, 30]
    assert expected.text == {"train": b"1\t1\n2\t1\n", "eval": b"2\t2\n", "test": b"1\t3\n"}
    assert expected.events["eval"] == [Event(2, 2, 4.0, 30)]
    assert expected.sequences["train"] == ([0, 0, 1, 2], [1, 1])
    assert expected.sequences["test"] == ([0, 0, 1, 1], [3])
    assert expected.rejects == b"line,reason,text\n"
    assert expected.users_sha256 == hashlib.sha256(b"integer\n\5" + bytes(7) + b"\7" + bytes(7)).hexdigest()
    certificate = expected.certificate
    assert certificate.cuts == (30, 40)
    assert certificate.reading.repeats == 1
    assert certificate.reading.columns == {
        "user": "userId",
        "item": "movieId",
        "rating": "rating",
        "time": "timestamp",
    }
    assert certificate.train == SplitFacts(2, 2, 1, 10, 20, 0, 0, 0, 0, 0, 0)
    assert certificate.test == SplitFacts(1, 1, 1, 40, 40, 0, 1, 0, 1, 0, 0)
    assert certificate.timeline == Timeline(
        edges=tuple(range(10, 42)),
        events=tuple(int(time in (10, 20, 30, 40)) for time in range(10, 41)),
        by_cold_users=(0,) * 31,
        on_cold_items=tuple(int(time in (30, 40)) for time in range(10, 41)),
    )
    assert certificate.popularity == ((1, 2), (2, 1), (3, 1))
    assert certificate.lengths == ((2, 2),)


def test_lines_may_end_in_every_way() -> None:
    plain = made_of(b"1,2,5\n3,4,5\n")
    assert plain == made_of(b"\xef\xbb\xbf\n1,2,5\r\n \t\n\r\n3,4,5\r")
    assert made_of(b"\n\n1,2,5\n3,x,5\n\n1,2,y\n4,4,4", ids="integer", max_reject_share=1.0).rejects == (
        b'line,reason,text\n4,item is not an integer,"3,x,5"\n6,rating is not a number,"1,2,y"\n'
    )


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"\n \n",
        b"user,item\n",
        b"1\n2\n",
        b"1 \n2 \n",
        b'1,"2\n',
        b"who,what,stars\n1,2,3\n",
        b"1,2," + b"0" * (1 << 20) + b"\n",
    ],
)
def test_what_is_no_log(log: bytes) -> None:
    assert error_of(log) is SourceFormatError


@pytest.mark.parametrize(
    ("log", "separator"),
    [
        (b"1::2::3::4\n1::2::3::5", "::"),
        (b"1\t2,\t3\t4\n1\t2,\t3\t5", "\t"),
        (b'"a|b;c",2\n3,4', ","),
        (b"a|b;2\nc;3", ";"),
        (b"a b|2\nc|3", "|"),
        (b"  1   2 \n3 4", " "),
    ],
)
def test_separator(log: bytes, separator: str) -> None:
    expected = made_of(log)
    assert expected.certificate.reading.separator == separator
    assert len(all_events(expected)) == 2


def test_quotes() -> None:
    expected = made_of(b'user,item\n " a ""b"" ,c" ,\t"x"\t\n d ,"y\n"e"f,z\ng"h,i\n', max_reject_share=1.0)
    assert expected.users == [' a "b" ,c', 'g"h']
    assert expected.items == ["x", "i"]
    assert expected.certificate.reading.reject_reasons == {"unclosed quote": 2}
    assert made_of(b'" 1 "," 2","4 ",5\n3,4,"",6').users == [1, 3]


def columns_of(log: bytes, **settings: Any) -> dict[str, str]:
    return made_of(log, **settings).certificate.reading.columns


def test_columns() -> None:
    assert columns_of(b"1,2\n3,4") == {"user": "0", "item": "1"}
    assert columns_of(b"1,2,100000000\n3,4,5") == {"user": "0", "item": "1", "time": "2"}
    assert columns_of(b"1,2,99999999\n3,4,5") == {"user": "0", "item": "1", "rating": "2"}
    assert columns_of(b"1,2,3,4,z\n3,4,5,6") == {"user": "0", "item": "1", "rating": "2", "time": "3"}
    header = b'x,ASIN,item_id:token,"User_ID:token",Stars\n'
    rows = b"0,5,6,1,3\n0,7,6,2,4\n"
    assert columns_of(header + rows) == {"user": "User_ID:token", "item": "ASIN", "rating": "Stars"}
    assert columns_of(header + rows, columns=(("user", "X"), ("item", "item_id"))) == {
        "user": "x",
        "item": "item_id:token",
    }
    positions = made_of(header + rows, columns=(("user", "3"), ("item", "1")))
    assert positions.certificate.reading.columns == {"user": "3", "item": "1"}
    assert positions.certificate.reading.header
    assert not positions.has_rating
    assert [event.time for event in all_events(positions)] == [0, 1]
    assert error_of(header + rows, columns=(("user", "x"), ("item", "nope"))) is SourceFormatError
    assert error_of(header + rows, columns=(("user", "x"), ("item", "1"))) is UsageError
    assert error_of(header + rows, columns=(("user", "x"),)) is UsageError


def test_id_kind_and_probe() -> None:
    assert made_of(b"1,a\n+2,b").users == [1, 2]
    assert made_of(b"1,a\n+2,b", ids="string").users == ["1", "+2"]
    assert made_of(b"9223372036854775807,1\n-9223372036854775808,2").users == [2**63 - 1, -(2**63)]
    assert made_of(b"9223372036854775808,1\n2,2").users == ["9223372036854775808", "2"]
    late = b"1,1\n" * 1000 + b"x,1\n"
    assert made_of(late, max_reject_share=0.01).certificate.reading.reject_reasons == {"user is not an integer": 1}
    assert error_of(late, max_reject_share=0.0) is TooManyRejectsError


@pytest.mark.parametrize(
    ("times", "unit", "expected"),
    [
        ((99_999_999_999, 10**11, 0), "s", (99_999_999_999, 10**11, 0)),
        ((-(10**11), 10**11, 0), "ms", (-(10**8), 10**8, 0)),
        ((10**14, 10**14, 1), "us", (10**8, 10**8, 0)),
        ((10**17 + 7, -(10**17) - 7, 1), "ns", (10**8, -(10**8) - 1, 0)),
    ],
)
def test_time_unit(times: tuple[int, ...], unit: str, expected: tuple[int, ...]) -> None:
    log = b"user,item,time\n" + b"".join(b"%d,1,%d\n" % row for row in enumerate(times))
    made = made_of(log)
    assert made.certificate.reading.time_unit == unit
    assert sorted(event.time for event in all_events(made)) == sorted(expected)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'3,"3,3,3', "unclosed quote"),
        (b"3,3", "has 2 columns, needs 4"),
        (b",x,3,3", "user is empty"),
        (b'3,"",3,3', "item is empty"),
        (b"0x3,,3,3", "user is not an integer"),
        (b"3,9223372036854775808,3,3", "item is outside int64"),
        (b"3,3,nan,3", "rating is not a number"),
        (b"3,3,1e400,3", "rating is not a number"),
        (b"3,3,3,", "time is empty"),
        (b"3,3,3,1_0", "time is not a number"),
        (b"3,3,3,9223372036854775808", "time is outside int64"),
    ],
)
def test_rejects(row: bytes, reason: str) -> None:
    quoted = '"' + row.decode().replace('"', '""') + '"'
    assert rejects_of(row, ids="integer") == [f'3,"{reason}",{quoted}' if "," in reason else f"3,{reason},{quoted}"]


def test_rejected_text() -> None:
    assert rejects_of(b"\xff,3,3,3", ids="string") == ['3,user is not UTF-8,"\ufffd,3,3,3"']
    assert rejects_of("é".encode() * 201, ids="integer") == ['3,"has 1 columns, needs 4",' + "é" * 200]


def test_numbers() -> None:
    rows = b"1,1,.5,-0.5\n1,2,5.,1e2\n1,3,-0.0,99.99\n1,4,-1e-400,+1.5E0\n1,5,,0e9999\n"
    events = sorted(all_events(made_of(b"user,item,rating,time\n" + rows)), key=lambda event: event.time)
    assert [(str(event.rating), event.time) for event in events] == [
        ("0.5", -1),
        ("None", 0),
        ("0.0", 1),
        ("0.0", 99),
        ("5.0", 100),
    ]


def test_what_is_left_out_in_its_order() -> None:
    rows = b"1,1,5,10\n1,1,5,10\n1,1,4,10\n1,2,1,10\n1,2,,10\n2,1,5,9\n2,2,5,20\n3,1,5,11\n3,1,5,12\n1,3,5,13\n"
    log = b"user,item,rating,time\n" + rows
    reading = made_of(log, min_rating=4, since=10, until=20, min_user_events=2, min_item_events=2).certificate.reading
    assert (reading.below_rating, reading.outside_range, reading.repeats) == (2, 2, 1)
    assert (reading.below_core, reading.core_rounds, reading.events) == (1, 1, 4)
    chain = b"1,1\n1,2\n2,2\n2,3\n3,3\n"  # item 1 falls, then user 1, then item 2, ...: nothing stays
    assert error_of(chain, min_user_events=2, min_item_events=2) is SourceFormatError


def test_ties() -> None:
    log = b"user,item,time\n" + b"".join(b"1,%d,5\n" % item for item in range(6))
    assert made_of(log, fractions=("1", "0", "0")).items == [0, 1, 2, 3, 4, 5]
    shuffled = made_of(log, fractions=("1", "0", "0"), ties="shuffle", seed=3)
    assert shuffled.certificate.tied_events == 6
    assert shuffled.items == _by_key([_splitmix(3, 5, index) for index in range(6)])


def _by_key(keys: list[int]) -> list[int]:
    return sorted(range(len(keys)), key=keys.__getitem__)


def _splitmix(seed: int, time: int, index: int) -> int:
    z = (seed * 11400714819323198485 + time * 13787848793156543929 + index * 10723151780598845931) % 2**64
    z = ((z ^ z >> 30) * 13787848793156543929) % 2**64
    z = ((z ^ z >> 27) * 10723151780598845931) % 2**64
    return z ^ z >> 31


def sizes(expected: Expected) -> list[int]:
    return [len(events) for events in expected.events.values()]


def test_time_split_keeps_ties_whole() -> None:
    log = b"user,item,time\n" + b"".join(b"%d,1,%d\n" % row for row in enumerate([1, 2, 2, 2, 2, 3, 3, 4]))
    made = made_of(log)
    assert sizes(made) == [5, 2, 1]
    assert made.certificate.cuts == (3, 4)
    assert made_of(log, fractions=("0.9", "0.05", "0.05")).certificate.cuts == (4, 4)
    assert made_of(log, fractions=("1", "0", "0")).certificate.cuts == (5, 5)
    assert sizes(made_of(log, cuts=(2, 4))) == [1, 6, 1]
    assert error_of(log, cuts=(1, 4)) is SourceFormatError
    assert error_of(log, fractions=("0.1", "0.1", "0.8")) is SourceFormatError


def test_rolling_folds() -> None:
    log = b"user,item,time\n" + b"".join(b"%d,1,%d\n" % (row, row) for row in range(20))
    made = made_of(log, rolling=3, fractions=("0.5", "0.3", "0.2"))
    assert made.folds == [
        {"train_end": 2, "eval_end": 8, "test_end": 12},
        {"train_end": 6, "eval_end": 12, "test_end": 16},
        {"train_end": 10, "eval_end": 16, "test_end": 20},
    ]
    assert sizes(made) == [10, 6, 4]
    assert error_of(log, rolling=4, fractions=("0.6", "0.2", "0.2")) is UsageError
    assert error_of(log, rolling=1, fractions=("0.6", "0.4", "0")) is UsageError


def test_splits_by_user() -> None:
    log = b"user,item,time\n1,1,1\n1,2,2\n2,1,3\n2,2,4\n1,3,5\n2,3,6\n2,4,7\n3,1,8\n3,2,9\n"
    last = made_of(log, split="leave-one-out")
    assert last.text == {"train": b"1\t1\n2\t1\n2\t2\n3\t1\n3\t2\n", "eval": b"1\t2\n2\t3\n", "test": b"1\t3\n2\t4\n"}
    assert last.certificate.eval.before_train == 2
    assert last.certificate.eval.cold_both is None
    assert last.certificate.timeline.on_cold_items == ()
    ratio = made_of(log, split="ratio")
    assert ratio.text == {"train": b"1\t1\n2\t1\n2\t2\n3\t1\n", "eval": b"1\t2\n2\t3\n", "test": b"1\t3\n2\t4\n3\t2\n"}
    assert error_of(b"1,1\n2,1", split="ratio") is SourceFormatError


def test_random_split() -> None:
    log = b"user,item,time\n" + b"".join(b"%d,1,%d\n" % (row, row) for row in range(200))
    made = made_of(log, split="random", seed=1)
    assert sum(sizes(made)) == 200
    assert 70 < sizes(made)[0] < 130
    assert made != made_of(log, split="random", seed=2)
    assert sizes(made_of(log, split="random", fractions=("1", "0", "0"))) == [200, 0, 0]


def test_log_spaced_points() -> None:
    log = b"".join(b"%d,%d\n" % (1 if item < 150 else 2, item) for item in range(1000))
    certificate = made_of(log).certificate
    assert certificate.popularity[:2] == ((1, 1), (2, 1))
    assert certificate.popularity[-1] == (1000, 1)
    assert len(certificate.popularity) <= 200
    assert sum(users for _, users in certificate.lengths) == 2
    assert certificate.lengths[-1] == (850, 1)
    assert certificate.lengths[0][0] <= 150
