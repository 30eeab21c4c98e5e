from __future__ import annotations

from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.train.train_settings import TrainSettings


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"epochs": 0}, "epochs = 0: expected at least 1"),
        ({"batch_size": 0}, "batch_size = 0: expected at least 1"),
        ({"patience": 0}, "patience = 0: expected at least 1"),
        ({"validate_every": 0}, "validate_every = 0: expected at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: expected at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan: expected at least 0"),
        ({"clip_norm": -0.5}, "clip_norm = -0.5: expected at least 0"),
        ({"beta2": 1.0}, "beta2 = 1.0: expected at least 0 and at most 0.999999"),
        ({"average": 1.5}, "average = 1.5: expected at least 0 and at most 1"),
        ({"seed": -1}, "seed = -1: expected at least 0 and at most 4611686018427387904"),
        ({"schedule": "steps"}, "schedule = 'steps': expected one of constant, linear, cosine"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainSettings(**wrong)
    assert str(caught.value) == expected
