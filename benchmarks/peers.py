"""The text job in the tools people would otherwise use: Polars (streaming), DuckDB and pandas, each as fast as it gets.

    python benchmarks/peers.py polars ratings.csv /tmp/bench/out

The text job: read a ratings CSV, order by time with ties in input order, number users and items 1, 2, 3, ... by first
appearance in that order, cut at 50/25/25 with ties whole (docs/format.md, sections 5 to 7), write three files of
`user<TAB>item`. All peers give the same bytes. The peers get more than Matinee does: column names and 32-bit types are
told, no row is looked at for being malformed, a repeat or out of range, and nothing is written beside the texts. They
expect two rows or more.
docs/benchmarks.md lists the other formulations that were tried.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

__all__ = ["PEERS", "TEXTS"]

TEXTS: Final = ("train.txt", "eval.txt", "test.txt")


def polars(source: Path, out: Path, *, any_id: bool = False) -> None:
    """Polars: a streaming stable sort, and dense lookup tables gathered inside the streaming CSV sink.

    The tables have a slot for every raw id up to the largest, which MovieLens' small ids allow; `any_id` takes
    any 64-bit id and time, as Matinee does, and looks ids up with `replace_strict`.
    """
    import polars as pl  # noqa: PLC0415 - a run loads its own peer only

    whole_number = pl.Int64 if any_id else pl.Int32
    schema = {"userId": whole_number, "movieId": whole_number, "rating": pl.Float32, "timestamp": whole_number}
    log = pl.scan_csv(source, schema=schema).select("userId", "movieId", "timestamp")
    events = log.sort("timestamp", maintain_order=True).collect(engine="streaming")
    numbered = events.lazy().select(_dense_id(events, "userId", any_id), _dense_id(events, "movieId", any_id))
    time, count = events["timestamp"], events.height
    # The last second of a split is that of the event at the bare share, so the cut lies behind all that share it.
    first, second = (int(time.search_sorted(time[whole - 1], "right")) for whole in (count // 2, count * 3 // 4))
    for name, start, end in zip(TEXTS, (0, first, second), (first, second, count), strict=True):
        numbered.slice(start, end - start).sink_csv(
            out / name, include_header=False, separator="\t", batch_size=1 << 14, engine="streaming"
        )


def polars_any_id(source: Path, out: Path) -> None:
    """Polars without relying on small ids and times."""
    polars(source, out, any_id=True)


def _dense_id(events: pl.DataFrame, column: str, any_id: bool) -> pl.Expr:
    """The dense id of each raw id."""
    import polars as pl  # noqa: PLC0415 - a run loads its own peer only

    appeared = events[column].unique(maintain_order=True).to_frame().with_row_index("id", offset=1)
    if any_id:
        return pl.col(column).replace_strict(appeared[column], appeared["id"], return_dtype=pl.UInt32)
    largest = events.select(pl.col(column).max()).item()
    slots = pl.select(pl.int_range(largest + 1, dtype=pl.Int32).alias(column))
    table = slots.join(appeared, on=column, how="left", maintain_order="left")["id"]
    return pl.lit(table).gather(pl.col(column)).alias(column)


def duckdb(source: Path, out: Path, memory_limit: str | None = None) -> None:
    """DuckDB: sorted once into a table, ids by the first row of each, joined back, ordered again inside each COPY.

    The last ORDER BY is needed: a join promises no order, and without it the bytes do differ.
    """
    import duckdb  # noqa: PLC0415 - a run loads its own peer only

    spill = out / "spill"
    with contextlib.closing(duckdb.connect()) as base:
        if memory_limit:
            base.execute(f"SET memory_limit = '{memory_limit}'")
            base.execute(f"SET temp_directory = '{spill}'")
        base.execute(
            "CREATE TEMP TABLE log AS SELECT userId AS u, movieId AS i, timestamp AS t FROM read_csv(?, header = true,"
            " delim = ',', columns = {userId: INTEGER, movieId: INTEGER, rating: FLOAT, timestamp: INTEGER})",
            [str(source)],
        )
        base.execute("CREATE TEMP TABLE events AS SELECT u, i, t FROM log ORDER BY t, rowid")
        base.execute("DROP TABLE log")
        for column in "ui":
            base.execute(
                f"CREATE TEMP TABLE id_{column} AS SELECT {column}, row_number() OVER (ORDER BY first) AS id"
                f" FROM (SELECT {column}, min(rowid) AS first FROM events GROUP BY {column})"
            )
        count = base.sql("SELECT count(*) FROM events").fetchall()[0][0]
        first, second = (
            base.sql(f"SELECT t FROM events WHERE rowid = {whole - 1}").fetchall()[0][0]
            for whole in (count // 2, count * 3 // 4)
        )
        for name, part in zip(TEXTS, (f"t <= {first}", f"t > {first} AND t <= {second}", f"t > {second}"), strict=True):
            base.execute(
                "COPY (SELECT id_u.id, id_i.id FROM events JOIN id_u USING (u) JOIN id_i USING (i)"
                f" WHERE {part} ORDER BY events.rowid) TO '{out / name}' (FORMAT csv, HEADER false, DELIMITER '\t')"
            )
    if spill.exists():
        spill.rmdir()  # DuckDB has emptied it


def duckdb_2gb(source: Path, out: Path) -> None:
    """DuckDB, told to stay within 2 GB and to spill the rest."""
    duckdb(source, out, memory_limit="2GB")


def pandas(source: Path, out: Path) -> None:
    """pandas, whole columns at a time: PyArrow's reader, a stable sort, factorize, to_csv."""
    import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415 - no stubs here; a run loads its own peer only

    columns = {"userId": "int32", "movieId": "int32", "timestamp": "int32"}
    events = pd.read_csv(source, usecols=list(columns), dtype=columns, engine="pyarrow")
    events = events.sort_values("timestamp", kind="stable", ignore_index=True)
    texts = pd.DataFrame({column: pd.factorize(events[column])[0] + 1 for column in ("userId", "movieId")})
    time, count = events["timestamp"], len(events)
    first, second = (int(time.searchsorted(time[whole - 1], "right")) for whole in (count // 2, count * 3 // 4))
    for name, start, end in zip(TEXTS, (0, first, second), (first, second, count), strict=True):
        texts.iloc[start:end].to_csv(out / name, sep="\t", header=False, index=False)


PEERS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "polars": polars,
    "polars-any-id": polars_any_id,
    "duckdb": duckdb,
    "duckdb-2gb": duckdb_2gb,
    "pandas": pandas,
}


def main() -> None:
    """The command line: one peer, one source, one folder."""
    parser = argparse.ArgumentParser(description="Do the text job in a tool other than Matinee.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    PEERS[asked.peer](asked.source, asked.out)


if __name__ == "__main__":
    main()
