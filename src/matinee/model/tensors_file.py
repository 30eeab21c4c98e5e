"""Named arrays in one file, as safetensors: reading it executes nothing, and it is there whole or not at all."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from matinee.errors import ModelDamagedError, ModelNotFoundError
from matinee.model.atomic import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["read_tensors", "write_tensors"]


def write_tensors(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays (booleans, integers, floats; of any shape) and texts to `path`, replacing what is there in one step.

    What belongs together and must not come apart when a run is killed (an optimiser's arrays and the number of the
    step, say) goes into one file: arrays and `metadata` together.

    Raises:
        DiskFullError: no space left; what was there before is there still.
    """
    # ascontiguousarray would give an array without dimensions one.
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic(Path(path)) as beside:
        try:
            save_file(contiguous, beside, dict(metadata or {}))
        except SafetensorError as error:
            # The library gives the system's number in words alone.
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error)) from None


def read_tensors(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays (writable, in memory) and texts of a file of `write_tensors`, or of any safetensors file.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelDamagedError: it is no such file, or cannot be read.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="np") as file:
            arrays, texts = file.get_tensors(), dict(file.metadata() or {})
        for name, array in arrays.items():
            # Some libraries teach NumPy the format's other types, so what can be read depends on what was imported.
            if array.dtype.isbuiltin != 1:
                raise TypeError(f"{name} is {array.dtype}")  # noqa: TRY301 - one message for all that is wrong
        return arrays, texts
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno == errno.ENOTDIR:
            raise ModelNotFoundError(f"{path}: there is no such file") from None
        raise ModelDamagedError(f"{path}: cannot be read ({error})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
        # Beyond the library's own error: NumPy has no word for some of the format's types (bfloat16, 8-bit floats).
        raise ModelDamagedError(f"{path}: not a safetensors file that NumPy can hold ({error!r})") from None
