from __future__ import annotations

import sys

import pytest

import measure
from measure import CommandError, Usage, medians, ratios, run, run_in_turn

_HOLD = "held = bytearray(b'x') * {size}; import time; time.sleep(.4)"


def _python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def _usage(wall_s: float, **figures: float) -> Usage:
    plain = {"cpu_s": 0.0, "peak_rss_bytes": 0, "peak_anonymous_bytes": 0, "foreign_cpu_s": 0, "steal_s": 0}
    return Usage(wall_s=wall_s, load_before=0, **(plain | figures))


def test_it_sees_time_and_memory_of_a_command() -> None:
    usage = run(_python(_HOLD.format(size=100_000_000)))
    assert usage.wall_s >= 0.4
    assert 0 < usage.cpu_s < usage.wall_s
    assert 100e6 <= usage.peak_anonymous_bytes < 200e6
    assert usage.peak_rss_bytes >= usage.peak_anonymous_bytes  # no upper end: it begins at this test's own size


def test_it_adds_up_processes_that_run_at_once() -> None:
    child = _HOLD.format(size=50_000_000)
    both = f"both = [subprocess.Popen([sys.executable, '-S', '-c', {child!r}]) for _ in 'ab']"
    usage = run(_python(f"import subprocess, sys; {both}; [one.wait() for one in both]"))
    assert usage.peak_anonymous_bytes >= 100e6
    assert usage.peak_rss_bytes >= 100e6


def test_it_counts_what_others_use_apart() -> None:
    spin = "import time; end = time.process_time() + .3\nwhile time.process_time() < end: pass"
    usage = run(_python(spin))
    assert usage.cpu_s >= 0.3
    assert usage.foreign_cpu_s >= 0
    assert usage.steal_s >= 0


def test_a_failure_says_what_the_command_said() -> None:
    with pytest.raises(CommandError, match=r"exit code 3\n(?s:.*)no such log"):
        run(_python("import sys; print('no such log'); sys.exit(3)"))


def test_much_output_does_not_block() -> None:
    run(_python("print('x' * 2_000_000)"))


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(CommandError, match="timed out"):
        run(_python("import time; time.sleep(60)"), timeout_s=0.3)


def test_rounds_are_interleaved_and_warm_ups_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    walls = iter(range(100))

    def pretend(command: list[str]) -> Usage:
        told.append(f"run {command[0]}")
        return _usage(next(walls))

    monkeypatch.setattr(measure, "run", pretend)
    runs = run_in_turn(
        {"a": ["A"], "b": ["B"]},
        2,
        before=lambda name: told.append(f"before {name}"),
        after=lambda name: told.append(f"after {name}"),
    )
    once = ["before a", "run A", "after a", "before b", "run B", "after b"]
    assert told == once * 3
    assert [usage.wall_s for usage in runs["a"]] == [2, 4]
    assert [usage.wall_s for usage in runs["b"]] == [3, 5]


def test_medians_and_ratios() -> None:
    runs = [_usage(2, peak_rss_bytes=5), _usage(9, peak_rss_bytes=7), _usage(4, peak_rss_bytes=6)]
    assert medians(runs)["wall_s"] == 4
    assert medians(runs)["peak_rss_bytes"] == 7
    assert ratios(runs, [_usage(1), _usage(3), _usage(8)]) == [2, 3, 0.5]
