"""A model that nobody foresaw: a short file and a row in the table, and it does what all models do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pytest

from matinee.model.table import MODELS, ModelEntry, find_model
from model_behaviour import Behaviour

HERE = Path(__file__).parent
ENTRY = ModelEntry("soon-after", "example_model:SoonAfter", "SoonAfterSettings", "what came soon after the last item")


class TestNewModel(Behaviour):
    ORDERED: ClassVar[frozenset[str]] = frozenset({ENTRY.name})

    @pytest.fixture(autouse=True)
    def entry(self, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
        monkeypatch.syspath_prepend(str(HERE))
        monkeypatch.setitem(MODELS, ENTRY.name, ENTRY)
        return find_model("soon-after")


def test_it_is_short() -> None:
    assert len((HERE / "example_model.py").read_text().splitlines()) < 60


def test_the_documentation_shows_it_whole() -> None:
    page = (HERE.parent.parent / "docs" / "models.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert (HERE / "example_model.py").read_text() in code
