from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.etl import text
from matinee.etl.hashing import HashedFile
from matinee.etl.text import TextWriter
from matinee.schema.layout import SPLITS, text_path

# Every number of digits an int32 can have, at both its ends.
EDGES = [0, *(edge for digits in range(1, 10) for edge in (10**digits - 1, 10**digits)), 2**31 - 1]
IDS = st.integers(1, 2**31 - 1) | st.integers(1, 20_000) | st.sampled_from(EDGES)
PARTS = st.lists(st.tuples(st.sampled_from(SPLITS), st.lists(st.tuples(IDS, IDS), max_size=30)), max_size=8)


def write(writer: TextWriter, split: str, pairs: list[tuple[int, int]]) -> None:
    columns = np.array(pairs, np.int32).reshape(-1, 2)
    writer.write(split, columns[:, 0], columns[:, 1], np.zeros(len(pairs)), np.zeros(len(pairs), np.int64))


@given(parts=PARTS, slice_events=st.integers(1, 40), hashed=st.booleans())
def test_lines_are_those_of_python_however_cut(parts: list[Any], slice_events: int, hashed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_SLICE", slice_events)
        writer = TextWriter(Path(folder), "log", hashed=hashed)
        for split, pairs in parts:
            write(writer, split, pairs)
        entries = writer.close()
        for split, entry in zip(SPLITS, entries, strict=True):
            pairs = [pair for of, part in parts if of == split for pair in part]
            expected = "".join(f"{user}\t{item}\n" for user, item in pairs).encode()
            assert (Path(folder) / text_path("log", split)).read_bytes() == expected
            assert entry.path == text_path("log", split)
            assert (entry.size, entry.rows) == (len(expected), len(pairs))
            assert entry.sha256 == (hashlib.sha256(expected).hexdigest() if hashed else "")


def test_a_full_slice_of_the_longest_lines_fits(tmp_path: Path) -> None:
    writer = TextWriter(tmp_path, "log", hashed=False)
    ids = np.full(text._SLICE + 1, 2**31 - 1, np.int32)
    writer.write("eval", ids, ids, np.zeros(ids.size), np.zeros(ids.size, np.int64))
    assert [entry.size for entry in writer.close()] == [0, ids.size * 22, 0]
    assert (tmp_path / text_path("log", "eval")).read_bytes() == b"2147483647\t2147483647\n" * ids.size


def test_abort_closes_the_files_and_can_be_repeated(tmp_path: Path) -> None:
    writer = TextWriter(tmp_path, "log", hashed=True)
    write(writer, "train", [(1, 2)])
    writer.abort()
    writer.abort()
    assert (tmp_path / text_path("log", "train")).read_bytes() == b"1\t2\n"
    with pytest.raises(ValueError, match="closed already"):
        writer.close()


def test_a_hashed_file_makes_its_folders_and_hashes_what_it_writes(tmp_path: Path) -> None:
    file = HashedFile(tmp_path, "a/b/c.bin")
    array = np.arange(5, dtype=np.int64)
    for data in (b"head", b"", array.data, np.empty(0, np.int32).data, memoryview(b"tail")):
        file.write(data)
    entry = file.close(7)
    written = (tmp_path / "a/b/c.bin").read_bytes()
    assert written == b"head" + array.tobytes() + b"tail"
    assert (entry.path, entry.size, entry.rows) == ("a/b/c.bin", len(written), 7)
    assert entry.sha256 == hashlib.sha256(written).hexdigest()


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / text_path("log", "train")).symlink_to("/dev/full")
    writer = TextWriter(tmp_path, "log", hashed=True)
    with pytest.raises(OSError, match="No space left"):
        write(writer, "train", [(1, 2)])
    writer.abort()
