from __future__ import annotations

from dataclasses import fields

import pytest

from matinee.errors import UsageError
from matinee.model.sasrec import SASRecSettings


def test_it_has_no_settings_of_people() -> None:
    assert not {"user_dim", "user_keep", "stranger"} & {field.name for field in fields(SASRecSettings)}
    with pytest.raises(TypeError):
        SASRecSettings(user_dim=5)  # type: ignore[call-arg]


def test_heads_divide_the_item_half_alone() -> None:
    SASRecSettings(item_dim=6, heads=3)
    with pytest.raises(UsageError, match="heads = 4: expected a divisor of the 6 dimensions"):
        SASRecSettings(item_dim=6, heads=4)
