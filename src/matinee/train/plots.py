"""A training as a picture: loss and validation metric, epoch by epoch."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matinee.train.history import Epoch

__all__ = ["epochs_plot"]

_SIZE: Final = (7.2, 5.4)  # inches
_LOSS, _METRIC, _SOFT = "#4269d0", "#ff725c", "#667085"


def epochs_plot(epochs: Sequence[Epoch], metric: str, title: str) -> bytes:
    """A PNG of the loss above the validation metric, whose best epoch is marked."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # 'building the font cache' says nothing to a user of ours
    try:
        from matplotlib import rc_context, rcParamsDefault  # noqa: PLC0415 - half a second, at the end of a training
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above

        # Whatever the user's matplotlibrc says.
        with rc_context({key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}):
            figure = Figure(figsize=_SIZE, layout="constrained")
            FigureCanvasAgg(figure)
            above, below = figure.subplots(2, 1, sharex=True)
            above.set_title(title, loc="left", fontsize=11)
            above.plot([epoch.number + 1 for epoch in epochs], [epoch.metrics["loss"] for epoch in epochs], color=_LOSS)
            above.set_ylabel("loss")
            measured = [(epoch.number + 1, epoch.metrics[metric]) for epoch in epochs if metric in epoch.metrics]
            if measured:
                below.plot(*zip(*measured, strict=True), color=_METRIC, marker=".")
                best = max(measured, key=lambda pair: pair[1])
                below.axvline(best[0], color=_SOFT, linewidth=0.8, linestyle=":")
                below.annotate(f"{best[1]:.4f}", best, textcoords="offset points", xytext=(4, -12), color=_SOFT)
            below.set_ylabel(metric)
            below.set_xlabel("epoch")
            below.locator_params(axis="x", integer=True)
            for axes in (above, below):
                axes.spines[["top", "right"]].set_visible(False)
                axes.grid(axis="y", linewidth=0.5)
            target = io.BytesIO()
            figure.savefig(target, format="png", dpi=120, metadata={"Software": None})
            return target.getvalue()
    finally:
        logger.setLevel(level)
