"""The single events of an evaluation as Parquet, for whoever wants to ask more of them than a report says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.train.evaluation import Evaluation

__all__ = ["write_ranks"]


def write_ranks(evaluation: Evaluation, path: Path) -> None:
    """One row an event, in the order in which it was asked about; dense ids, Unix seconds, ranks from 1."""
    columns = {
        "user": evaluation.users,
        "item": evaluation.targets,
        "timestamp": evaluation.times_s,
        "rank": evaluation.ranks,
        "repeat": evaluation.repeats,
        "warm_user": evaluation.warm_users,
        "warm_item": evaluation.warm_items,
    }
    parquet.write_table(pa.table(columns), path, compression="zstd")
