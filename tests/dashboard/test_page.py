"""The page in a real Chromium: what it shows, on what, for whom, and what it survives."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from matinee.dashboard.figures import measures
from playing import Play

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Shown

pytestmark = pytest.mark.xdist_group("chromium")

MODELS = {"net": "markov 78cadaec5c40", "counts": "popularity 0a1b2c3d4e5f"}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1, "is_mobile": True, "has_touch": True}


def version_of(data_dir: Path) -> str:
    (manifest,) = data_dir.glob("versions/*/*/manifest.json")
    return manifest.parent.name


def play(data_dir: Path, name: str = "20260101-120000-0123456789ab", **options: Any) -> Play:
    (manifest,) = data_dir.glob("versions/*/*/manifest.json")
    return Play(data_dir, name, manifest.parent, MODELS, **options)


def count(text: str) -> int:
    return int(text.replace(",", ""))


def test_a_running_replay_moves_and_ends_as_its_report_says(
    data_dir: Path, start: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    shifts = (
        "window.shifts = []; new PerformanceObserver(list => list.getEntries().forEach(entry => "
        "window.shifts.push(entry.value))).observe({type: 'layout-shift', buffered: true})"
    )
    with play(data_dir, events=50_000, per_s=300) as playing:
        seen = visit(start(data_dir).url, script=shifts)
        page = seen.page
        page.wait_for_function("document.querySelector('[data-stage=replay]').dataset.state == 'running'")
        before = count(seen.figure("net/told"))
        charts = page.locator("[data-chart]").evaluate_all(
            "all => all.slice(0, 6).map(one => one.querySelector('canvas').toDataURL())"
        )
        assert len(charts) == 6
        page.wait_for_function(
            "told => Number(document.querySelector('[data-figure=\"net/told\"]').innerText.replace(',', '')) > told",
            arg=before + 200,
        )
        moved = page.locator("[data-chart]").evaluate_all(
            "all => all.slice(0, 6).map(one => one.querySelector('canvas').toDataURL())"
        )
        assert all(one != other for one, other in zip(charts, moved, strict=True))
        assert "running" in seen.text("section:has(#replay-title) .about >> nth=0")
    report = playing.report().facts
    page.wait_for_selector("text=Open the report")
    page.wait_for_function("document.querySelector('[data-stage=report]').dataset.state == 'done'")
    for arm, figures in report["arms"].items():
        for measure in measures(10):
            assert_same(seen.figure(f"{arm}/{measure.name}"), measure.unit, value_at(figures, measure.keys))
    assert sum(page.evaluate("window.shifts")) < 0.1
    with page.context.expect_page() as opened:
        page.click("text=Open the report")
    assert opened.value.inner_text("h1") == "log, split eval"
    assert seen.troubles == []


def value_at(figures: dict[str, Any], keys: tuple[str, ...]) -> float:
    found: Any = figures
    for key in keys:
        found = sum(found.values()) if key == "*" else found[key]
    return float(found)


def assert_same(shown: str, unit: str, value: float) -> None:
    """What is written is the value, to the last digit that is written."""
    digits, _, scale = shown.removesuffix("/s").partition(" ")
    of = {"kB": 1e3, "MB": 1e6, "GB": 1e9}.get(scale, 1) if unit == "bytes" else 1
    places = len(digits.partition(".")[2])
    assert abs(float(digits.replace(",", "")) * of - value) <= 0.5001 * 10**-places * of, (shown, value)


def test_the_page_comes_back_by_itself(data_dir: Path, start: Callable[..., Any], visit: Callable[..., Any]) -> None:
    with play(data_dir, events=50_000, per_s=200):
        first = start(data_dir)
        seen = visit(first.url)
        page = seen.page
        before = count(seen.figure("net/told"))
        first.stop()
        page.wait_for_selector("#popup[aria-hidden=false]")
        start(data_dir, port=first.port)
        page.wait_for_selector("#popup[aria-hidden=true]", state="attached")
        page.wait_for_function(
            "told => Number((document.querySelector('[data-figure=\"net/told\"]')?.innerText ?? '0').replace(',', ''))"
            " > told",
            arg=before + 100,
        )
    # And the replay may be killed and taken up: its file is all that counts.
    page.wait_for_function("document.querySelector('[data-stage=replay]').dataset.state == 'done'")
    live = json.loads(next(data_dir.glob("replays/*/*/live.json")).read_text())
    assert count(seen.figure("counts/told")) == live["arms"]["counts"]["told"]


def test_on_a_phone_nothing_sticks_out(shown: Shown, visit: Callable[..., Any]) -> None:
    seen = visit(shown.url, **PHONE)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("[data-chart]").evaluate_all("all => all.every(one => one.offsetWidth > 250)")
    assert page.locator('[data-figure="net/told"]').bounding_box()["height"] >= 24
    page.tap('[data-figure="net/metrics/ndcg@10"]')
    page.wait_for_selector(".step[data-kind=file]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".chain").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.tap("text=Close")
    page.tap("text=The certificate here")
    page.frame_locator("iframe.frame").locator("h1").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


_CONTRASTS = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const behind = node => { for (; node; node = node.parentElement) {
    const colour = channels(getComputedStyle(node).backgroundColor);
    if (colour.length == 3 || colour[3] > 0.99) return colour; } return [255, 255, 255]; };
  return [...document.querySelectorAll('main *, header *')]
    .filter(node => [...node.childNodes].some(child => child.nodeType == 3 && child.data.trim()) && node.offsetParent)
    .map(node => { const [one, other] = [luminance(channels(getComputedStyle(node).color)), luminance(behind(node))];
      return [(Math.max(one, other) + .05) / (Math.min(one, other) + .05), node.innerText.slice(0, 40)]; })
    .filter(([contrast]) => contrast < 4.5);
}"""


