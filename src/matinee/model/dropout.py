"""Dropout whose random bits cost little on a CPU, where drawing them is a fifth of a step of a small network.

PyTorch draws a number of many bits for each element; a byte decides as well. The share dropped is a multiple of 1/256.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["dropout"]

_LEVELS = 256


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Set a share of the elements to 0 and scale the others up, in training; `x` itself otherwise.

    The draws follow from torch's random state, as with its own dropout.
    """
    if not training or share == 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, share)
    dropped = min(_LEVELS - 1, max(1, round(share * _LEVELS)))
    seed = int(torch.randint(0, 2**62, ()))
    bits = np.random.Generator(np.random.SFC64(seed)).integers(0, _LEVELS, x.numel(), np.uint8)
    kept = torch.from_numpy(bits).view(x.shape) >= dropped
    return x * (kept.to(x.dtype) * (_LEVELS / (_LEVELS - dropped)))
