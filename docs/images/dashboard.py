# ruff: noqa: INP001 - a script, not a package
"""Takes the README's picture of the dashboard with Chromium; run it after `matinee rehearse`.

What is to be seen is real: the data folder of a rehearsal, and a replay through two of its models while it runs. That
replay is interrupted when the picture is taken, and stays in the folder as it is then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

_PICTURE = Path(__file__).with_suffix(".png")
_MATINEE = (sys.executable, "-m", "matinee")
_PLAYED_S = 60  # before the picture is taken, so that its charts have something to show


def main() -> None:
    """Take it."""
    parser = argparse.ArgumentParser(description="Take the picture of the dashboard that the README shows.")
    parser.add_argument("--data-dir", type=Path, default=Path("matinee-data"))
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--arms", nargs="+", default=["sse-pt", "popularity"], help="models that take part")
    parser.add_argument("--rate", default="60", help="events a second")
    parser.add_argument("--out", type=Path, default=_PICTURE)
    said = parser.parse_args()
    arms = [word for model in said.arms for word in ("--arm", f"{model}={said.dataset}/{model}")]
    there = ("--data-dir", str(said.data_dir))
    with _running("dashboard", "--port", "0", "--json", *there) as dashboard:
        url = json.loads("".join(iter(dashboard.stdout.readline, "}\n")) + "}")["url"]  # type: ignore[union-attr]
        with _running("replay", said.dataset, *arms, "--rate", said.rate, "--again", "--no-track", "--quiet", *there):
            _take(url, said.out)


@contextmanager
def _running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of Matinee, interrupted when the block ends."""
    with subprocess.Popen([*_MATINEE, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def _take(url: str, picture: Path) -> None:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 1260})
        page.goto(url)
        page.wait_for_selector("[data-stage=replay][data-state=running]", timeout=120_000)
        time.sleep(_PLAYED_S)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
