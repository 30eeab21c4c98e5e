from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import MatineeError, SourceArchiveError, SourceError, SourceFormatError, SourceNotFoundError
from matinee.etl.archive import ArchiveLimits, list_members, open_log

LOG = b"userId,movieId,rating,timestamp\n" + b"".join(b"%d,%d,4.0,%d\n" % (i, i * 7, 10**9 + i) for i in range(5000))


def write(folder: Path, data: bytes, name: str = "log.zip") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def read(path: Path, member: str = "", buffer_bytes: int = 1 << 16, limits: ArchiveLimits | None = None) -> bytes:
    out = bytearray()
    buffer = bytearray(buffer_bytes)
    with open_log(path, member, limits=limits) as log:
        while got := log.readinto(memoryview(buffer)):
            out += buffer[:got]
            assert log.position_bytes <= log.total_bytes
        assert log.position_bytes == log.total_bytes
    return bytes(out)


class Entry:
    """A ZIP member made byte by byte, so that its headers can say anything."""

    def __init__(self, name: bytes, data: bytes, **lies: int | bytes) -> None:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.packed = deflater.compress(data) + deflater.flush()
        self.central_name = name
        self.local_name = name
        self.flags = self.local_flags = 0
        self.method = 8
        self.crc = zlib.crc32(data)
        self.size = len(data)
        self.packed_size = len(self.packed)
        self.attributes = 0
        self.offset: int | None = None
        for key, value in lies.items():
            assert hasattr(self, key), key
            setattr(self, key, value)


def handmade(*entries: Entry, comment: bytes = b"") -> bytes:
    body, central = bytearray(), bytearray()
    for each in entries:
        offset = len(body) if each.offset is None else each.offset
        sizes = struct.pack("<3L", each.crc, each.packed_size, each.size)
        times = struct.pack("<3H2H", 20, each.local_flags, each.method, 0, 33)
        body += b"PK\x03\x04" + times + sizes + struct.pack("<2H", len(each.local_name), 0) + each.local_name
        body += each.packed
        central += (
            b"PK\x01\x02" + struct.pack("<H", 3 << 8 | 20) + struct.pack("<3H2H", 20, each.flags, each.method, 0, 33)
        )
        central += sizes + struct.pack("<5H2L", len(each.central_name), 0, 0, 0, 0, each.attributes, offset)
        central += each.central_name
    count = len(entries)
    end = struct.pack("<4H2LH", 0, 0, count, count, len(central), len(body), len(comment)) + comment
    return bytes(body + central) + b"PK\x05\x06" + end


# --- what can be read


@pytest.mark.parametrize("buffer_bytes", [1, 1000, 1 << 16, 1 << 22])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_of_a_zip(tmp_path: Path, method: int, buffer_bytes: int) -> None:
    log = LOG[:2000] if buffer_bytes == 1 else LOG
    assert read(write(tmp_path, zipped(("x/ratings.csv", log), method=method)), buffer_bytes=buffer_bytes) == log


@pytest.mark.parametrize("buffer_bytes", [1, 1000, 1 << 22])
def test_a_gzip(tmp_path: Path, buffer_bytes: int) -> None:
    log = LOG[:2000] if buffer_bytes == 1 else LOG
    assert read(write(tmp_path, gzip.compress(log), "log.csv.gz"), buffer_bytes=buffer_bytes) == log


def test_a_gzip_of_several_members_and_padding(tmp_path: Path) -> None:
    half = len(LOG) // 2
    data = gzip.compress(LOG[:half]) + gzip.compress(b"") + gzip.compress(LOG[half:]) + bytes(700_000)
    assert read(write(tmp_path, data, "log.csv.gz")) == LOG