def test_it_is_readable_in_light_and_in_the_dark_and_changes_with_them(shown: Shown, visit: Callable[..., Any]) -> None:
    page = visit(shown.url, color_scheme="dark").page
    pictures = []
    for scheme, is_dark in (("dark", True), ("light", False)):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.body.classList.contains('body--dark') == {json.dumps(is_dark)}")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 60) == is_dark
        page.wait_for_timeout(500)  # colours change gently
        assert page.evaluate(_CONTRASTS) == []
        if pictures:
            drawn = "before => document.querySelector('[data-chart=ndcg] canvas').toDataURL() != before"
            page.wait_for_function(drawn, arg=pictures[0])
        pictures.append(page.evaluate("document.querySelector('[data-chart=ndcg] canvas').toDataURL()"))


_FOCUS = """() => { const at = document.activeElement, style = getComputedStyle(at);
  return {tag: at.tagName, figure: at.dataset.figure ?? '', text: (at.innerText ?? '').slice(0, 40),
    name: at.getAttribute('aria-label') ?? at.getAttribute('title') ?? at.innerText ?? '',
    outline: style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2,
    inDialog: !!at.closest('[role=dialog]'), seen: at.getBoundingClientRect().width > 0}; }"""


def test_the_keyboard_is_enough(shown: Shown, visit: Callable[..., Any]) -> None:
    page = visit(shown.url).page
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUS)["text"].startswith("Skip to")
    visited = []
    for _ in range(60):
        page.keyboard.press("Tab")
        visited.append(page.evaluate(_FOCUS))
        if visited[-1]["figure"]:
            break
    assert visited[-1]["figure"] == "net/metrics/ndcg@10"
    assert [each for each in visited if each["tag"] == "BUTTON" and not each["outline"]] == []
    page.keyboard.press("Enter")
    page.wait_for_selector(".step[data-kind=file]")
    page.wait_for_function("!!document.activeElement.closest('[role=dialog]')")
    for _ in range(4):
        page.keyboard.press("Tab")
        # Never on the page behind it: the browser's own buttons come after the last one, then it begins anew.
        page.wait_for_function(f"focus => (focus = ({_FOCUS})(), focus.inDialog || focus.tag == 'BODY')", timeout=2_000)
    page.keyboard.press("Escape")
    page.wait_for_selector(".chain", state="hidden")
    page.wait_for_function("document.activeElement.dataset.figure == 'net/metrics/ndcg@10'")
    nameless = page.locator("button, a, [role=button], [role=combobox], [role=progressbar], [role=img]").evaluate_all(
        "all => all.filter(one => one.offsetParent && !(one.getAttribute('aria-label') || one.innerText.trim()"
        " || one.labels?.length || one.closest('label'))).map(one => one.outerHTML.slice(0, 200))"
    )
    assert nameless == []
    assert page.locator(".figure").evaluate_all("all => all.every(one => one.tagName == 'BUTTON')")


