"""Quality over time as a picture: NDCG of each model in ten equally large parts of a split, and who was asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matinee.pages.axes import instant
from matinee.train.picture import COLOURS, SOFT, picture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from matinee.train.evaluation import Evaluation

__all__ = ["evaluation_plot"]

_SIZE = (7.2, 5.4)  # inches


def evaluation_plot(evaluations: Mapping[str, Evaluation], title: str) -> bytes:
    """A PNG of one or more models on the same events, which have an order in time.

    Args:
        evaluations: by the label that stands in the legend; one or more.
        title: what was evaluated on.
    """
    first = next(iter(evaluations.values()))
    buckets = first.buckets
    metric = next(name for name in buckets[0].metrics if name.startswith("ndcg"))
    places = range(len(buckets))

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        above.set_title(title, loc="left", fontsize=11)
        for (label, evaluation), colour in zip(evaluations.items(), COLOURS, strict=False):
            values = [bucket.metrics[metric] for bucket in evaluation.buckets]
            above.plot(places, values, color=colour, marker=".", label=label)
        above.set_ylim(bottom=0)
        above.set_ylabel(metric)
        above.legend(frameon=False, fontsize=9, labelcolor=SOFT)
        for name, counts, style in (
            ("by cold users", [bucket.by_cold_users for bucket in buckets], "-"),
            ("on cold items", [bucket.on_cold_items for bucket in buckets], "--"),
        ):
            shares = [100 * count / bucket.events for count, bucket in zip(counts, buckets, strict=True)]
            below.plot(places, shares, color=SOFT, linestyle=style, label=name)
        below.set_ylim(-2, 102)
        below.set_ylabel("% of the events")
        below.legend(frameon=False, fontsize=9, labelcolor=SOFT)
        starts = [instant(bucket.first_s, first.time_unit, date_only=True) for bucket in buckets]
        below.set_xticks(places, starts, rotation=45, ha="right", fontsize=8)
        below.set_xlabel("where each tenth of the events begins")

    return picture(_SIZE, draw)
