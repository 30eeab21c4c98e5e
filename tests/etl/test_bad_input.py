"""Every malformed input we know, with the message it gives; docs/bad-input.md is this list as a page.

The page is written by `python tests/etl/test_bad_input.py`; a test fails where it is not up to date.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matinee.errors import (
    MatineeError,
    SourceArchiveError,
    SourceFormatError,
    SourceNotFoundError,
    TooManyRejectsError,
    UsageError,
)
from matinee.schema.transform_settings import TransformSettings

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"

HEADER = b"userId,movieId,rating,timestamp\n"
BOMB_BYTES = 1 << 26
GOOD = b"".join(b"%d,%d,3,%d\n" % (row % 7, row % 5, 10**9 + row) for row in range(100))
LOG = HEADER + GOOD


@dataclass(frozen=True)
class BadInput:
    """One malformed input.

    Attributes:
        what: what is wrong with it, as the page says it.
        error: the class of the error.
        message: what the message says, without the folder that the source lies in.
        data: the file's bytes, or a function that makes the source under the path it gets.
        file: the file's name.
        settings: of TransformSettings.
    """

    what: str
    error: type[MatineeError]
    message: str
    data: bytes | Callable[[Path], object]
    file: str = "log.csv"
    settings: dict[str, Any] = field(default_factory=dict)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def encrypted() -> bytes:
    """A ZIP whose member says that it is encrypted, in both of its headers."""
    data = bytearray(zipped(("ratings.csv", LOG)))
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def damaged_crc() -> bytes:
    """A ZIP whose member does not have the checksum that both of its headers name."""
    data = bytearray(zipped(("ratings.csv", LOG)))
    central = data.index(b"PK\x01\x02")
    data[14:18] = data[central + 16 : central + 20] = struct.pack("<I", 0xDEADBEEF)
    return bytes(data)


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def symlink_member() -> bytes:
    link = zipfile.ZipInfo("ratings.csv")
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    return zipped((link, b"/etc/passwd"))


BAD_INPUTS = [
    # --- no log at all
    BadInput(
        "an empty file",
        SourceFormatError,
        "the log has no line of text; expected one event a line (docs/format.md)",
        b"",
    ),
    BadInput(
        "nothing but blank lines",
        SourceFormatError,
        "the log has no line of text; expected one event a line (docs/format.md)",
        b"\n  \n\t\r\n",
    ),
    BadInput(
        "nothing but a byte-order mark",
        SourceFormatError,
        "the log has no line of text; expected one event a line (docs/format.md)",
        b"\xef\xbb\xbf",
    ),
    BadInput(
        "a header and no row",
        SourceFormatError,
        "the log has a header but no event; expected one event a line (docs/format.md)",
        HEADER,
    ),
    BadInput(
        "a path that does not exist",
        SourceNotFoundError,
        "log.csv: no such file; expected a log or an archive (see 'matinee data list')",
        lambda _: None,
    ),
    BadInput(
        "a folder",
        SourceNotFoundError,
        "log.csv: no such file; expected a log or an archive (see 'matinee data list')",
        Path.mkdir,
    ),
    BadInput(
        "a picture",
        SourceFormatError,
        "log.png: a picture; expected text in UTF-8, one event a line (docs/format.md)",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64),
        "log.png",
    ),
    BadInput(
        "a web page saved in place of the log",
        SourceFormatError,
        "log.csv: a web page; take the direct link to the file; "
        "expected text in UTF-8, one event a line (docs/format.md)",
        b"<!DOCTYPE html>\n<html>\n<body>\n" * 9,
    ),
    BadInput(
        "JSON lines",
        SourceFormatError,
        "the first line has 0 columns, expected at least user and item; pass --sep or --columns",
        b'{"user": 1, "item": 2, "rating": 5, "time": 9}\n' * 9,
        "log.json",
    ),
    BadInput(
        "UTF-16 text",
        SourceFormatError,
        "log.csv: text in UTF-16; expected text in UTF-8, one event a line (docs/format.md)",
        LOG.decode().encode("utf-16"),
    ),
    BadInput(
        "a line of more than 1 MiB",
        SourceFormatError,
        "line 101 is longer than 1,048,576 bytes; expected one event a line: is this a text file?",
        LOG + b"1,2,3," + b"4" * (1 << 20) + b"\n",
    ),
    # --- columns that cannot be known
    BadInput(
        "no separator in the first line",
        SourceFormatError,
        "no separator found in the first line '12'; expected one of :: TAB , ; | space, or pass --sep",
        b"12\n13\n14\n",
    ),
    BadInput(
        "the wrong --sep",
        SourceFormatError,
        "the first line has 1 columns, expected at least user and item; pass --sep or --columns",
        GOOD,
        settings={"separator": ";"},
    ),
    BadInput(
        "a header of unknown names",
        SourceFormatError,
        "the first line has the columns 'who', 'what', 'stars', 'when': rating is not a number, "
        "and no header that is known; pass --columns user=...,item=...,rating=...,time=...",
        b"who,what,stars,when\n" + GOOD,
    ),
    BadInput(
        "a quote that stays open in the first line",
        SourceFormatError,
        "the first line has 0 columns, expected at least user and item; pass --sep or --columns",
        b'1,"2,3,4\n' + GOOD,
    ),
    BadInput(
        "--columns with a name that the header lacks",
        SourceFormatError,
        "no column 'film' for the item; the first line has 'userId', 'movieId', 'rating', 'timestamp'; "
        "correct --columns",
        LOG,
        settings={"columns": (("user", "userId"), ("item", "film"))},
    ),
    BadInput(
        "--columns with names, and no header",
        SourceFormatError,
        "no column 'userId' for the user; the first line has '0', '0', '3', '1000000000'; correct --columns",
        GOOD,
        settings={"columns": (("user", "userId"), ("item", "movieId"))},
    ),
    BadInput(
        "--columns with names and positions mixed",
        UsageError,
        "--columns: names and positions do not mix; expected all names or all 0-based positions",
        LOG,
        settings={"columns": (("user", "userId"), ("item", "1"))},
    ),
    BadInput(
        "--columns without an item",
        UsageError,
        "--columns: expected at least user=... and item=...",
        LOG,
        settings={"columns": (("user", "0"), ("time", "3"))},
    ),
    BadInput(
        "--columns with an unknown role",
        UsageError,
        "--columns: unknown role 'genre'; expected user, item, rating, time",
        LOG,
        settings={"columns": (("user", "0"), ("item", "1"), ("genre", "2"))},
    ),
    BadInput(
        "--columns with a position that no row has",
        TooManyRejectsError,
        "100 of 100 rows cannot be read (has 4 columns, needs 8 (100))",
        GOOD,
        settings={"columns": (("user", "0"), ("item", "7"))},
    ),
    # --- rows that cannot be read
    BadInput(
        "rows cut short",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (has 2 columns, needs 4 (1))",
        LOG + b"1,2\n",
    ),
    BadInput(
        "a quote that stays open in a row",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (unclosed quote (1))",
        LOG + b'1,"2,3,4\n',
    ),
    BadInput(
        "text after a closing quote",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (unclosed quote (1))",
        LOG + b'1,"2"x,3,4\n',
    ),
    BadInput(
        "an empty user",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (user is empty (1))",
        LOG + b",2,3,4\n",
    ),
    BadInput(
        "an empty item",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (item is empty (1))",
        LOG + b'1,"",3,4\n',
    ),
    BadInput(
        "a text among integer ids, after the first 1,000 rows",
        TooManyRejectsError,
        "9 of 1,009 rows cannot be read (user is not an integer (9))",
        HEADER + GOOD * 10 + b"u1,2,3,4\n" * 9,
    ),
    BadInput(
        "text ids with --ids integer",
        TooManyRejectsError,
        "9 of 9 rows cannot be read (user is not an integer (9))",
        b"u1,2,3,4\n" * 9,
        settings={"ids": "integer"},
    ),
    BadInput(
        "an id beyond 64 bits",
        TooManyRejectsError,
        "9 of 1,009 rows cannot be read (user is outside int64 (9))",
        HEADER + GOOD * 10 + b"9223372036854775808,2,3,4\n" * 9,
    ),
    BadInput(
        "a text id in Latin-1",
        TooManyRejectsError,
        "9 of 9 rows cannot be read (user is not UTF-8 (9))",
        HEADER + b"caf\xe9,2,3,4\n" * 9,
    ),
    BadInput(
        "a rating in words",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (rating is not a number (1))",
        LOG + b"1,2,good,4\n",
    ),
    BadInput(
        "a rating with a decimal comma",
        TooManyRejectsError,
        "9 of 9 rows cannot be read (rating is not a number (9))",
        b"user;item;rating;time\n" + b"1;2;3,5;4\n" * 9,
    ),
    BadInput(
        "a rating of nan",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (rating is not a number (1))",
        LOG + b"1,2,nan,4\n",
    ),
    BadInput(
        "a rating beyond float64",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (rating is not a number (1))",
        LOG + b"1,2,1e400,4\n",
    ),
    BadInput(
        "a time as a date",
        TooManyRejectsError,
        "9 of 9 rows cannot be read (time is not a number (9))",
        HEADER + b"1,2,3,2015-03-08 12:00:00\n" * 9,
    ),
    BadInput(
        "an empty time",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (time is empty (1))",
        LOG + b"1,2,3,\n",
    ),
    BadInput(
        "a time beyond 64 bits",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (time is outside int64 (1))",
        LOG + b"1,2,3,1e19\n",
    ),
    BadInput(
        "the header again in the middle",
        TooManyRejectsError,
        "1 of 101 rows cannot be read (rating is not a number (1))",
        LOG + HEADER,
    ),
    # --- nothing left, or nothing to train on
    BadInput(
        "--min-rating above every rating",
        SourceFormatError,
        "no event is left of 100 rows: 0 rejected, 100 below --min-rating, 0 outside --since/--until; "
        "loosen the filters",
        LOG,
        settings={"min_rating": 6.0},
    ),
    BadInput(
        "--min-rating on a log without ratings",
        SourceFormatError,
        "no event is left of 2 rows: 0 rejected, 2 below --min-rating, 0 outside --since/--until; loosen the filters",
        b"1,2\n2,3\n",
        settings={"min_rating": 1.0},
    ),
    BadInput(
        "--since after the last event",
        SourceFormatError,
        "no event is left of 100 rows: 0 rejected, 0 below --min-rating, 100 outside --since/--until; "
        "loosen the filters",
        LOG,
        settings={"since": 2 * 10**9},
    ),
    BadInput(
        "a k-core that nobody belongs to",
        SourceFormatError,
        "no event is left of 100 after --min-user-events 99 and --min-item-events 0, applied until nothing changed; "
        "lower them",
        LOG,
        settings={"min_user_events": 99},
    ),
    BadInput(
        "a single event",
        SourceFormatError,
        "train is empty: the first event has timestamp 4; move --cut later or raise --fractions",
        HEADER + b"1,2,3,4\n",
    ),
    BadInput(
        "--cut before the first event",
        SourceFormatError,
        "train is empty: the first event has timestamp 1000000000; move --cut later or raise --fractions",
        LOG,
        settings={"cuts": (5, 10**9 + 50)},
    ),
    BadInput(
        "more rolling folds than the train share has room for",
        UsageError,
        "--rolling 3 with --fractions 0.5,0.25,0.25: the first fold's train is empty; "
        "expected a test share above 0 and below 1/2 / 2",
        LOG,
        settings={"rolling": 3},
    ),
    BadInput(
        "rolling folds without a test share",
        UsageError,
        "--rolling 1 with --fractions 0.5,0.5,0: the first fold's train is empty; "
        "expected a test share above 0 and below 1/2 / 0",
        LOG,
        settings={"rolling": 1, "fractions": ("0.5", "0.5", "0")},
    ),
    # --- archives
    BadInput(
        "a gzip cut short",
        SourceArchiveError,
        "log.csv.gz: 'log.csv.gz' is damaged, it is cut short; fetch it again",
        gzip.compress(LOG)[:-20],
        "log.csv.gz",
    ),
    BadInput(
        "a gzip with a changed byte",
        SourceArchiveError,
        "log.csv.gz: 'log.csv.gz' is damaged, it cannot be unpacked",
        flipped(gzip.compress(LOG), -6),
        "log.csv.gz",
    ),
    BadInput(
        "a gzip that is none",
        SourceArchiveError,
        "log.csv.gz: 'log.csv.gz' is damaged, it cannot be unpacked",
        b"\x1f\x8b" + b"nothing of the kind" * 9,
        "log.csv.gz",
    ),
    BadInput(
        "a gzip of 64 MiB of zeros",
        SourceFormatError,
        "line 1 is longer than 1,048,576 bytes; expected one event a line: is this a text file?",
        lambda path: path.write_bytes(gzip.compress(bytes(BOMB_BYTES), 1)),
        "log.csv.gz",
    ),
    BadInput(
        "a ZIP cut short",
        SourceArchiveError,
        "log.zip: damaged ZIP, cut short: the directory at its end is missing; fetch it again",
        zipped(("ratings.csv", LOG))[:-30],
        "log.zip",
    ),
    BadInput(
        "a ZIP with a changed byte",
        SourceArchiveError,
        "log.zip: 'ratings.csv' is damaged, its CRC-32 is 238e02b4, expected deadbeef; fetch it again",
        damaged_crc(),
        "log.zip",
    ),
    BadInput(
        "an empty ZIP",
        SourceArchiveError,
        "log.zip: no member looks like a log; --member chooses one of no files at all",
        zipped(),
        "log.zip",
    ),
    BadInput(
        "a ZIP without a log",
        SourceArchiveError,
        "log.zip: no member looks like a log; --member chooses one of 'README', 'poster.png'",
        zipped(("README", b"hello"), ("poster.png", b"x")),
        "log.zip",
    ),
    BadInput(
        "a ZIP with several logs",
        SourceArchiveError,
        "log.zip: 2 members may be the log, --member chooses: 'a.csv', 'b.csv'",
        zipped(("a.csv", LOG), ("b.csv", LOG)),
        "log.zip",
    ),
    BadInput(
        "--member with a name that the ZIP lacks",
        SourceNotFoundError,
        "log.zip: no member 'films.csv'; it has 'ratings.csv'",
        zipped(("ratings.csv", LOG)),
        "log.zip",
        {"member": "films.csv"},
    ),
    BadInput(
        "an encrypted ZIP",
        SourceArchiveError,
        "log.zip: member 'ratings.csv' is encrypted; unpack it with its password, and pass the log itself",
        encrypted(),
        "log.zip",
    ),
    BadInput(
        "a ZIP with a name that leads out of it",
        SourceArchiveError,
        "log.zip: refused, member '../ratings.csv' leads out of the archive; expected plain relative paths",
        zipped(("../ratings.csv", LOG)),
        "log.zip",
    ),
    BadInput(
        "a ZIP with an absolute name",
        SourceArchiveError,
        "log.zip: refused, member '/etc/ratings.csv' leads out of the archive; expected plain relative paths",
        zipped(("/etc/ratings.csv", LOG)),
        "log.zip",
    ),
    BadInput(
        "a ZIP with a link in place of the log",
        SourceArchiveError,
        "log.zip: refused, member 'ratings.csv' is a symbolic link; expected plain files only",
        symlink_member(),
        "log.zip",
    ),
    BadInput(
        "a ZIP bomb",
        SourceArchiveError,
        "log.zip: refused, 'ratings.csv' unpacks to more than 1,000 times its",
        lambda path: path.write_bytes(zipped(("ratings.csv", bytes(BOMB_BYTES)))),
        "log.zip",
    ),
]


def message_of(case: BadInput, folder: Path) -> str:
    """The message a case gives, without the folder it lies in; checks the class on the way."""
    from matinee.etl.transform import transform

    (folder / "source").mkdir()
    source, temp = folder / "source" / case.file, folder / "temp"
    temp.mkdir()
    if isinstance(case.data, bytes):
        source.write_bytes(case.data)
    else:
        case.data(source)
    with pytest.raises(case.error) as caught:
        transform(source, folder / "out", TransformSettings(name="log", **case.settings), temp_dir=temp)
    assert type(caught.value) is case.error
    assert not (folder / "out").exists()
    assert not list(temp.iterdir())
    return str(caught.value).replace(f"{folder / 'source'}/", "")


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.what)
def test_bad_input_is_told_in_a_line(case: BadInput, tmp_path: Path) -> None:
    message = message_of(case, tmp_path)
    assert case.message
    assert case.message in message
    assert "\n" not in message
    assert len(message) < 400


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def page() -> str:
    """docs/bad-input.md."""
    rows = [f"| {cell(case.what)} | `{case.error.__name__}` | {cell(case.message)} |" for case in BAD_INPUTS]
    return "\n".join(
        [
            "# Bad input, and what Matinee says to it",
            "",
            "Each of these ends with one line and leaves nothing behind. The messages are shown from their beginning,",
            "without the folder that the file lies in; each row is a test in `tests/etl/test_bad_input.py`, which",
            "writes this page.",
            "",
            "| input | error | message |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{len(BAD_INPUTS)} inputs written to {PAGE}\n")