def test_a_figure_tells_where_it_came_from(shown: Shown, visit: Callable[..., Any]) -> None:
    seen = visit(shown.url)
    page = seen.page
    (model,) = shown.data_dir.glob("models/*/*/markov-*")
    report = json.loads((model / "evaluation-test-time.json").read_text())
    manifest = json.loads(next(shown.data_dir.glob("versions/*/*/manifest.json")).read_text())

    states, text = chain_of(page, f"{model.name}/test")
    assert [*states] == ["source", "archive", "version", "published", "checkpoint", "file", "verdict"]
    assert f"exactly {report['metrics']['ndcg@10']!r}" in text
    assert manifest["source"]["sha256"] in text
    assert shown.version in text
    no_event = dict.fromkeys(("file", "verdict"), "unrecorded")  # no event tells of evaluations
    assert states == dict.fromkeys(states, "ok") | no_event

    for figure in (f"{model.name}/validation", f"{shown.version}/users"):  # checkpoint.json and certificate.json
        states, _ = chain_of(page, figure)
        assert states == dict.fromkeys(states, "ok"), figure

    states, text = chain_of(page, "net/latency_ms/ask/p99")
    kinds = ["source", "archive", "version", "published", "checkpoint", "report", "file", "verdict"]
    assert states == dict.fromkeys(kinds, "ok")
    assert "report.json" in text
    assert hashlib.sha256((replay_of(shown) / "report.json").read_bytes()).hexdigest() in text


def chain_of(page: Any, figure: str) -> tuple[dict[str, str], str]:
    """Press a figure; kind -> state of the steps behind it, then the verdict's, and all that is written there."""
    page.click(f'[data-figure="{figure}"]')
    page.wait_for_selector(".step[data-kind=file]")
    steps = page.locator(".step").evaluate_all("all => all.map(one => [one.dataset.kind, one.dataset.state])")
    verdict, text = page.locator(".verdict").get_attribute("data-state"), page.inner_text(".chain")
    page.keyboard.press("Escape")
    page.wait_for_selector(".chain", state="hidden")
    return dict(steps) | {"verdict": verdict}, text


def replay_of(shown: Shown) -> Path:
    (folder,) = shown.data_dir.glob("replays/*/*")
    return folder


