"""RecBole's SASRec, trained by RecBole on the benchmark's split for a given time.

    .venv-peers/bin/python benchmarks/train_peers/recbole_sasrec.py TASK OUT --seconds 240 --snapshots 6

Loader, model, loss, optimiser and training step are RecBole's with its recommended settings (properties/model/
SASRec.yaml: cross-entropy over the catalogue, dropout 0.5, batches of 2,048 rows). RecBole gets `train` alone, so
that it has nothing to leak; what is ours is the clock between its batches, and reading its vectors.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from exchange import Clock, Ragged, Task, arguments, right_padded
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

_NAME = "matinee"
_ENCODED_AT_ONCE = 1024


class Timed:
    """RecBole's loader, which tells the clock after each batch and runs dry when the time is over."""

    def __init__(self, loader: TrainDataLoader, clock: Clock) -> None:
        self._loader, self._clock, self.more = loader, clock, True

    def __getattr__(self, name: str) -> Any:
        """The trainer asks the loader for its sizes and settings, too."""
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            yield batch
            self.more = self._clock.tick(len(batch))  # the trainer is back for the next, so this one has been trained
            if not self.more:
                return


def main() -> None:
    """Train, say vectors, write run.json."""
    asked = arguments(__doc__ or "", dim=64, heads=2, blocks=2, maxlen=50, batch=2048, dropout=0.5)
    task = Task.read(asked.task)
    asked.out = asked.out.absolute()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it leaves logs where it runs
        _write_log(task, Path(folder))
        config = _config(asked, folder)
        dataset = create_dataset(config)
        train, _, _ = dataset.build()
        loader = TrainDataLoader(config, train, None, shuffle=True)
        init_seed(config["seed"], config["reproducibility"])
        model = SASRec(config, loader.dataset).to(config["device"])
        trainer = Trainer(config, model)
        # torch.optim's default beta2 and no schedule are RecBole's own.
        vectors = _Vectors(model, dataset, task, asked.maxlen)
        clock = Clock(asked.out, asked.seconds, asked.warm_up, asked.snapshots, vectors)
        timed = Timed(loader, clock)
        epoch = 0
        clock.start()
        while timed.more:
            trainer._train_epoch(timed, epoch)  # noqa: SLF001 - fit() has no way to stop inside an epoch
            epoch += 1
    clock.finish(len(task.train.users) / len(train), rows_an_epoch=len(train), epochs_begun=epoch)


def _write_log(task: Task, folder: Path) -> None:
    """An atomic file of RecBole's, in which an event's time is its place in its user's history."""
    (folder / _NAME).mkdir()
    lengths = task.train.lengths
    users = np.repeat(task.train.users, lengths)
    times = np.arange(users.size) - np.repeat(task.train.offsets[:-1], lengths)
    np.savetxt(
        folder / _NAME / f"{_NAME}.inter",
        np.column_stack((users, task.train.items, times)),
        fmt="%d",
        delimiter="\t",
        header="user_id:token\titem_id:token\ttimestamp:float",
        comments="",
    )


def _config(asked: argparse.Namespace, folder: str) -> Config:
    settings = {
        "data_path": folder,
        "checkpoint_dir": folder,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
        "seed": asked.seed,
        # All rows are for training; the splits for validation and test are the benchmark's.
        "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": "none", "mode": "full"},
        "train_neg_sample_args": None,  # as RecBole asks for with the loss 'CE'
        "train_batch_size": asked.batch,
        "MAX_ITEM_LIST_LENGTH": asked.maxlen,
        "hidden_size": asked.dim,
        "inner_size": 4 * asked.dim,  # 256 at 64, as recommended
        "n_heads": asked.heads,
        "n_layers": asked.blocks,
        "hidden_dropout_prob": asked.dropout,
        "attn_dropout_prob": asked.dropout,
    }
    sys.argv = sys.argv[:1]  # Config would read our arguments as its own
    config = Config(model="SASRec", dataset=_NAME, config_dict=settings)
    logging.getLogger().setLevel(logging.WARNING)
    return config


class _Vectors:
    """State and item vectors in the version's ids."""

    def __init__(self, model: SASRec, dataset: Any, task: Task, maxlen: int) -> None:
        self._model, self._moments, self._maxlen = model, task.moments, maxlen
        known = np.unique(task.train.items)
        self._row_of = np.zeros(task.items + 1, np.int64)
        self._row_of[known] = dataset.token2id("item_id", known.astype(str))

    @torch.no_grad()
    def __call__(self, name: str) -> NDArray[np.float32]:
        self._model.eval()
        if name == "items":
            vectors = self._model.item_embedding.weight[torch.from_numpy(self._row_of)]
            vectors[self._row_of == 0] = torch.nan
        else:
            vectors = self._states(self._moments[name])
        self._model.train()
        found: NDArray[np.float32] = vectors.numpy()
        return found

    def _states(self, asked: Ragged) -> torch.Tensor:
        parts = []
        for rows in np.array_split(np.arange(len(asked.users)), max(1, len(asked.users) // _ENCODED_AT_ONCE)):
            items, lengths = right_padded(asked, rows, self._maxlen)
            lengths = np.maximum(lengths, 1)  # no history at all is one of padding
            parts.append(self._model(torch.from_numpy(self._row_of[items]), torch.from_numpy(lengths)))
        return torch.cat(parts)


if __name__ == "__main__":
    main()
