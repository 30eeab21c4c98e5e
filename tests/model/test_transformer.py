from __future__ import annotations

import pytest
import torch

from matinee.model import transformer
from matinee.model.transformer import Block, take_last


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(4, 6, 8, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["query", "pre"])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("inner", [1, 3])
def test_the_last_position_alone_is_that_of_all(
    x: torch.Tensor, norm: transformer.Norm, heads: int, inner: int
) -> None:
    block = Block(8, heads, 0.5, norm, inner).double().eval()
    lengths = torch.tensor([6, 1, 3, 5])
    torch.testing.assert_close(block.last(x, lengths), take_last(block(x), lengths))


@pytest.mark.parametrize("norm", ["query", "pre"])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_written_out_is_torchs(
    x: torch.Tensor, norm: transformer.Norm, heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training on a CPU attention takes another way, for the sake of cheap dropout; here nothing is dropped."""
    block = Block(8, heads, 0.5, norm).double()
    monkeypatch.setattr(transformer, "dropout", lambda y, _share, _training: y)
    with torch.no_grad():
        torch.testing.assert_close(block.train()(x), block.eval()(x))


def test_dropout_changes_training_only(x: torch.Tensor) -> None:
    block = Block(8, 2, 0.5, "pre").double()
    with torch.no_grad():
        assert not torch.equal(block(x), block(x))
        block.eval()
        assert torch.equal(block(x), block(x))


def test_take_last() -> None:
    x = torch.arange(12).view(2, 3, 2)
    assert take_last(x, torch.tensor([3, 1])).tolist() == [[4, 5], [6, 7]]
