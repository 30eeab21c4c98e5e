"""What tests of the page share: a data folder after a small journey, the page as a program, and Chromium."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

import matinee
from matinee.lineage import Artifact, Recorder
from matinee.processes import end
from matinee.publish_report import checkpoints, report_artifact
from matinee.version import open_version
from playing import Play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# Nothing but this machine has an address: what a page asks elsewhere fails, and is seen.
_ARGUMENTS = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a rehearsal leaves it: a version, two models, one of them evaluated, lineage of all."""
    root = tmp_path_factory.mktemp("house")
    chance = random.Random(0)
    log = root / "log.csv"
    rows = (
        f"{user},{int(chance.paretovariate(0.7)) % 60},{1_000_000 + event * 50}\n"
        for event in range(1500)
        for user in [chance.randrange(40) + event // 60]
    )
    log.write_text("user,item,time\n" + "".join(rows))
    data_dir = root / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))
        made = matinee.rehearse(log, store=str(root / "store"), data_dir=data_dir, stack=False, train=False)
        lineage = Recorder(data_dir / "lineage")
        for model in ("popularity", "markov"):
            matinee.train(made.folder, model=model, track=False, data_dir=data_dir, lineage=lineage)
        matinee.evaluate(f"{made.name}/markov", data_dir=data_dir)
    return data_dir


@pytest.fixture
def data_dir(house: Path, tmp_path: Path) -> Path:
    """A copy of it without replays, to be changed; its lineage tells of the original."""
    return shutil.copytree(house, tmp_path / "data", ignore=shutil.ignore_patterns("replays"))


@dataclass
class Dashboard:
    """The page as a program; `stop` ends it."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        end(self.process, patience_s=20)
        return self.process.wait(20)


class Starter:
    """Starts the page on a folder and waits until it is well; `stop` ends all that it started."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, list[Dashboard]()

    def __call__(self, data_dir: Path, *options: str | Path, port: int = 0) -> Dashboard:
        errors = self._folder / f"dashboard-{len(self._started)}.err"
        words = [sys.executable, "-m", "matinee", "dashboard", "--json", "--data-dir", data_dir, "--port", str(port)]
        # NiceGUI looks for this variable, and would be tested instead of run.
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        with errors.open("wb") as written:
            process = subprocess.Popen([*words, *options], stdout=subprocess.PIPE, stderr=written, env=environment)
        assert process.stdout
        with process.stdout as output:
            told = b""
            while not told.endswith(b"}\n"):
                line = output.readline()
                if not line:
                    process.wait(20)
                assert line, errors.read_text()
                told += line
        begun = Dashboard(process, json.loads(told)["url"])
        self._started.append(begun)
        deadline_s = time.monotonic() + 20
        while httpx.get(f"{begun.url}/healthz", trust_env=False).status_code not in {200, 401}:
            assert time.monotonic() < deadline_s, errors.read_text()
            time.sleep(0.05)
        return begun

    def stop(self) -> None:
        for each in self._started:
            each.stop()
        written = "".join(path.read_text() for path in self._folder.glob("dashboard-*.err"))
        assert "Traceback" not in written, written


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts pages of a test's own."""
    starter = Starter(tmp_path)
    yield starter
    starter.stop()


@dataclass(frozen=True)
class Shown:
    """A folder that is not to be written to, and the page that shows it."""

    data_dir: Path
    version: str
    url: str


@pytest.fixture(scope="session")
def shown(house: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The house with a finished replay of two arms in it, and a page on it."""
    (manifest,) = house.glob("versions/*/*/manifest.json")
    (checkpoint,) = house.glob("models/*/*/markov-*/checkpoint.json")
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    models = {"net": f"markov {sha256[:12]}", "counts": "popularity 0a1b2c3d4e5f"}
    replay = Play(
        house, "20260101-100000-0123456789ab", manifest.parent, models, events=400, per_s=800,
        checkpoints={"net": sha256},
    )  # fmt: skip
    with replay:
        replay.wait()
    version = open_version(manifest.parent)
    report = replay.report()
    served = checkpoints([arm["served"] for arm in report.facts["arms"].values()], version)
    with Recorder(house / "lineage").stage("replay", [Artifact.of_folder(version.folder), *served]) as run:
        run.add_output(report_artifact(report, version))
    starter = Starter(tmp_path_factory.mktemp("shown"))
    try:
        yield Shown(house, manifest.parent.name, starter(house).url)
    finally:
        starter.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a file: while it is there its event loop runs, and no test can run one."""
    if CHROMIUM is None:
        pytest.skip("the page's tests need Chromium; tests/debian.sh installs it where it can")
    from playwright.sync_api import sync_playwright

    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, with all that it asked for and complained of."""

    page: Page
    asked: list[str]
    troubles: list[str]

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def figure(self, name: str) -> str:
        return self.text(f'[data-figure="{name}"]')


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens a page in a context of its own, and finds at the end that it had no trouble and asked nobody else."""
    contexts: list[BrowserContext] = []
    visits: list[tuple[str, Visit]] = []

    def open_page(url: str, *, script: str = "", **options: object) -> Visit:
        context = chromium.new_context(**options)  # type: ignore[arg-type]  # handed on as they are
        contexts.append(context)
        context.set_default_timeout(15_000)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        seen = Visit(page, [], [])
        page.on("request", lambda request: seen.asked.append(request.url))
        page.on("websocket", lambda socket: seen.asked.append(socket.url))
        page.on("pageerror", lambda error: seen.troubles.append(str(error)))
        page.on("console", lambda told: seen.troubles.append(told.text) if told.type == "error" else None)
        page.goto(url)
        page.wait_for_selector(".canvas canvas")
        visits.append((url, seen))
        return seen

    yield open_page
    for context in contexts:
        context.close()
    for url, seen in visits:
        here = url.removeprefix("http://").rstrip("/")
        elsewhere = [each for each in seen.asked if not each.startswith((f"http://{here}/", f"ws://{here}/", "data:"))]
        assert elsewhere == []
