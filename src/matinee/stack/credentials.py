"""The keys to a stack, for its owner's eyes: the one place where they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matinee.errors import UsageError
from matinee.stack.folders import Folders
from matinee.stack.state import StackState

if TYPE_CHECKING:
    from pathlib import Path

    from matinee.stack.endpoint import Endpoint

__all__ = ["Credentials", "credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in everywhere.

    Attributes:
        postgres_url: the database `matinee`, with user and password.
        s3: endpoint and keys.
        mlflow_url: needs no key; who reaches it may use it.
        jupyter_url: with its token.
    """

    postgres_url: str = field(repr=False)
    s3: Endpoint
    mlflow_url: str
    jupyter_url: str = field(repr=False)


def credentials(*, data_dir: str | Path = "matinee-data") -> Credentials:
    """The credentials of a stack, whether it runs or not.

    Args:
        data_dir: the data folder whose stack is meant.

    Raises:
        UsageError: none was ever started there.
        ServiceError: the file that holds them is damaged, of a newer version, or another user's.
    """
    folders = Folders.of(data_dir)
    state = StackState.read(folders.state)
    if state is None:
        raise UsageError(f"{folders.root}: no stack was ever started here; 'matinee up' makes credentials")
    return Credentials(state.postgres_url, state.s3, state.mlflow_url, state.jupyter_login_url)
