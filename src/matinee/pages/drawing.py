"""Plots as inline SVG: matplotlib draws, the page's style sheet gives colours and fonts.

Only matplotlib's object interface is used (no pyplot, no global figure), under its default settings, so that whatever
a user's matplotlibrc says, the same numbers give the same bytes.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes

__all__ = [
    "ARMS",
    "COLD_ITEMS",
    "COLD_USERS",
    "EVAL",
    "GRID",
    "HALF",
    "INK",
    "NARROW",
    "SOFT",
    "TEST",
    "TRAIN",
    "WIDE",
    "drawn",
    "variants",
]

# Colours that stand for a variable of the style sheet; each occurs nowhere else in what matplotlib writes.
_VARIABLES: Final = {
    "#010101": "var(--ink-soft)",
    "#020202": "var(--grid)",
    "#030303": "var(--train)",
    "#040404": "var(--eval)",
    "#050505": "var(--test)",
    "#060606": "var(--cold-users)",
    "#070707": "var(--cold-items)",
    "#080808": "var(--ink)",
    "#090909": "var(--arm-1)",
    "#0a0a0a": "var(--arm-2)",
    "#0b0b0b": "var(--arm-3)",
    "#0c0c0c": "var(--arm-4)",
    "#0d0d0d": "var(--arm-5)",
    "#0e0e0e": "var(--arm-6)",
}
SOFT, GRID, TRAIN, EVAL, TEST, COLD_USERS, COLD_ITEMS, INK, *_ARMS = _VARIABLES
ARMS: Final = tuple(_ARMS)
# Inches; a phone gets its own, so that text stays readable.
WIDE: Final = (8.4, 2.9)
NARROW: Final = (4.0, 2.9)
HALF: Final = (4.4, 2.9)


def variants(name: str, title: str, words: str, draw: Callable[[Axes, float], None]) -> str:
    """The picture twice, of which the page shows one: for wide windows, and for phones; see `drawn`."""
    wide = drawn(f"{name}-wide", title, words, draw, WIDE)
    narrow = drawn(f"{name}-narrow", title, words, draw, NARROW)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def drawn(name: str, title: str, words: str, draw: Callable[[Axes, float], None], size: tuple[float, float]) -> str:
    """One picture as an SVG element.

    Args:
        name: starts each id in it.
        title: what it shows.
        words: the same for those who cannot see it.
        draw: gets the axes, and their width in inches.
        size: width and height in inches.
    """
    with _matplotlib() as settings:
        from matplotlib import rc_context  # noqa: PLC0415 - half a second, and only a transform needs it
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - see above
        from matplotlib.figure import Figure  # noqa: PLC0415 - see above

        with rc_context(settings):
            figure = Figure(figsize=size, layout="constrained")
            FigureCanvasSVG(figure)
            axes = figure.add_subplot()
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", which="major")
            axes.set_axisbelow(True)
            draw(axes, size[0])
            target = io.StringIO()
            figure.savefig(target, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _inline(target.getvalue(), name, title, words)


@contextmanager
def _matplotlib() -> Iterator[dict[Any, Any]]:
    """Matplotlib's default settings with ours; its first import neither warns nor needs a home that can be written."""
    if "matplotlib.backends.backend_svg" not in sys.modules:
        _import_quietly()
    from matplotlib import rcParamsDefault  # noqa: PLC0415 - half a second, and only a transform needs it

    settings: dict[Any, Any] = {
        key: value for key, value in rcParamsDefault.items() if not key.startswith(("backend", "date.epoch"))
    }
    settings |= {
        "svg.fonttype": "none",
        "svg.hashsalt": "matinee",
        "font.size": 11,
        "axes.edgecolor": GRID,
        "axes.labelcolor": SOFT,
        "text.color": SOFT,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": SOFT,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "ytick.major.size": 0,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "savefig.transparent": True,
    }
    yield settings


def _import_quietly() -> None:
    logger = logging.getLogger("matplotlib")
    level, home = logger.level, os.environ.get("MPLCONFIGDIR")
    logger.setLevel(logging.ERROR)  # 'building the font cache; this may take a moment' says nothing to a user of ours
    try:
        with tempfile.TemporaryDirectory(prefix="matinee-fonts-") as scratch:
            if home is None and not _home_is_writable():
                os.environ["MPLCONFIGDIR"] = scratch
            for module in ("figure", "backends.backend_svg"):
                import_module(f"matplotlib.{module}")
    finally:
        logger.setLevel(level)
        if home is None:
            os.environ.pop("MPLCONFIGDIR", None)


def _home_is_writable() -> bool:
    try:
        home = Path.home()
    except RuntimeError:
        return False
    return home.is_dir() and os.access(home, os.W_OK)


def _inline(svg: str, name: str, title: str, words: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style[^>]*>.*?</style>|<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)  # ids are unique in a page, not in a picture
    svg = re.sub(r"font-family:[^;\"]*;?", "", svg)  # the page's own font, whatever the system calls it
    for sentinel, variable in _VARIABLES.items():
        svg = svg.replace(sentinel, variable)
    box = re.search(r'viewBox="([^"]+)"', svg)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without viewBox")
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-words">{escape(words)}</desc>'
    )
    body = svg[svg.index(">") + 1 :]
    return head + re.sub(r">\s+<", "><", body).strip()
