"""The stage `replay` but for its report: from a version, a plan and arms to journals of all that happened."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from matinee.errors import DiskFullError, ReplayError, UsageError
from matinee.model.atomic import make_folder
from matinee.replay.find import REPLAYS
from matinee.replay.folder import FINISHED, SERVER_LOG, Record, alone, choose, new_id, read_or_say, tidied
from matinee.replay.plan import Arm
from matinee.schema.layout import SPLITS
from matinee.schema.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from matinee.replay.address import Address
    from matinee.replay.against import Against
    from matinee.replay.clock import Clock
    from matinee.replay.lane import Lane
    from matinee.replay.plan import Plan
    from matinee.replay.servers import Starting
    from matinee.replay.stream import Stream
    from matinee.version import Version

__all__ = ["Begun", "Played", "Watch", "check", "play"]


@dataclass(frozen=True)
class Begun:
    """A session that begins, for those who look on.

    Attributes:
        folder: of the replay.
        record: what is known of it; its last session is this one.
        stream: what is played.
    """

    folder: Path
    record: Record
    stream: Stream = field(repr=False)


@dataclass(frozen=True)
class Played:
    """What came of a replay.

    Attributes:
        folder: with its journals.
        record: what is known of it.
        stream: what was played; None where it had been finished before.
    """

    folder: Path
    record: Record
    stream: Stream | None = field(repr=False)


# Entered when a session begins; sees by what it is left with how the session has ended.
Watch: TypeAlias = "Callable[[Begun], AbstractContextManager[object]]"


def play(
    version: Version,
    plan: Plan,
    arms: Sequence[Against],
    *,
    data_dir: Path,
    out: Path | None = None,
    again: bool = False,
    workers: int = 1,
    token: str | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Played:
    """Play the plan through all arms; what was begun before is taken up, and what is finished is left alone.

    Args:
        version: with the events.
        plan: what is played.
        arms: one or more, with names of their own.
        data_dir: where replays are kept, and whose Postgres is behind servers that are started.
        out: the replay's folder; None is a new one below `data_dir`, or that of the same replay which was interrupted.
        again: begin a new replay although this one is finished, or interrupted.
        workers: processes of each server that is started.
        token: that servers which run already need.
        watch: who looks on.
        progress: told how far it is.

    Raises:
        UsageError: the arms cannot be, `out` holds something else, or another process plays the same.
        ReplayError: a library is missing, or a server does not start, answer, or take events.
        ModelMismatchError: a model was not trained on this version.
        VersionError, ServiceError, DatabaseError, DiskFullError: see the stages.
        KeyboardInterrupt: it was stopped, and everything that had begun was done; the same call goes on.
    """
    _require_libraries()
    check(version, arms, workers)
    fingerprint = plan.fingerprint([arm.word for arm in arms])
    folder = choose(data_dir.expanduser().absolute() / REPLAYS / version.name, fingerprint, out, again=again)
    make_folder(folder)
    with alone(folder), tidied(folder):
        record = read_or_say(folder, out)
        if record is not None and record.is_finished:
            return Played(folder, record, None)
        from matinee.replay.journal import check_records  # noqa: PLC0415 - a finished replay needs no events
        from matinee.replay.stream import read_stream  # noqa: PLC0415 - as above

        stream = read_stream(version, plan)
        for arm in record.arms if record else ():
            check_records(folder, arm.name, plan.k, stream.asked_from, len(stream))
        session = _Session(version, plan, arms, stream, folder, token, progress or Silent())
        with ExitStack() as stack:
            id_ = record.id if record else new_id(fingerprint) if out else folder.name
            session.reach(stack, id_, data_dir.expanduser().absolute(), workers)
            record = session.begin(record, id_)
            return Played(folder, session.play(record, watch or nullcontext), stream)


def check(version: Version, arms: Sequence[Against], workers: int) -> None:
    """See that the arms can be told from each other, and that their models belong to the version.

    Raises:
        UsageError: there is none, or two have one name, or their servers have no process.
        ModelMismatchError: a model was not trained on this version.
    """
    from matinee.model.checkpoint import check_matches, read_facts  # noqa: PLC0415 - see play

    names = [arm.name for arm in arms]
    if not names:
        raise UsageError("whom to replay against is missing: give --against or --arm")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two arms are called {name}; name each with --arm NAME=...")
    if workers < 1:
        raise UsageError(f"workers is {workers}, expected 1 or more")
    for arm in arms:
        if arm.folder:
            check_matches(read_facts(arm.folder), version.manifest.users, version.manifest.items)


def _require_libraries() -> None:
    try:
        import httptools  # noqa: F401, PLC0415 - looked for before anything is started
        import msgspec  # noqa: F401, PLC0415 - as above
        import uvloop  # noqa: F401, PLC0415 - as above
    except ImportError as error:
        raise ReplayError(f"a replay needs {error.name}; pip install 'matinee[serve]'") from None


class _Session:
    """One process' work on a replay."""

    def __init__(
        self,
        version: Version,
        plan: Plan,
        arms: Sequence[Against],
        stream: Stream,
        folder: Path,
        token: str | None,
        progress: Progress,
    ) -> None:
        self._version, self._plan, self._arms, self._stream = version, plan, arms, stream
        self._folder, self._token, self._progress = folder, token, progress
        self._servers: list[Starting] = []
        self._addresses: dict[str, Address] = {}
        self._titles: dict[str, str] = {}

    def reach(self, stack: ExitStack, id_: str, data_dir: Path, workers: int) -> None:
        """Every arm's server answers; those that are started here are stopped when the stack is left."""
        from matinee.replay.address import Address  # noqa: PLC0415 - see play
        from matinee.replay.servers import Starting, look_at  # noqa: PLC0415 - see play

        starting = {}
        if any(arm.folder for arm in self._arms):
            from matinee.stack import running  # noqa: PLC0415 - servers that run already have a Postgres of their own

            # Held here, so that the servers find it up whichever of them comes first.
            stack.enter_context(running(data_dir, ["postgres"], progress=self._progress))
        for arm in self._arms:
            if arm.folder:
                past = SPLITS[SPLITS.index(self._plan.split) - 1]
                log = self._folder / f"{arm.name}{SERVER_LOG}"
                starting[arm.name] = Starting(
                    arm.name, arm.folder, self._version.folder, past, f"{id_}-{arm.name}", workers, data_dir, log
                )
                stack.callback(starting[arm.name].stop)
        self._servers = [*starting.values()]
        for arm in self._arms:
            address = Address.of(starting[arm.name].url() if arm.folder else arm.url)
            self._addresses[arm.name] = address
            self._titles[arm.name] = look_at(arm.name, address, self._token_of(arm))

    def begin(self, record: Record | None, id_: str) -> Record:
        """The session is on record."""
        from matinee.replay.journal import asked_records  # noqa: PLC0415 - see play
        from matinee.replay.servers import check_histories  # noqa: PLC0415 - see play

        for arm in self._arms:
            if not asked_records(self._folder, arm.name, self._plan.k).size and self._is_untold(record):
                address, token = self._addresses[arm.name], self._token_of(arm)
                check_histories(arm.name, address, token, self._version, self._plan, self._stream)
        if self._version.certificate.split != "time":
            self._progress.say(f"{self._version.name} is not split by time: histories may hold what lies ahead")
        if record is None:
            record = Record.new(id_, self._plan, [self._arm(arm, id_) for arm in self._arms])
        else:
            self._progress.say(f"replay {id_} was stopped before; it goes on from there")
        record = record.begun()
        record.write(self._folder)
        return record

    def play(self, record: Record, watch: Watch) -> Record:
        """To the end, which is written down whatever it is."""
        from matinee.replay.clock import Clock  # noqa: PLC0415 - see play
        from matinee.replay.event_loop import run_in_loop  # noqa: PLC0415 - see play
        from matinee.replay.run import Run  # noqa: PLC0415 - see play

        run: Run | None = None
        clock = Clock()
        try:
            with watch(Begun(self._folder, record, self._stream)):
                lanes = [self._lane(arm, record, clock) for arm in record.arms]
                run = Run(lanes, self._stream, self._plan, clock, check=self._check, progress=self._progress)
                run_in_loop(run)
                if any(lane.told < lane.all for lane in lanes):
                    raise KeyboardInterrupt  # noqa: TRY301 - what had begun is done; the watchers see this end as well
        except BaseException as error:
            is_asked_for = isinstance(error, KeyboardInterrupt)
            why, detail = ("interrupted", "") if is_asked_for else ("failed", f"{type(error).__name__}: {error}")
            with suppress(DiskFullError):  # what went wrong first is what is told
                record.ended(why, detail, run.facts.as_json() if run else None).write(self._folder)
            raise
        record = record.ended(FINISHED, client=run.facts.as_json())
        record.write(self._folder)
        return record

    def _lane(self, arm: Arm, record: Record, clock: Clock) -> Lane:
        from matinee.replay.client import Pool  # noqa: PLC0415 - see play
        from matinee.replay.lane import Lane  # noqa: PLC0415 - see play
        from matinee.replay.words import Words  # noqa: PLC0415 - see play

        plan, address = self._plan, self._addresses[arm.name]
        token = None if arm.folder else self._token
        pool = Pool(address, plan.connections, plan.time_limit_s, clock)
        words = Words(address, self._stream, plan, self._version.raw_items, arm.teller, token)
        session = len(record.sessions) - 1
        return Lane(arm.name, self._stream, plan, self._folder, pool, words, session)

    def _arm(self, arm: Against, id_: str) -> Arm:
        return Arm(
            name=arm.name,
            model=self._titles[arm.name],
            folder=str(arm.folder or ""),
            checkpoint_sha256=arm.checkpoint_sha256,
            log=f"{self._version.name}/{id_}-{arm.name}" if arm.folder else "",
            teller=str(uuid4()),
        )

    def _token_of(self, arm: Against) -> str | None:
        return None if arm.folder else self._token

    def _is_untold(self, record: Record | None) -> bool:
        """Whether no session has told what comes before the first question."""
        return record is None or not self._stream.asked_from

    def _check(self) -> None:
        for server in self._servers:
            server.check()
