"""Says what RecBole makes of exported files, as JSON; run by RecBole's own Python, which has no Matinee."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")  # RecBole's and its pandas' own

from recbole.config import Config  # noqa: E402 - warns when imported
from recbole.data import create_dataset  # noqa: E402

place, name, *columns = sys.argv[1:]
sys.argv = sys.argv[:1]  # RecBole reads it too
usual = {
    "data_path": place,
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "RATING_FIELD": "rating",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": columns},
    "state": "ERROR",
    "save_dataset": False,
}


def built(model: str, **more: Any) -> Any:
    """A data set and its train, valid and test, as RecBole gives them to that model."""
    dataset = create_dataset(Config(model=model, dataset=name, config_dict={**usual, **more}))
    return dataset, dataset.build()


def tokens(dataset: Any, field: str, values: Any) -> list[int]:
    """As in the files."""
    return [int(token) for token in dataset.id2token(field, values.numpy())]


dataset, parts = built("BPR", benchmark_filename=["train", "valid", "test"])
splits = [
    list(zip(*(tokens(dataset, field, part.inter_feat[field]) for field in ("user_id", "item_id")), strict=True))
    for part in parts
]
numbers = {name: [part.inter_feat[name].tolist() for part in parts] for name in columns[2:]}

cut = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
dataset, (_, _, test) = built("SASRec", train_neg_sample_args=None, eval_args=cut)
last = test.inter_feat
histories = {
    user: [*tokens(dataset, "item_id", items[:length]), target]
    for user, items, length, target in zip(
        tokens(dataset, "user_id", last["user_id"]),
        last["item_id_list"],
        last["item_length"].tolist(),
        tokens(dataset, "item_id", last["item_id"]),
        strict=True,
    )
}
sys.stdout.write(json.dumps({"splits": splits, "numbers": numbers, "histories": histories}) + "\n")
