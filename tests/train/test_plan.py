"""What is said of a training becomes a plan, and its name is of all that decides what comes of it."""

from __future__ import annotations

import pytest

from matinee.errors import UsageError
from matinee.model.recommender import Prior
from matinee.train.plan import Plan, pairs


def test_the_name_is_of_what_decides_and_of_nothing_else() -> None:
    plan = Plan.of("sse-pt", {}, "auto")
    assert Plan.of("sse-pt", {"dropout": "0.3", "epochs": "100"}, "auto").name == plan.name, "the defaults, said"
    assert Plan.of("sse-pt", {"device": "cpu", "save_every_s": 5}, "auto").name == plan.name
    others = [
        Plan.of("sasrec", {}, "auto"),
        Plan.of("sse-pt", {"dropout": 0.4}, "auto"),
        Plan.of("sse-pt", {"seed": 1}, "auto"),
        Plan.of("sse-pt", {}, "off"),
    ]
    assert len({plan.name, *(other.name for other in others)}) == 5
    assert plan.name.startswith("sse-pt-")
    assert len(plan.name) == len("sse-pt-") + 8


def test_every_setting_is_a_parameter_for_mlflow() -> None:
    params = Plan.of("sse-pt", {"dropout": 0.25}, "0.5:7").params
    assert (params["model"], params["dropout"], params["prior"], params["seed"]) == ("sse-pt", "0.25", "0.5:7", "0")
    assert Plan.of("popularity", {}, "auto").params == {"model": "popularity", "prior": "auto"}


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("auto", None),
        ("off", Prior()),
        ("0.5", Prior(0.5)),
        (".5:0.5", Prior(0.5, 43_200)),
        ("2:30", Prior(2.0, 2_592_000)),
    ],
)
def test_a_prior_as_it_is_typed(text: str, prior: Prior | None) -> None:
    assert Plan.of("markov", {}, text).fixed_prior == prior


@pytest.mark.parametrize("text", ["", "-1", "1:", "1:x", "inf", "nan", "0x1", "1:2:3"])
def test_what_is_no_prior(text: str) -> None:
    with pytest.raises(UsageError, match="expected auto, off, WEIGHT or WEIGHT:DAYS"):
        Plan.of("markov", {}, text)


def test_settings_as_they_are_typed() -> None:
    assert pairs(["dropout=0.5", "item-dim = 8", "metric=a=b"]) == {"dropout": "0.5", "item_dim": "8", "metric": "a=b"}
    for text in ("dropout", "=5"):
        with pytest.raises(UsageError, match="expected NAME=VALUE"):
            pairs([text])
