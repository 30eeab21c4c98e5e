"""A training as a picture: loss and validation metric, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matinee.train.picture import COLOURS, SOFT, picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from matinee.train.history import Epoch

__all__ = ["epochs_plot"]

_SIZE: Final = (7.2, 5.4)  # inches


def epochs_plot(epochs: Sequence[Epoch], metric: str, title: str) -> bytes:
    """A PNG of the loss above the validation metric, whose best epoch is marked."""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        above.set_title(title, loc="left", fontsize=11)
        losses = [epoch.metrics["loss"] for epoch in epochs]
        above.plot([epoch.number + 1 for epoch in epochs], losses, color=COLOURS[0])
        above.set_ylabel("loss")
        measured = [(epoch.number + 1, epoch.metrics[metric]) for epoch in epochs if metric in epoch.metrics]
        if measured:
            below.plot(*zip(*measured, strict=True), color=COLOURS[1], marker=".")
            best = max(measured, key=lambda pair: pair[1])
            below.axvline(best[0], color=SOFT, linewidth=0.8, linestyle=":")
            below.annotate(f"{best[1]:.4f}", best, textcoords="offset points", xytext=(4, -12), color=SOFT)
        below.set_ylabel(metric)
        below.set_xlabel("epoch")
        below.locator_params(axis="x", integer=True)

    return picture(_SIZE, draw)
