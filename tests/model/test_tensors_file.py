"""Arrays in one file: they come back as they were, whole or not at all, and junk ends in one line."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import DiskFullError, ModelDamagedError, ModelNotFoundError
from matinee.model.tensors_file import read_tensors, write_tensors

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "number": np.array(3, np.int64),
    "nothing": np.zeros((0, 4), np.float64),
    "flags": np.array([True, False]),
    "bytes": np.arange(5, dtype=np.uint8),
}


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_arrays_and_texts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, ARRAYS, {"step": "7"})
    arrays, texts = read_tensors(path)
    assert texts == {"step": "7"}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].flags.writeable
    assert [*tmp_path.glob(".some*")] == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_full_disk_leaves_what_was_there(tiny_disk: Path) -> None:
    path = tiny_disk / "some.safetensors"
    write_tensors(path, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(DiskFullError, match="no space left") as caught:
        write_tensors(path, {"large": np.zeros(20_000, np.float64)})
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in tiny_disk.iterdir()] == ["some.safetensors"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(Exception, match="object"):
        write_tensors(path, {"junk": np.array([object()])})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.glob("*some*")] == ["some.safetensors"]


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none" / "deeper"):
        with pytest.raises(ModelNotFoundError, match="no such file"):
            read_tensors(path)
    with pytest.raises(ModelDamagedError, match="cannot be read"):
        read_tensors(tmp_path)


def _bfloat16() -> bytes:
    header = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    return len(header).to_bytes(8, "little") + header + b"\0\0"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\xff" * 64,  # a header of 2**64 - 1 bytes
        (10**9).to_bytes(8, "little") + b"{}",  # one of a gigabyte
        (2).to_bytes(8, "little") + b"[]",
        (60).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}',
        _bfloat16(),
        pickle.dumps(Mischief()),
    ],
    ids=["empty", "short", "endless header", "huge header", "no record", "huge shape", "bfloat16", "pickle"],
)
def test_junk_ends_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelDamagedError, match=r"junk\.safetensors: not a safetensors file") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)
    assert not Path("executed").exists()


@given(data=st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged-{os.getpid()}.safetensors"
    write_tensors(path, ARRAYS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        arrays, texts = read_tensors(path)
    except ModelDamagedError as error:
        complaint = str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())
        assert all(isinstance(text, str) for text in texts.values())
        return
    assert "\n" not in complaint
