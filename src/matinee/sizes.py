"""Sizes in bytes as people write and read them: '1GB', '512MiB', '5.2 MB'."""

from __future__ import annotations

import re
from typing import Final

from matinee.errors import UsageError

__all__ = ["parse_size_bytes", "show_size"]

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "kib": 1 << 10,
    "m": 10**6,
    "mb": 10**6,
    "mib": 1 << 20,
    "g": 10**9,
    "gb": 10**9,
    "gib": 1 << 30,
    "t": 10**12,
    "tb": 10**12,
    "tib": 1 << 40,
}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def parse_size_bytes(text: str, option: str = "size") -> int:
    """Bytes from '1GB' (10**9), '1GiB' (2**30), '1.5 GB' or '1000000'; `option` names the place in the error.

    Raises:
        UsageError: the text is not a size, or one below a byte.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    size_bytes = int(float(found[1]) * unit) if found and unit else 0
    if size_bytes < 1:
        raise UsageError(f"{option} {text!r}: expected a size like 1GB, 512MiB or a number of bytes")
    return size_bytes


def show_size(size_bytes: float) -> str:
    """'0 B', '812 B', '4.9 MB': decimal units, two digits that matter."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