@pytest.mark.parametrize("size", [(1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_members_of_a_gzip_may_end_where_a_chunk_does(tmp_path: Path, size: int) -> None:
    """The next member's magic number may fall on either side of the border between two reads."""
    first = gzip.compress(LOG)
    padding = b"\x1f\x8b\x08\x10" + bytes(6) + b"x" * (size - len(first) - 11 - 10) + b"\0\x03\0" + bytes(8)
    data = first + padding
    assert len(data) == size
    assert read(write(tmp_path, data + gzip.compress(LOG), "log.gz")) == LOG + LOG


def test_a_plain_file(tmp_path: Path) -> None:
    assert read(write(tmp_path, LOG, "log.csv")) == LOG
    assert read(write(tmp_path, b"", "empty.csv")) == b""


def test_kinds_are_told_by_bytes_not_names(tmp_path: Path) -> None:
    assert read(write(tmp_path, zipped(("ratings.csv", LOG)), "log.csv")) == LOG
    assert read(write(tmp_path, zipped(("ratings.csv", LOG)), "log.gz")) == LOG
    assert read(write(tmp_path, gzip.compress(LOG), "log.txt")) == LOG


def test_names_and_sizes(tmp_path: Path) -> None:
    packed = zipped(("a/ratings.csv", LOG))
    with open_log(write(tmp_path, packed)) as log:
        assert (log.name, log.size_bytes) == ("a/ratings.csv", len(LOG))
        assert 0 < log.total_bytes < len(packed)
    with open_log(write(tmp_path, gzip.compress(LOG), "l.gz")) as log:
        assert (log.name, log.size_bytes) == ("l.gz", None)
    with open_log(write(tmp_path, LOG, "l.csv")) as log:
        assert (log.name, log.size_bytes, log.total_bytes) == ("l.csv", len(LOG), len(LOG))


def test_zip64_and_streamed_zips(tmp_path: Path) -> None:
    """A writer that cannot go back puts sizes after the data; the directory has them."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(Unseekable(stream), "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("ratings.csv", "w", force_zip64=True) as member,
    ):
        member.write(LOG)
    assert stream.getvalue()[6] & 8
    assert read(write(tmp_path, stream.getvalue())) == LOG


class Unseekable(io.RawIOBase):
    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        return self._target.write(data)


@given(st.binary(max_size=3000), st.integers(1, 500), st.booleans())
def test_any_bytes_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int, stored: bool
) -> None:
    folder = tmp_path_factory.mktemp("any", numbered=True)
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    assert read(write(folder, zipped(("u.data", data), method=method)), buffer_bytes=size) == data
    assert read(write(folder, gzip.compress(data), "x.gz"), buffer_bytes=size) == data


# --- which member


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/ratings.csv", "a/movies.csv", "README.txt"], "a/ratings.csv"),
        (["ml-1m/movies.dat", "ml-1m/ratings.dat", "ml-1m/users.dat"], "ml-1m/ratings.dat"),
        (["ml-100k/u.data", "ml-100k/u.item", "ml-100k/u1.base", "ml-100k/README"], "ml-100k/u.data"),
        (["p/a.item", "p/a.inter", "p/a.user", "p/notes.txt"], "p/a.inter"),
        (["ratings.dat", "ratings.csv"], "ratings.csv"),
        (["events.tsv", "README.txt", "LICENSE.txt", "poster.png"], "events.tsv"),
        (["RATINGS.CSV", "b.csv"], "RATINGS.CSV"),
        (["ratings.csv", "__MACOSX/._ratings.csv", "__MACOSX/ratings.csv", ".DS_Store", "._x.csv"], "ratings.csv"),
    ],
)
def test_the_member_that_looks_like_a_log(tmp_path: Path, names: list[str], expected: str) -> None:
    with open_log(write(tmp_path, zipped(*((name, LOG) for name in names)))) as log:
        assert log.name == expected


def test_the_wanted_member(tmp_path: Path) -> None:
    path = write(tmp_path, zipped(("a/x.csv", b"1"), ("b/x.csv", b"2"), ("b/y.csv", b"3"), ("ratings.csv", b"4")))
    assert read(path, "b/x.csv") == b"2"
    assert read(path, "y.csv") == b"3"
    with pytest.raises(SourceArchiveError, match=r"2 members may be the log, --member chooses: 'a/x\.csv', 'b/x\.csv'"):
        open_log(path, "x.csv")
    with pytest.raises(SourceNotFoundError, match=r"no member 'z\.csv'; it has 'a/x\.csv'"):
        open_log(path, "z.csv")


def test_several_candidates_are_named_up_to_ten(tmp_path: Path) -> None:
    path = write(tmp_path, zipped(*((f"{number:02}.csv", LOG) for number in range(14))))
    with pytest.raises(SourceArchiveError, match=r"14 members .* --member .*'00.csv', .*'09.csv' and 4 more$"):
        open_log(path)


def test_no_candidate_names_what_is_inside(tmp_path: Path) -> None:
    with pytest.raises(SourceArchiveError, match=r"no member looks like a log; --member .*'poster.png'"):
        open_log(write(tmp_path, zipped(("poster.png", b"x"), ("sub/", b""))))
    with pytest.raises(SourceArchiveError, match="no files at all"):
        open_log(write(tmp_path, zipped()))


def test_a_member_of_something_that_has_none(tmp_path: Path) -> None:
    for data in (LOG, gzip.compress(LOG)):
        with pytest.raises(SourceArchiveError, match="no ZIP, so it has no member 'a'"):
            open_log(write(tmp_path, data, "log"), "a")


def test_members_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path, zipped(("a/b.csv", LOG), ("a/", b""), ("__MACOSX/c.csv", b""), ("x.png", b"12")))
    assert [(member.name, member.size_bytes) for member in list_members(path)] == [("a/b.csv", len(LOG)), ("x.png", 2)]
    assert list_members(write(tmp_path, LOG, "log.csv")) == []


# --- hostile and damaged ZIPs


def linked() -> Entry:
    return Entry(b"ratings.csv", b"/etc/passwd", attributes=(stat.S_IFLNK | 0o777) << 16)


def bomb(size: int = 11 << 20) -> Entry:
    return Entry(b"ratings.csv", bytes(size))


def overlapping() -> bytes:
    """Two directory entries that share one piece of data, as the best bombs do."""
    return handmade(Entry(b"a.csv", LOG), Entry(b"b.csv", LOG, offset=0))


def swallowing() -> bytes:
    """The first entry's data reaches over the second's header."""
    first = Entry(b"ratings.csv", LOG)
    first.packed_size += 60
    return handmade(first, Entry(b"b.png", LOG))


def followed() -> Entry:
    """Two bytes too many where the data ends."""
    entry = Entry(b"ratings.csv", LOG)
    entry.packed += b"xx"
    entry.packed_size += 2
    return entry


WHOLE = zipped(("ratings.csv", LOG))
NOISE = b"\xff" * 99

HOSTILE = {
    "parent": (handmade(Entry(b"../ratings.csv", LOG)), "leads out of the archive"),
    "parent inside": (handmade(Entry(b"a/../../ratings.csv", LOG)), "leads out of the archive"),
    "absolute": (handmade(Entry(b"/etc/ratings.csv", LOG)), "leads out of the archive"),
    "backslash": (handmade(Entry(b"..\\ratings.csv", LOG)), "leads out of the archive"),
    "drive": (handmade(Entry(b"C:ratings.csv", LOG)), "leads out of the archive"),
    "NUL": (handmade(Entry(b"ratings.csv\0.png", LOG)), "leads out of the archive"),
    "no name": (handmade(Entry(b"", LOG)), "leads out of the archive"),
    "one bad among good": (handmade(Entry(b"ratings.csv", LOG), Entry(b"../x", b"")), "leads out of the archive"),
    "encrypted": (handmade(Entry(b"ratings.csv", LOG, flags=1, local_flags=1)), "is encrypted"),
    "encrypted in its own header only": (handmade(Entry(b"ratings.csv", LOG, local_flags=1)), "encrypted there only"),
    "another name in its own header": (handmade(Entry(b"rr.csv", LOG, local_name=b"xx.csv")), "is called 'xx.csv'"),
    "symbolic link": (handmade(linked()), "is a symbolic link"),
    "device": (handmade(Entry(b"r.csv", b"", attributes=(stat.S_IFCHR | 0o600) << 16)), "is a special file"),
    "the same name twice": (handmade(Entry(b"r.csv", LOG), Entry(b"r.csv", b"1,2")), "two members are called"),
    "overlapping": (overlapping(), "overlap with what follows"),
    "data over the next header": (swallowing(), "overlap with what follows"),
    "data over the directory": (handmade(Entry(b"r.csv", LOG, packed_size=1 << 20)), "overlap with what follows"),
    "bomb by ratio": (handmade(bomb()), "times its"),
    "bomb by declared size": (handmade(Entry(b"ratings.csv", LOG, size=2**31)), "times its"),
    "bzip2 inside": (zipped(("ratings.csv", LOG), method=zipfile.ZIP_BZIP2), "packed with method 12"),
    "LZMA inside": (zipped(("ratings.csv", LOG), method=zipfile.ZIP_LZMA), "packed with method 14"),
    "Deflate64 inside": (handmade(Entry(b"ratings.csv", LOG, method=9)), "packed with method 9"),
    "cut in the directory": (WHOLE[:-30], "cut short"),
    "cut in the data": (WHOLE[: len(WHOLE) // 2], "cut short"),
    "no directory where it should be": (WHOLE[:-6] + struct.pack("<LH", 2**31, 0), "damaged ZIP"),
    "directory of noise": (WHOLE.replace(b"PK\x01\x02", b"PK\x09\x09"), "damaged ZIP"),
    "member's header missing": (b"XX" + WHOLE[2:], "not a zip archive"),
    "member's header elsewhere": (handmade(Entry(b"r.csv", LOG, offset=9, packed_size=20)), "the header of 'r.csv'"),
    "declares less than it has": (handmade(Entry(b"ratings.csv", LOG, size=100)), "more than the 100 bytes"),
    "declares more than it has": (handmade(Entry(b"r.csv", LOG, size=len(LOG) + 1)), f"{len(LOG):,} bytes, expected"),
    "another CRC-32": (handmade(Entry(b"ratings.csv", LOG, crc=1)), "CRC-32 is"),
    "something after the data": (handmade(followed()), "something else follows"),
    "data cut short": (handmade(Entry(b"ratings.csv", LOG, packed_size=50)), "cut short"),
    "no Deflate at all": (handmade(Entry(b"r.csv", LOG, packed=NOISE, packed_size=99)), "cannot be unpacked"),
    "a stored member with another size": (handmade(Entry(b"r.csv", LOG, method=0)), "bytes, expected"),
    "noise": (b"nothing of the kind" * 9, "not a zip archive"),
    "a web page": (b" <!DOCTYPE html><html>please log in</html>", r"not a zip archive \(a web page\)"),
    "empty": (b"", r"not a zip archive \(it is empty\)"),
    "part of a split ZIP": (b"PK\x07\x08" + WHOLE, "one part of a split ZIP"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_zips_end_in_one_clear_line(tmp_path: Path, case: str) -> None:
    data, words = HOSTILE[case]
    path = write(tmp_path, data)
    with pytest.raises(SourceArchiveError, match=words) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "\0" not in message


def test_nothing_is_unpacked_before_a_bomb_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, handmade(Entry(b"ratings.csv", LOG, size=5000)))
    with pytest.raises(SourceArchiveError, match=r"unpacks to more than 4.0 kB"):
        open_log(path, limits=ArchiveLimits(size_bytes=4000))


def test_limits_hold_while_streaming(tmp_path: Path) -> None:
    """A gzip declares nothing, so only what really comes out counts."""
    path = write(tmp_path, gzip.compress(bytes(40 << 20)), "bomb.csv.gz")
    with pytest.raises(SourceArchiveError, match="more than 1,000 times its"):
        read(path)
    with pytest.raises(SourceArchiveError, match=r"more than 1\.0 MB"):
        read(path, limits=ArchiveLimits(size_bytes=10**6))
    allowed = ArchiveLimits(ratio=2000)
    assert len(read(path, limits=allowed)) == 40 << 20


def test_a_high_ratio_below_ten_megabytes_is_no_bomb(tmp_path: Path) -> None:
    zeros = bytes(10 << 20)
    assert read(write(tmp_path, zipped(("u.data", zeros)))) == zeros


def test_too_many_members(tmp_path: Path) -> None:
    path = write(tmp_path, zipped(*((f"{n}.csv", b"") for n in range(11))))
    with pytest.raises(SourceArchiveError, match="11 members, expected at most 10"):
        open_log(path, limits=ArchiveLimits(members=10))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_silent(tmp_path_factory: pytest.TempPathFactory, position: int, change: int) -> None:
    """Whatever byte of an archive changes: the same log comes out, or one of our errors, nothing else."""
    data = bytearray(WHOLE)
    data[position] ^= change
    path = write(tmp_path_factory.mktemp("changed", numbered=True), bytes(data), "log.zip")
    try:
        found = read(path)
    except MatineeError as error:
        told = str(error)
    else:
        assert found == LOG
        return
    assert str(path) in told


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_zip_is_never_silent(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = write(tmp_path_factory.mktemp("cut", numbered=True), WHOLE[:length], "log.zip")
    with pytest.raises(SourceArchiveError):
        read(path)


# --- damaged gzips, other formats, no files

GZIPPED = gzip.compress(LOG, mtime=0)
DAMAGED_GZIPS = {
    "cut in the data": (GZIPPED[:-20], "it is cut short"),
    "cut in the sums": (GZIPPED[:-1], "it is cut short"),
    "cut in the header": (GZIPPED[:5], "it is cut short"),
    "another CRC-32": (GZIPPED[:-6] + b"\0" + GZIPPED[-5:], "cannot be unpacked"),
    "garbage behind": (GZIPPED + b"garbage", "something else follows the end"),
    "garbage behind zeros": (GZIPPED + b"\0\0garbage", "something else follows the end"),
    "a second member cut short": (GZIPPED + GZIPPED[:7], "it is cut short"),
    "half a magic number behind": (GZIPPED + b"\x1f", "something else follows the end"),
    "no gzip": (b"\x1f\x8b" + b"nothing of the kind", "cannot be unpacked"),
}


@pytest.mark.parametrize("case", DAMAGED_GZIPS)
def test_damaged_gzips(tmp_path: Path, case: str) -> None:
    data, words = DAMAGED_GZIPS[case]
    with pytest.raises(SourceArchiveError, match=words):
        read(write(tmp_path, data, "log.csv.gz"))


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("ratings.csv"), io.BytesIO())
    return stream.getvalue()


OTHER_ARCHIVES = {
    "a tar archive; read are ZIP, gzip and plain text": tar(),
    "a tar inside a gzip": gzip.compress(tar(), mtime=0),
    "a bzip2 file": b"BZh91AY",
    "an xz file": b"\xfd7zXZ\x00\x00",
    "a Zstandard file": b"\x28\xb5\x2f\xfdx",
    "a 7z archive": b"7z\xbc\xaf\x27\x1c",
    "a RAR archive": b"Rar!\x1a\x07\x00",
}
OTHER_FORMATS = {
    "a Parquet file; expected text": b"PAR1xxxx",
    "a picture": b"\x89PNG\r\n",
    "text in UTF-16": LOG.decode().encode("utf-16"),
    "a web page; take the direct link": b"\n<HTML><body>",
}


@pytest.mark.parametrize("words", OTHER_ARCHIVES)
def test_other_archives(tmp_path: Path, words: str) -> None:
    with pytest.raises(SourceArchiveError, match=words):
        read(write(tmp_path, OTHER_ARCHIVES[words], "log"))


@pytest.mark.parametrize("words", OTHER_FORMATS)
def test_files_that_are_no_text(tmp_path: Path, words: str) -> None:
    with pytest.raises(SourceFormatError, match=words):
        open_log(write(tmp_path, OTHER_FORMATS[words], "log.csv"))


def test_places_without_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path, words in ((tmp_path / "none", "no such file"), (tmp_path, "a folder"), (fifo, "a pipe or a device")):
        with pytest.raises(SourceNotFoundError, match=words):
            open_log(path)
        with pytest.raises(SourceNotFoundError, match=words):
            list_members(path)
    with pytest.raises(SourceNotFoundError, match="no such file"):
        open_log(Path("nul\0"))


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceError, match=r"cannot be opened \(Permission denied\)"):
        open_log(tmp_path / "log.csv")


def test_a_failed_open_leaves_no_file_open(tmp_path: Path) -> None:
    path = write(tmp_path, zipped())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(SourceArchiveError):
            open_log(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
