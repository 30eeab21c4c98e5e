"""Where each file of a version lies, relative to the version's folder; the same here and in a store."""

from __future__ import annotations

from typing import Final, Literal

__all__ = [
    "CERTIFICATE",
    "CERTIFICATE_PAGE",
    "FOLDS",
    "ITEM_IDS",
    "LATEST",
    "MANIFEST",
    "RAW",
    "REJECTS",
    "RUN",
    "SPLITS",
    "USER_IDS",
    "VERSIONS",
    "Split",
    "events_path",
    "sequence_path",
    "text_path",
]

Split = Literal["train", "eval", "test"]

SPLITS: Final[tuple[Split, Split, Split]] = ("train", "eval", "test")

LATEST = "LATEST"
VERSIONS = "versions"

MANIFEST = "manifest.json"
CERTIFICATE = "certificate.json"
CERTIFICATE_PAGE = "certificate.html"
REJECTS = "rejects.csv"
RUN = "run.json"
FOLDS = "folds.json"
RAW = "raw"
USER_IDS = "ids/users.parquet"
ITEM_IDS = "ids/items.parquet"

_FOLDERS: Final[dict[Split, str]] = {"train": "training", "eval": "evaluation", "test": "testing"}


def text_path(name: str, split: Split) -> str:
    """'training/NAME_train.txt' and so on: user<TAB>item, dense ids, chronological."""
    return f"{_FOLDERS[split]}/{name}_{split}.txt"


def events_path(split: Split) -> str:
    """'events/train.parquet' and so on: user, item, rating, timestamp, chronological."""
    return f"events/{split}.parquet"


def sequence_path(split: Split, part: Literal["offsets", "items"]) -> str:
    """'sequences/train/offsets.npy' and so on: items of user u are items[offsets[u]:offsets[u + 1]]."""
    return f"sequences/{split}/{part}.npy"
