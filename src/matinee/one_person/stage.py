"""The verb `person`: find the replay or the server, the version and the titles, draw somebody, and look."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from matinee.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matinee.one_person.sources import FromReplay, FromServer
    from matinee.one_person.view import Person
    from matinee.version import Version

__all__ = ["person"]

_ARCHIVES = "archives"  # in the data folder


def person(
    user: int | str | None = None,
    *,
    replay: str | Path | None = None,
    against: str | None = None,
    version: str | Path | None = None,
    split: Literal["eval", "test"] = "eval",
    warm: bool | None = None,
    seed: int = 0,
    first: int = 1,
    steps: int = 5,
    last: int = 5,
    k: int = 10,
    token_file: Path | None = None,
    data_dir: str | Path = "matinee-data",
) -> Person:
    """Look at one person: event by event what they had taken, what was offered, and what they took next.

    Args:
        user: raw id; None draws somebody.
        replay: the folder or the id (or its beginning) of a replay; None, without `against`, is the newest one.
        against: the address of a server, which is asked now instead; it is told nothing.
        version: whose events are stepped through; None is the replay's, or the one that the server serves where it
            runs on this machine, or the newest one.
        split: which of them; of a replay it is the replay's.
        warm: draw somebody whom training has seen (True), or a stranger (False).
        seed: of the draw.
        first: begin with this event of the person in the split, from 1.
        steps: at most so many events.
        last: so many titles of a history.
        k: length of a list that a server is asked for; a replay's are as long as they are.
        token_file: with the token that the server needs.
        data_dir: where replays, versions and archives are.

    Raises:
        UsageError: there is no such person, or `replay` and `against` are both given.
        ReplayError: no such replay.
        ServiceError: the server does not answer.
        VersionError, StoreError: the version is not here and cannot be had.
    """
    from matinee.etl.titles import read_titles  # noqa: PLC0415 - `import matinee` must stay light
    from matinee.one_person.view import draw, look_at  # noqa: PLC0415 - as above

    if replay is not None and against is not None:
        raise UsageError("replay and against are both given; offers come from one or the other")
    data_dir = Path(data_dir)
    if against is None:
        opened: AbstractContextManager[FromReplay | FromServer] = nullcontext(_replayed(replay, version, data_dir))
    else:
        opened = _served(against, version, split, k, token_file, data_dir)
    with opened as source:
        titles = read_titles(source.version, archives=data_dir / _ARCHIVES)
        if user is None:
            user = draw(source, warm=warm, seed=seed)
        return look_at(source, user, titles, first=first, steps=steps, last=last)


def _replayed(replay: str | Path | None, version: str | Path | None, data_dir: Path) -> FromReplay:
    from matinee.one_person.sources import FromReplay  # noqa: PLC0415 - see person
    from matinee.replay.find import find_replay  # noqa: PLC0415 - see person
    from matinee.replay.folder import Record  # noqa: PLC0415 - see person

    folder = find_replay(replay, data_dir, otherwise="or ask a server with --against URL")
    record = Record.read(folder)
    if record is not None and version is None:
        version = f"{record.plan.dataset}@{record.plan.version}"
    return FromReplay(folder, _version(version, data_dir))


def _served(
    url: str,
    version: str | Path | None,
    split: Literal["eval", "test"],
    k: int,
    token_file: Path | None,
    data_dir: Path,
) -> FromServer:
    from matinee.one_person.sources import FromServer  # noqa: PLC0415 - see person
    from matinee.replay.address import Address  # noqa: PLC0415 - see person
    from matinee.serve.address import read_token  # noqa: PLC0415 - see person
    from matinee.serve.board import Board  # noqa: PLC0415 - see person
    from matinee.serve.stage import BOARDS  # noqa: PLC0415 - see person

    address = Address.of(url)
    if version is None:
        for _, facts in Board.all(data_dir / BOARDS):
            if Address.of(facts.url).port == address.port:
                version = f"{facts.log.partition('/')[0]}@{facts.version}"
    token = None if token_file is None else read_token(token_file)
    return FromServer(url, _version(version, data_dir), split, k=k, token=token)


def _version(version: str | Path | None, data_dir: Path) -> Version:
    from matinee.place import find_version_folder  # noqa: PLC0415 - see person
    from matinee.version import open_version  # noqa: PLC0415 - see person

    return open_version(find_version_folder(version, data_dir))
