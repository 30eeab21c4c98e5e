"""RecTools' SASRec, trained by RecTools on the benchmark's split for a given time.

    .venv-peers/bin/python benchmarks/train_peers/rectools_sasrec.py TASK OUT --seconds 240 --snapshots 6

Loader, model, loss, optimiser and the loop (Lightning's) are RecTools' with its recommended settings, which are the
defaults of `SASRecModel` (softmax over the catalogue, dropout 0.2, batches of 128 sequences). What is ours is a
callback with a clock, and reading its vectors.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from exchange import Clock, Ragged, Task, arguments, left_padded
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import LambdaCallback
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENCODED_AT_ONCE = 1024


def main() -> None:
    """Train, say vectors, write run.json."""
    asked = arguments(__doc__ or "", dim=256, heads=4, blocks=2, maxlen=100, batch=128, dropout=0.2)
    task = Task.read(asked.task)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers")  # recommended is none
    seed_everything(asked.seed)

    def train_started(*_: Any) -> None:
        clock.start()

    def batch_ended(trainer: Trainer, _model: Any, _loss: Any, batch: dict[str, torch.Tensor], _at: int) -> None:
        trainer.should_stop = not clock.tick(len(batch["x"]))

    def get_trainer() -> Trainer:
        # The model copies the trainer deeply before it fits; functions stay the same, so the clock does.
        return Trainer(
            accelerator="cpu", max_epochs=-1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[LambdaCallback(on_train_start=train_started, on_train_batch_end=batch_ended)],
        )  # fmt: skip

    model = SASRecModel(
        n_factors=asked.dim,
        n_heads=asked.heads,
        n_blocks=asked.blocks,
        session_max_len=asked.maxlen,
        batch_size=asked.batch,
        dropout_rate=asked.dropout,
        get_trainer_func=get_trainer,
    )
    vectors = _Vectors(model, task, asked.maxlen)
    clock = Clock(asked.out, asked.seconds, asked.warm_up, asked.snapshots, vectors)
    model.fit(Dataset.construct(_events(task)))
    clock.finish(1.0)


def _events(task: Task) -> pd.DataFrame:
    """A row an event, in which its time is its place in its user's history."""
    lengths = task.train.lengths
    users = np.repeat(task.train.users, lengths)
    times = np.arange(users.size) - np.repeat(task.train.offsets[:-1], lengths)
    return pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: task.train.items,
            Columns.Weight: 1,
            Columns.Datetime: pd.to_datetime(times, unit="s"),
        }
    )


class _Vectors:
    """State and item vectors in the version's ids."""

    def __init__(self, model: SASRecModel, task: Task, maxlen: int) -> None:
        self._model, self._task, self._maxlen = model, task, maxlen

    @torch.no_grad()
    def __call__(self, name: str) -> NDArray[np.float32]:
        network = self._model.torch_model
        network.eval()
        # Items that only lie before everybody's last `maxlen` + 1 events have no row; 0 is padding, in RecTools too.
        rows = self._model.data_preparator.item_id_map.to_internal
        row_of = rows.reindex(range(self._task.items + 1), fill_value=0).to_numpy()
        table = network.item_model.get_all_embeddings()
        if name == "items":
            vectors = network.similarity_module.item_tower_forward(table)[torch.from_numpy(row_of)]
            vectors[row_of == 0] = torch.nan
        else:
            vectors = self._states(self._task.moments[name], table, row_of)
        network.train()
        found: NDArray[np.float32] = vectors.numpy()
        return found

    def _states(self, asked: Ragged, table: torch.Tensor, row_of: NDArray[np.int64]) -> torch.Tensor:
        """As RecTools does it to recommend: the state at the last place of a left-padded session."""
        network = self._model.torch_model
        parts = []
        for rows in np.array_split(np.arange(len(asked.users)), max(1, len(asked.users) // _ENCODED_AT_ONCE)):
            session = torch.from_numpy(row_of[left_padded(asked, rows, self._maxlen)])
            states = network.encode_sessions({"x": session}, table)[:, -1, :]
            parts.append(network.similarity_module.session_tower_forward(states))
        return torch.cat(parts)


if __name__ == "__main__":
    main()
