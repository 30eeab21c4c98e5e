"""What the database ought to hold of a version, worked out another way, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
from pyarrow import parquet

from matinee.schema.layout import SPLITS, events_path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["held", "ought"]

Rows = list[tuple[Any, ...]]


def ought(folder: Path) -> dict[str, Rows]:
    """Users and items as (id, raw, first seen, last seen, events), by pyarrow's own grouping of the whole log."""
    log = pa.concat_tables([parquet.read_table(folder / events_path(split)) for split in SPLITS])
    found = {}
    for table in ("users", "items"):
        ids = parquet.read_table(folder / f"ids/{table}.parquet")
        column = table[:-1]
        grouped = log.group_by(column).aggregate([("timestamp", "min"), ("timestamp", "max"), ("timestamp", "count")])
        facts = {row[column]: row for row in grouped.to_pylist()}
        found[table] = [
            (id_, str(raw), facts[id_]["timestamp_min"], facts[id_]["timestamp_max"], facts[id_]["timestamp_count"])
            for id_, raw in zip(ids["id"].to_pylist(), ids["raw"].to_pylist(), strict=True)
        ]
    return found


def held(url: str, version: str) -> dict[str, Rows]:
    """The same from the database; empty where the version is not there."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('users')").fetchone() == (None,):
            return {"users": [], "items": []}
        return {
            table: connection.execute(
                f"SELECT p.id, raw, first_seen, last_seen, p.events FROM {table} p JOIN versions v "  # type: ignore[arg-type]
                "ON v.number = p.version WHERE v.id = %s ORDER BY p.id",
                (version,),
            ).fetchall()
            for table in ("users", "items")
        }
