"""Every model of the table against the shared set of tests."""

from __future__ import annotations

import pytest

from matinee.model.table import MODELS
from model_behaviour import Behaviour


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
class TestEveryModel(Behaviour):
    pass
