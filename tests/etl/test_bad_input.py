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
        message: how the message begins; the folder the source lies in is left out.
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
    BadInput("an empty file", SourceFormatError, "", b""),
    BadInput("nothing but blank lines", SourceFormatError, "", b"\n  \n\t\r\n"),
    BadInput("nothing but a byte-order mark", SourceFormatError, "", b"\xef\xbb\xbf"),
    BadInput("a header and no row", SourceFormatError, "", HEADER),
    BadInput("a path that does not exist", SourceNotFoundError, "", lambda _: None),
    BadInput("a folder", SourceNotFoundError, "", Path.mkdir),
    BadInput("a picture", SourceFormatError, "", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(64), "log.png"),
    BadInput("a web page saved in place of the log", TooManyRejectsError, "", b"<!DOCTYPE html>\n<html>\n<body>\n" * 9),
    BadInput("JSON lines", SourceFormatError, "", b'{"user": 1, "item": 2, "rating": 5, "time": 9}\n' * 9, "log.json"),
    BadInput("UTF-16 text", SourceFormatError, "", LOG.decode().encode("utf-16")),
    BadInput("a line of more than 1 MiB", SourceFormatError, "", LOG + b"1,2,3," + b"4" * (1 << 20) + b"\n"),
    # --- columns that cannot be known
    BadInput("no separator in the first line", SourceFormatError, "", b"12\n13\n14\n"),
    BadInput("the wrong --sep", SourceFormatError, "", GOOD, settings={"separator": ";"}),
    BadInput("a header of unknown names", SourceFormatError, "", b"who,what,stars,when\n" + GOOD),
    BadInput("a quote that stays open in the first line", SourceFormatError, "", b'1,"2,3,4\n' + GOOD),
    BadInput(
        "--columns with a name that the header lacks",
        SourceFormatError,
        "",
        LOG,
        settings={"columns": (("user", "userId"), ("item", "film"))},
    ),
    BadInput(
        "--columns with names, and no header",
        SourceFormatError,
        "",
        GOOD,
        settings={"columns": (("user", "userId"), ("item", "movieId"))},
    ),
    BadInput(
        "--columns with names and positions mixed",
        UsageError,
        "",
        LOG,
        settings={"columns": (("user", "userId"), ("item", "1"))},
    ),
    BadInput("--columns without an item", UsageError, "", LOG, settings={"columns": (("user", "0"), ("time", "3"))}),
    BadInput(
        "--columns with an unknown role",
        UsageError,
        "",
        LOG,
        settings={"columns": (("user", "0"), ("item", "1"), ("genre", "2"))},
    ),
    BadInput(
        "--columns with a position that no row has",
        TooManyRejectsError,
        "",
        GOOD,
        settings={"columns": (("user", "0"), ("item", "7"))},
    ),
    # --- rows that cannot be read
    BadInput("rows cut short", TooManyRejectsError, "", LOG + b"1,2\n"),
    BadInput("a quote that stays open in a row", TooManyRejectsError, "", LOG + b'1,"2,3,4\n'),
    BadInput("text after a closing quote", TooManyRejectsError, "", LOG + b'1,"2"x,3,4\n'),
    BadInput("an empty user", TooManyRejectsError, "", LOG + b",2,3,4\n"),
    BadInput("an empty item", TooManyRejectsError, "", LOG + b'1,"",3,4\n'),
    BadInput(
        "a text among integer ids, after the first 1,000 rows",
        TooManyRejectsError,
        "",
        HEADER + GOOD * 10 + b"u1,2,3,4\n" * 9,
    ),
    BadInput("text ids with --ids integer", TooManyRejectsError, "", b"u1,2,3,4\n" * 9, settings={"ids": "integer"}),
    BadInput("an id beyond 64 bits", TooManyRejectsError, "", HEADER + GOOD * 10 + b"9223372036854775808,2,3,4\n" * 9),
    BadInput("a text id in Latin-1", TooManyRejectsError, "", HEADER + b"caf\xe9,2,3,4\n" * 9),
    BadInput("a rating in words", TooManyRejectsError, "", LOG + b"1,2,good,4\n"),
    BadInput("a rating with a decimal comma", TooManyRejectsError, "", b"user;item;rating;time\n" + b"1;2;3,5;4\n" * 9),
    BadInput("a rating of nan", TooManyRejectsError, "", LOG + b"1,2,nan,4\n"),
    BadInput("a rating beyond float64", TooManyRejectsError, "", LOG + b"1,2,1e400,4\n"),
    BadInput("a time as a date", TooManyRejectsError, "", HEADER + b"1,2,3,2015-03-08 12:00:00\n" * 9),
    BadInput("an empty time", TooManyRejectsError, "", LOG + b"1,2,3,\n"),
    BadInput("a time beyond 64 bits", TooManyRejectsError, "", LOG + b"1,2,3,1e19\n"),
    BadInput("the header again in the middle", TooManyRejectsError, "", LOG + HEADER),
    # --- nothing left, or nothing to train on
    BadInput("--min-rating above every rating", SourceFormatError, "", LOG, settings={"min_rating": 6.0}),
    BadInput(
        "--min-rating on a log without ratings", SourceFormatError, "", b"1,2\n2,3\n", settings={"min_rating": 1.0}
    ),
    BadInput("--since after the last event", SourceFormatError, "", LOG, settings={"since": 2 * 10**9}),
    BadInput("a k-core that nobody belongs to", SourceFormatError, "", LOG, settings={"min_user_events": 99}),
    BadInput("a single event", SourceFormatError, "", HEADER + b"1,2,3,4\n"),
    BadInput("--cut before the first event", SourceFormatError, "", LOG, settings={"cuts": (5, 10**9 + 50)}),
    BadInput("more rolling folds than the train share has room for", UsageError, "", LOG, settings={"rolling": 3}),
    BadInput(
        "rolling folds without a test share",
        UsageError,
        "",
        LOG,
        settings={"rolling": 1, "fractions": ("0.5", "0.5", "0")},
    ),
    # --- archives
    BadInput("a gzip cut short", SourceArchiveError, "", gzip.compress(LOG)[:-20], "log.csv.gz"),
    BadInput("a gzip with a changed byte", SourceArchiveError, "", flipped(gzip.compress(LOG), -6), "log.csv.gz"),
    BadInput("a gzip that is none", SourceArchiveError, "", b"\x1f\x8b" + b"nothing of the kind" * 9, "log.csv.gz"),
    BadInput(
        "a gzip bomb",
        SourceArchiveError,
        "",
        lambda path: path.write_bytes(gzip.compress(bytes(BOMB_BYTES), 1)),
        "log.csv.gz",
    ),
    BadInput("a ZIP cut short", SourceArchiveError, "", zipped(("ratings.csv", LOG))[:-30], "log.zip"),
    BadInput("a ZIP with a changed byte", SourceArchiveError, "", damaged_crc(), "log.zip"),
    BadInput("an empty ZIP", SourceArchiveError, "", zipped(), "log.zip"),
    BadInput(
        "a ZIP without a log", SourceArchiveError, "", zipped(("README", b"hello"), ("poster.png", b"x")), "log.zip"
    ),
    BadInput("a ZIP with several logs", SourceArchiveError, "", zipped(("a.csv", LOG), ("b.csv", LOG)), "log.zip"),
    BadInput(
        "--member with a name that the ZIP lacks",
        SourceArchiveError,
        "",
        zipped(("ratings.csv", LOG)),
        "log.zip",
        {"member": "films.csv"},
    ),
    BadInput("an encrypted ZIP", SourceArchiveError, "", encrypted(), "log.zip"),
    BadInput(
        "a ZIP with a name that leads out of it", SourceArchiveError, "", zipped(("../ratings.csv", LOG)), "log.zip"
    ),
    BadInput("a ZIP with an absolute name", SourceArchiveError, "", zipped(("/etc/ratings.csv", LOG)), "log.zip"),
    BadInput("a ZIP with a link in place of the log", SourceArchiveError, "", symlink_member(), "log.zip"),
    BadInput(
        "a ZIP bomb",
        SourceArchiveError,
        "",
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
    assert message.startswith(case.message)
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
