"""The page of a report: that its numbers are the report's, that it renders whatever happened, and loads nothing."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from matinee.replay import plots, show
from matinee.replay.plan import Arrivals, Plan
from matinee.replay.report import make_report
from matinee.replay.report_page import render_page
from page_outline import Outline, loads_nothing
from replayed import PLAN, lively_stream, replayed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Facts = dict[str, Any]
FORMS: list[tuple[str, Callable[[Any], str]]] = [
    (r".*/(difference|low|high)", show.signed),
    (r".*@\d+|.*/p", show.quality),
    (r".*/latency_ms/.*", show.ms),
    (r".*/per_s|client/.*", show.rate),
    (r".*", show.count),
]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Two arms, some questions without an answer."""
    return _facts(tmp_path_factory.mktemp("two"), arms={"one": 0.3, "two": 0.1}, unanswered=60)


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take most of a page's time, and say nothing of its words."""
    for name in ("drawn", "variants"):
        monkeypatch.setattr(plots, name, lambda *_: "<svg></svg>")


def _facts(folder: Path, *, events: int = 300, **how: Any) -> Facts:
    stream = lively_stream(events)
    replayed(folder, stream, **how)
    return make_report(folder, stream).facts


@pytest.mark.usefixtures("unplotted")
def test_each_number_is_the_reports(facts: Facts) -> None:
    numbers = Outline(render_page(facts)).numbers
    for path, written in numbers:
        value: Any = facts
        for name in path.split("/"):
            value = value[name]
        form = next(form for pattern, form in FORMS if re.fullmatch(pattern, path))
        assert written == form(value), path
    shown = {path for path, _ in numbers}
    for name in ("one", "two"):
        for figure in ("metrics/ndcg@10", "cold_users/metrics/ndcg@10", "latency_ms/ask/p99", "per_s", "told", "late"):
            assert f"arms/{name}/{figure}" in shown
    assert "differences/two/ndcg@10/p" in shown


@pytest.mark.parametrize(
    "how",
    [
        {"why": None, "arms": {"one": 0.3, "two": 0.1}},
        {"events": 1},
        {"unanswered": 1},
        {"arms": {f"arm.{at}": 0.1 for at in range(8)}, "events": 60},
        {"plan": Plan("toy", "0123456789abcdef", "00", split="test", k=3)},
        {"plan": Plan("toy", "0123456789abcdef", "00", arrivals=Arrivals(speed=1000.0, max_gap_s=2.0))},
    ],
    ids=["two arms, killed", "one event", "no answer", "eight arms", "as fast as possible", "as the log says"],
)
def test_whatever_happened_gives_a_well_formed_page(tmp_path: Path, how: Any) -> None:
    page = render_page(_facts(tmp_path, **how))
    Outline(page).check()
    loads_nothing(page)
    assert page.count("<svg") == page.count('role="img"') == page.count("<desc") > 5
    assert not re.search(r"\bnan\b|\bNone\b", page)


@pytest.mark.usefixtures("unplotted")
def test_the_headline_says_how_it_went(facts: Facts, tmp_path: Path) -> None:
    assert ">Every question was answered<" in render_page(_facts(tmp_path / "all"))
    assert ">1.7% of the questions had no answer<" in render_page(facts)
    assert ">Not finished: interrupted<" in render_page(facts | {"state": "interrupted"})
    client = facts["client"] | {"kept_up": False, "complaints": ["the client could not keep up: so it is"]}
    assert ">The client could not keep up<" in render_page(facts | {"client": client})


@pytest.mark.usefixtures("unplotted")
def test_texts_cannot_become_markup(facts: Facts) -> None:
    hostile = "<script>alert(1)</script>\"'&\x00\ud800"
    facts = copy.deepcopy(facts)
    for name in ("id", "dataset", "version", "split", "version_sha256", "state"):
        facts[name] = hostile
    facts["warnings"] = [hostile]
    facts["machine"] = {hostile: hostile}
    facts["arms"]["one"]["model"] = facts["arms"]["one"]["models"][0]["title"] = hostile
    facts["sessions"][0] |= {"began": hostile, "why": hostile, "detail": hostile}
    facts["network"] = {hostile: {"in_bytes": 1, "out_bytes": 2}}
    facts["arms"] = {hostile: facts["arms"]["one"], "two": facts["arms"]["two"]}
    facts["windows"] = {hostile: facts["windows"]["one"], "two": facts["windows"]["two"]}
    facts["differences"] = {}
    page = render_page(facts)
    assert "<script" not in page
    assert not re.search("[\x00\ud800]", page)
    assert Outline(page).open == []


def test_arrivals_are_told_in_words() -> None:
    assert show.arrivals(PLAN.as_json()) == "100 events a second"
    plan = Plan("toy", "0", "0", arrivals=Arrivals(speed=1000.0, max_gap_s=2.5))
    assert show.arrivals(plan.as_json()) == "as the log says, 1000 times as fast, no pause longer than 2.5 s"
    assert show.arrivals(Plan("toy", "0", "0").as_json()) == "as fast as possible over 32 connections"


@pytest.mark.parametrize(
    ("value", "written"), [(None, "\u2013"), (0.123, "0.12"), (45.67, "45.7"), (678.9, "679"), (12_345.6, "12,346")]
)
def test_milliseconds_have_three_digits(value: float | None, written: str) -> None:
    assert show.ms(value) == written
