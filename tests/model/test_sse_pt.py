from __future__ import annotations

from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.model.sse_pt import SSEPTSettings


def test_the_published_form() -> None:
    """The flags of the paper's repository for ML-1M; its keep probabilities are thresholds of the same meaning."""
    published = SSEPTSettings.published()
    expected = {
        "maxlen": 200,
        "item_dim": 50,
        "user_dim": 50,
        "blocks": 2,
        "heads": 1,
        "dropout": 0.2,
        "norm": "query",
        "scale": True,
        "loss": "bce",
        "user_keep": 0.08,
        "item_keep": 0.9,
        "target_keep": 0.9,
        "unk_share": 0.0,
        "random_window": 0.0,
    }
    assert {name: getattr(published, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"heads": 3}, "heads = 3: expected a divisor of the 100 dimensions"),
        ({"user_dim": 0}, "user_dim = 0: expected at least 1"),
        ({"maxlen": 0}, "maxlen = 0: expected at least 1"),
        ({"user_keep": 1.1}, "user_keep = 1.1: expected at least 0 and at most 1"),
        ({"dropout": 1.0}, "dropout = 1.0: expected at least 0 and at most 0.99"),
        ({"stranger": "none"}, "stranger = 'none': expected one of mean, unk, clip"),
        ({"norm": "post"}, "norm = 'post': expected one of query, pre"),
        ({"loss": "bpr"}, "loss = 'bpr': expected one of bce, gbce, sampled-softmax, softmax"),
        ({"negatives": 0}, "negatives = 0: expected at least 1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        SSEPTSettings(**wrong)
    assert str(caught.value) == expected
