"""Eight bytes of text at a time in one 64-bit word: how many digits it begins with, and the number that they are.

"SIMD within a register": D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51
(2021), section 3. It is some three times as fast as a loop over the digits, whose end no processor can foresee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SLACK_BYTES", "eight_bytes", "leading_digits", "number"]

SLACK_BYTES = 16  # readable bytes that must follow the last one of interest


@intrinsic
def _eight_bytes(typing: Any, text: Any, at: Any) -> tuple[Any, Any]:  # noqa: ARG001 - Numba passes its context
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(place)
        word.align = 1
        return word

    return types.uint64(text, types.int64), generate


@intrinsic
def _trailing_zeros(typing: Any, word: Any) -> tuple[Any, Any]:  # noqa: ARG001 - Numba passes its context
    """The zero bits below the lowest one; 64 where there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - as above
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


# An intrinsic is called without its first argument; for the type checker it is anything.
_load: Any = _eight_bytes
_count_zeros: Any = _trailing_zeros


@njit(nogil=True, cache=True, inline="always")
def eight_bytes(text: NDArray[np.uint8], at: int) -> np.uint64:
    """The eight bytes from `at` on, the first one lowest; nothing checks that they are there."""
    word: np.uint64 = _load(text, at)
    return word


@njit(nogil=True, cache=True, inline="always")
def leading_digits(word: np.uint64) -> np.uint64:
    """How many of the eight bytes, from the lowest on, are ASCII digits before the first that is none."""
    value = word ^ np.uint64(0x3030303030303030)  # a digit becomes 0..9
    # Adding 0x76 carries 10 and more into the byte's top bit; what spills over spoils only bytes behind that one.
    other = ((value + np.uint64(0x7676767676767676)) | value) & np.uint64(0x8080808080808080)
    zeros: np.uint64 = _count_zeros(other)
    return zeros >> np.uint64(3)


@njit(nogil=True, cache=True, inline="always")
def number(word: np.uint64, digits: np.uint64) -> np.uint64:
    """The number that the first 1 to 8 bytes are, all of them digits."""
    value = (word & np.uint64(0x0F0F0F0F0F0F0F0F)) << (np.uint64(64) - (digits << np.uint64(3)))
    value = ((value * np.uint64(10 * 2**8 + 1)) >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    value = ((value * np.uint64(100 * 2**16 + 1)) >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return (value * np.uint64(10_000 * 2**32 + 1)) >> np.uint64(32)
