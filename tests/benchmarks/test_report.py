from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import report

if TYPE_CHECKING:
    from pathlib import Path


def _result(rows: int = 1000, **changes: Any) -> dict[str, Any]:
    def way(wall_s: float, peak_bytes: float) -> dict[str, float]:
        times = {"wall_s": wall_s, "wall_min_s": wall_s - 1, "wall_max_s": wall_s + 1, "cpu_s": wall_s}
        return times | {"peak_rss_bytes": peak_bytes, "peak_anonymous_bytes": peak_bytes / 2, "foreign_cpu_s": 0}

    result: dict[str, Any] = {
        "log": {"rows": rows, "order": "user", "half_in_one_hour": False, "seed": 1, "size_bytes": 27 * rows},
        "machine": {
            "processor": "P", "cores": 2, "memory_bytes": 8e9, "kernel": "K", "python": "3.11.7",
            "libraries": {"polars": "1"}, "day": "2026-01-01",
        },
        "memory_limits": ["1GB", "256MB"],
        "rounds": 3,
        "text_sha256": {"train": "a" * 64, "eval": "b" * 64, "test": "c" * 64},
        "ways": {
            "matinee-text-1GB": way(10, 1.2e9), "matinee-full-1GB": way(19, 1.31e9),
            "matinee-text-256MB": way(11, 5e8), "polars": way(25, 5e9), "duckdb": way(29, 5e9),
        },
        "ratios": {"matinee-full-1GB": [1.9, 2.2, 1.8], "polars": [2.4, 2.6, 2.7], "duckdb": [2.9, 2.9, 3.1]},
        "runs": {"polars": [{"wall_s": 10, "foreign_cpu_s": 0.2, "steal_s": 0.1}]},
    }  # fmt: skip
    result |= changes
    return result | {"bars": report.bars(result)}


def test_bars_hold_by_the_median_and_the_largest_peak() -> None:
    holds = {bar["what"]: bar["holds"] for bar in _result()["bars"]}
    assert holds == {
        "text job at least 2.5x as fast as Polars, streaming": True,
        "text job at least 3.0x as fast as DuckDB": False,
        "Matinee, the full transform, 1GB limit at most 2.0x the text job": True,
        "Matinee, the text job, 1GB limit: peak at most 1,300 MB": True,
        "Matinee, the full transform, 1GB limit: peak at most 1,300 MB": False,
        "Matinee, the text job, 256MB limit: peak at most 556 MB": True,
    }


def test_the_table_says_all_of_it() -> None:
    text = report.table(_result())
    assert "| Polars, streaming | 25.00 (24.00 to 26.00) | 2.60 (2.40 to 2.70) | 0.0 | 25.00 | 5,000 | 2,500 |" in text
    assert "| Matinee, the text job, 1GB limit | 10.00 (9.00 to 11.00) | 1 |" in text
    assert "| text job at least 3.0x as fast as DuckDB | 2.90x | **no** |" in text
    assert "1.5% in the worst: a quiet machine" in text


def test_a_noisy_machine_is_named() -> None:
    runs = {"polars": [{"wall_s": 10, "foreign_cpu_s": 4.0, "steal_s": 0}]}
    assert "20.0% in the worst: **not a quiet machine**" in report.table(_result(runs=runs))


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1GB", 10**9), ("512MiB", 512 << 20), ("64kB", 64_000), ("2.5gb", 2_500_000_000), ("100", 100)],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert report.size_bytes(text) == size_bytes


def test_the_page_is_updated_in_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.START}\nold figures\n{report.END}\nbelow\n")
    for rows in (20_000_000, 9_000_000):
        (tmp_path / f"etl-{rows}.json").write_text(json.dumps(_result(rows)))
    report.update_page(page, tmp_path)
    once = page.read_text()
    report.update_page(page, tmp_path)
    assert page.read_text() == once
    assert once.startswith("above\n")
    assert once.endswith("\nbelow\n")
    assert "old figures" not in once
    assert once.index("### 9,000,000 rows") < once.index("### 20,000,000 rows")


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("my own page\n")
    with pytest.raises(ValueError, match="put them back"):
        report.update_page(page, tmp_path)
    assert page.read_text() == "my own page\n"
