"""A PNG drawn by matplotlib's object interface, under its default settings, whatever a user's matplotlibrc says."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

__all__ = ["COLOURS", "SOFT", "picture"]

COLOURS = ("#4269d0", "#ff725c", "#3ca951", "#a463f2", "#efb118", "#6cc5b0", "#9c6b4e")
SOFT = "#667085"


def picture(size: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """The PNG of what `draw` puts into a figure of so many inches."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # 'building the font cache' says nothing to a user of ours
    try:
        from matplotlib import rc_context, rcParamsDefault  # noqa: PLC0415 - half a second, at the end of long work
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above

        with rc_context({key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}):
            figure = Figure(figsize=size, layout="constrained")
            FigureCanvasAgg(figure)
            draw(figure)
            for axes in figure.axes:
                axes.spines[["top", "right"]].set_visible(False)
                axes.grid(axis="y", linewidth=0.5)
            target = io.BytesIO()
            figure.savefig(target, format="png", dpi=120, metadata={"Software": None})
            return target.getvalue()
    finally:
        logger.setLevel(level)
