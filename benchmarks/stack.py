"""How long the stack takes from nothing to healthy and back, and what it holds in memory when nobody uses it.

    python benchmarks/stack.py                # three rounds
    python benchmarks/stack.py --rounds 1

A round: `matinee up && matinee status` in a folder that was not there, some idle seconds, `matinee down`, `up` again,
`down`. The figures go to benchmarks/results/stack.json; docs/stack.md tells them. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import describe_machine

__all__ = ["main"]

UP_BAR_S = 40
DOWN_BAR_S = 15
_IDLE_S = 20
_RESULTS = Path(__file__).parent / "results" / "stack.json"


def main() -> int:
    """All rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [_round() for _ in range(parser.parse_args().rounds)]
    figures = {name: median(found[name] for found in rounds) for name in rounds[0] if name != "memory_bytes"}
    memory = {name: median(found["memory_bytes"][name] for found in rounds) for name in rounds[0]["memory_bytes"]}
    for name, value in figures.items():
        print(f"{name:<22} {value:8.1f} s   {[round(found[name], 1) for found in rounds]}")
    for name, size in memory.items():
        print(f"memory, {name:<14} {size / 1e6:8.0f} MB")
    result = {**figures, "memory_bytes": memory, "rounds": rounds, "machine": describe_machine()}
    _RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    slowest = max(found["from_nothing_s"] for found in rounds), max(found["down_s"] for found in rounds)
    return 0 if slowest[0] < UP_BAR_S and slowest[1] < DOWN_BAR_S else 1


def _round() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        place = ["--data-dir", f"{folder}/data"]
        try:
            from_nothing_s = _timed("up", *place) + _timed("status", *place)
            time.sleep(_IDLE_S)
            said = subprocess.run(_words("status", "--json", *place), capture_output=True, text=True, check=True)
            told = json.loads(said.stdout)
            memory = {service["name"]: service["memory_bytes"] for service in told["services"]}
            memory["supervisor, watch"] = told["memory_bytes"] - sum(memory.values())
            memory["all"] = told["memory_bytes"]
            down_s = _timed("down", *place)
            return {
                "from_nothing_s": from_nothing_s,
                "down_s": down_s,
                "up_again_s": _timed("up", *place),
                "up_when_up_s": _timed("up", *place),
                "memory_bytes": memory,
            }
        finally:
            _timed("down", *place)


def _timed(*words: str) -> float:
    began_s = time.perf_counter()
    subprocess.run(_words(*words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began_s


def _words(*words: str) -> list[str]:
    return [sys.executable, "-m", "matinee", *words]


if __name__ == "__main__":
    sys.exit(main())
