"""Adam for all of a network: lazy where a gradient is sparse, fused where it is dense; one schedule, one clipping."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from matinee.train.train_settings import TrainSettings

__all__ = ["Optimiser"]

_BETA1 = 0.9
_LEAST_RATE = 0.05  # where a falling schedule ends, as a share of the learning rate


class Optimiser:
    """Adam over a network.

    A row of an embedding that a batch did not touch keeps its moments (lazy Adam): a step costs what the batch holds,
    not what the catalogue holds.

    Args:
        network: its parameters.
        settings: learning rate, schedule, clipping.
        steps: of the whole training, for the schedule.
    """

    def __init__(self, network: nn.Module, settings: TrainSettings, steps: int) -> None:
        self._settings = settings
        self._steps = steps
        rows = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding) and m.sparse}
        self._sparse = [p for p in network.parameters() if id(p) in rows]
        self._dense = [p for p in network.parameters() if id(p) not in rows]
        betas = (_BETA1, settings.beta2)
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.Adam(self._dense, settings.learning_rate, betas, fused=True)
        ]
        if self._sparse:
            self._parts.append(torch.optim.SparseAdam(self._sparse, settings.learning_rate, betas))

    def rate(self, step: int) -> float:
        """The learning rate at a step, from 0."""
        peak, warmup = self._settings.learning_rate, self._settings.warmup_steps
        if step < warmup:
            return peak * (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self._steps - warmup))
        match self._settings.schedule:
            case "linear":
                return peak * (1 - (1 - _LEAST_RATE) * done)
            case "cosine":
                return peak * (_LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2)
            case _:
                return peak

    def step(self, step: int) -> None:
        """Clip the gradients, change the weights, forget the gradients."""
        if self._settings.clip_norm:
            self._clip(self._settings.clip_norm)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self.rate(step)
            part.step()
            part.zero_grad()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Moments and counts of steps, by place."""
        found = {}
        for number, part in enumerate(self._parts):
            for place, state in part.state_dict()["state"].items():
                for name, value in state.items():
                    found[f"{number}.{place}.{name}"] = torch.as_tensor(value).cpu().numpy()
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave.

        Raises:
            ValueError, KeyError: they are of another network.
        """
        for number, part in enumerate(self._parts):
            states: dict[int, dict[str, Any]] = {}
            for key, array in arrays.items():
                where, place, name = key.split(".", 2)
                if int(where) == number:
                    # SparseAdam counts its steps in a plain number.
                    value = int(array) if number and name == "step" else torch.tensor(array)
                    states.setdefault(int(place), {})[name] = value
            # Checked here: PyTorch takes any, and its fused Adam would write beyond moments that are too small.
            expected = {place: weights.shape for place, weights in enumerate(part.param_groups[0]["params"])}
            for name in ("exp_avg", "exp_avg_sq"):
                if {place: state[name].shape for place, state in states.items()} != expected:
                    raise ValueError(f"moments {name} are not of this network's shapes")
            part.load_state_dict({**part.state_dict(), "state": states})

    def _clip(self, most: float) -> None:
        """Scale all gradients down where their norm together is larger than `most`."""
        for parameter in self._sparse:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.coalesce()
        values = [_values(p.grad) for p in (*self._dense, *self._sparse) if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values)))  # noqa: SLF001 - as torch's own clipping does
        torch._foreach_mul_(values, (most / (norm + 1e-6)).clamp(max=1.0))


def _values(gradient: Tensor) -> Tensor:
    return gradient._values() if gradient.is_sparse else gradient  # noqa: SLF001 - values() would give a copy