def test_what_lies_in_the_folder_is_text_and_never_runs(
    data_dir: Path, start: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    attack = "<img src=x onerror=window.hacked=1>${window.hacked=1}{{window.hacked=1}}`\"'</script><script>"
    folder = data_dir / "replays" / "evil" / "20260101-000000-0123456789ab"
    folder.mkdir(parents=True)
    arm = {"model": attack, "told": 5, "metrics": {"ndcg@10": 0.5}, "unanswered": {attack: 1}}
    live = {
        "format": 1, "id": attack, "state": attack, "plan": {"dataset": attack, "version": attack, "split": attack},
        "began": attack, "updated": attack, "events": 9, "arms": {attack: arm, ":onclick": arm},
        "windows": {attack: [{"at_s": 0.0, "ndcg@10": 0.5}, {"at_s": 1.0, "ndcg@10": 0.6}], ":color": [{"at_s": 1}]},
        "network": {attack: {"in_per_s": 1}},
    }  # fmt: skip
    (folder / "live.json").write_text(json.dumps(live))
    (folder / "report.html").write_text("<script>parent.hacked = top.hacked = 1</script><h1>evil</h1>")
    (trained,) = data_dir.glob("models/*/*/markov-*/trained.json")
    trained.write_text(json.dumps(json.loads(trained.read_text()) | {"page": "javascript:window.hacked=1//"}))
    seen = visit(start(data_dir).url)
    page = seen.page
    assert page.locator("td.model").first.inner_text() == attack
    page.hover("[data-chart=ndcg] canvas", position={"x": 200, "y": 100})
    page.locator(".pick").nth(1).click()
    assert attack in page.locator(".q-menu .q-item").last.inner_text()
    page.keyboard.press("Escape")
    page.click(f"[data-figure={json.dumps(attack + '/told')}]")
    page.wait_for_selector(".step[data-kind=file]")
    assert attack in seen.text(".chain")
    page.keyboard.press("Escape")
    page.wait_for_selector(".chain", state="hidden")
    assert page.locator("a[href^='javascript']").count() == 0
    with page.context.expect_page() as opened:
        page.click("text=Open the report")
    assert opened.value.inner_text("h1") == "evil"
    assert opened.value.evaluate("window.hacked") is None
    assert page.evaluate("window.hacked") is None


def test_it_needs_no_network_and_tells_no_secret(
    data_dir: Path, start: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    mlflow = socket.create_server(("127.0.0.1", 0))
    secrets = write_secrets(data_dir, mlflow.getsockname()[1])
    (trained,) = data_dir.glob("models/*/*/markov-*/trained.json")
    page_there = "http://elsewhere:1/#/experiments/1/runs/0a1b"
    trained.write_text(json.dumps(json.loads(trained.read_text()) | {"page": page_there}))
    seen = visit(start(data_dir).url)  # `visit` looks at whom it asked, in a browser that can reach nobody else
    page = seen.page
    received: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(str(frame))))
    page.reload()
    page.wait_for_selector(".canvas canvas")
    page.click("text=The certificate here")
    page.frame_locator("iframe.frame").locator("h1").wait_for()
    page.locator(".pick").first.click()
    page.wait_for_selector(".q-menu")
    page.keyboard.press("Escape")
    time.sleep(1.5)  # a second's worth of news
    assert len(seen.asked) > 10
    assert any(each.startswith("ws://") for each in seen.asked)
    assert page.evaluate("[...document.fonts].filter(font => font.status == 'error').length") == 0
    told = page.content() + "".join(received)
    assert [secret for secret in secrets if secret in told] == []
    assert seen.troubles == []
    (address,) = page.locator("a", has_text="run").evaluate_all("all => all.map(one => one.href)")
    assert address == f"http://127.0.0.1:{mlflow.getsockname()[1]}/#/experiments/1/runs/0a1b"
    mlflow.close()


def write_secrets(data_dir: Path, mlflow_port: int) -> list[str]:
    from matinee.stack.state import StackState

    state = replace(StackState.make(), mlflow_port=mlflow_port)
    state.write(data_dir / "stack.json")
    return [state.postgres_password, state.s3_access_key, state.s3_secret_key, state.jupyter_token]


def test_commands_that_run_are_seen_with_how_far_they_are(
    data_dir: Path, start: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    import sys

    from matinee.cli.work_note import Noting
    from matinee.schema.progress import Silent

    page = visit(start(data_dir).url).page
    assert page.inner_text(".works") == "No command is at work."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["matinee", "transform", "x"])
        noting = Noting(Silent(), data_dir)
    noting.start("read", 200, "rows")
    noting._written_s = 0.0
    noting.advance(100)
    page.wait_for_selector("[data-stage=transform][data-state=running]")
    assert page.inner_text("[data-stage=transform] .detail") == "read: 100 rows of 200 rows"
    assert page.locator("[data-stage=transform] [role=progressbar]").get_attribute("aria-valuenow") == "0.5"
    assert page.inner_text(".works") == "At work: matinee transform."
    del noting
    page.wait_for_selector("[data-stage=transform][data-state=done]")
