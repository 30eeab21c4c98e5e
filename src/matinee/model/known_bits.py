"""Which ids are known, as a text: for files that have room for texts beside the weights, but for no arrays."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["pack", "unpack"]

_MAX_IDS = 1 << 31  # dense ids have 32 bits


def pack(known: NDArray[np.bool_]) -> str:
    """(n,) bool as 'n:base64', packed to bits and compressed: a byte or less for eight ids."""
    return f"{known.size}:{base64.b64encode(zlib.compress(np.packbits(known).tobytes(), 9)).decode()}"


def unpack(text: str) -> NDArray[np.bool_]:
    """What `pack` was given.

    Raises:
        ValueError: this is no such text.
    """
    count, _, coded = text.partition(":")
    try:
        size = int(count)
        if not 1 <= size <= _MAX_IDS:
            raise ValueError(f"{size} ids")  # noqa: TRY301 - one message for all that is wrong, below
        room = (size + 7) // 8
        stream = zlib.decompressobj()
        packed = stream.decompress(base64.b64decode(coded, validate=True), room)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise ValueError(f"known ids cannot be read ({error})") from None
    if len(packed) != room:
        raise ValueError(f"known ids end after {8 * len(packed)}, expected {size}")
    known = np.unpackbits(np.frombuffer(packed, np.uint8), count=size).astype(np.bool_)
    if known[0]:
        raise ValueError("known ids have 0 among them")
    return known
