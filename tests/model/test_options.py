from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from matinee.errors import UsageError
from matinee.model.options import divide, settings_from, settings_of
from matinee.model.table import MODELS


@dataclass(frozen=True)
class Every:
    """One setting of each type."""

    heads: int = 1
    dropout: float = 0.5
    scale: bool = True
    note: str = ""
    norm: Literal["pre", "query"] = "pre"
    window_s: int | None = None


@dataclass(frozen=True)
class Training:
    epochs: int = 10
    heads: int = 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Every()),
        ({"heads": "2", "dropout": "1e-1"}, Every(heads=2, dropout=0.1)),
        ({"heads": 2, "dropout": 1}, Every(heads=2, dropout=1.0)),
        ({"scale": "false"}, Every(scale=False)),
        ({"scale": "On"}, Every(scale=True)),
        ({"scale": False}, Every(scale=False)),
        ({"note": "7", "norm": "query"}, Every(note="7", norm="query")),
        ({"window_s": "60"}, Every(window_s=60)),
        ({"window_s": "none"}, Every(window_s=None)),
        ({"window_s": None}, Every(window_s=None)),
    ],
)
def test_texts_and_toml_values_become_what_the_field_is(said: dict[str, object], expected: Every) -> None:
    settings = settings_of(Every, said, "it")
    assert settings == expected
    assert isinstance(settings.dropout, float)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"heads": "two"}, "heads = 'two': expected a whole number"),
        ({"heads": 2.0}, "heads = 2.0: expected a whole number"),
        ({"heads": "1.5"}, "heads = '1.5': expected a whole number"),
        ({"heads": True}, "heads = True: expected a whole number"),
        ({"dropout": "much"}, "dropout = 'much': expected a number"),
        ({"dropout": [0.1]}, "dropout = [0.1]: expected a number"),
        ({"dropout": False}, "dropout = False: expected a number"),
        ({"scale": "maybe"}, "scale = 'maybe': expected true or false"),
        ({"scale": 1}, "scale = 1: expected true or false"),
        ({"note": 7}, "note = 7: expected a text"),
        ({"norm": "post"}, "norm = 'post': expected pre or query"),
        ({"norm": 3}, "norm = 3: expected pre or query"),
        ({"norm": ["pre"]}, "norm = ['pre']: expected pre or query"),
        ({"window_s": "soon"}, "window_s = 'soon': expected a whole number or none"),
        ({"head": 1}, "it has no setting 'head', did you mean 'heads'?; known are heads, dropout, scale, note, norm"),
        ({"zzz": 1}, "it has no setting 'zzz'; known are heads"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(said: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(Every, said, "it")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_model_without_settings_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(MODELS["popularity"], {"window_days": 3})
    assert str(caught.value) == "model popularity has no setting 'window_days'; it has none"


def test_a_range_is_checked_by_the_settings_themselves() -> None:
    with pytest.raises(UsageError, match=r"^smoothing = 0.0: expected at least 0.001"):
        settings_from(MODELS["markov"], {"smoothing": "0"})


def test_each_setting_goes_to_the_first_that_has_it() -> None:
    said = {"heads": "2", "epochs": "3", "scale": "no"}
    assert divide(said, [Every, Training], "it") == [{"heads": "2", "scale": "no"}, {"epochs": "3"}]
    assert divide({"heads": 1}, [Training, Every], "it") == [{"heads": 1}, {}]
    with pytest.raises(UsageError, match=r"^it has no setting 'epoch', did you mean 'epochs'\?; known are heads"):
        divide({"epoch": 1}, [Every, Training], "it")
