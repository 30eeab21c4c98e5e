"""The services of the stack in one table: what each needs, how it is made ready, run and asked whether it is well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from matinee.errors import UsageError
from matinee.stack import jupyter, mlflow, postgres, s3
from matinee.stack.state import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from matinee.stack.folders import Folders
    from matinee.stack.state import StackState

__all__ = ["BUCKET", "SERVICES", "Program", "Service", "select"]

BUCKET: Final = "matinee"  # versions


@dataclass(frozen=True, slots=True)
class Program:
    """What the launcher turns into, in which folder, and as whom."""

    argv: list[str]
    environment: dict[str, str]
    folder: Path
    enter: Callable[[Path], None] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        name, title: as typed, and as a person calls it.
        needs: the services that must be well before it is started.
        imports: what must be installed, by the name of its package in Python; empty where `prepare` looks itself.
        prepare: makes its folder ready; fails with what its user can mend.
        program: what runs, once all that it needs is well.
        is_healthy: whether it does its work right now.
        is_alive: whether it gives a sign of life, be it that it is still recovering.
        settle: makes what clients expect to find, once it is well.
        ports: its ports by the name that the state gives them.
        stop_signal, stop_patience_s: how it is asked to end, and how long it may take before it is killed.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    imports: tuple[str, ...]
    prepare: Callable[[Folders, StackState], None]
    program: Callable[[Folders, StackState], Program]
    is_healthy: Callable[[StackState], bool]
    is_alive: Callable[[StackState], bool]
    settle: Callable[[StackState], None]
    ports: Callable[[StackState], dict[str, int]]
    stop_signal: str
    stop_patience_s: int


def select(names: Iterable[str] | None) -> list[Service]:
    """The named services and all that they need, in an order in which each comes after what it needs; None is all.

    Raises:
        UsageError: there is no such service.
    """
    wanted = set(SERVICES) if names is None else set()
    for name in names or ():
        if name not in SERVICES:
            raise UsageError(f"{name}: no such service; there are {', '.join(SERVICES)}")
        wanted |= {name, *SERVICES[name].needs}
    return [service for name, service in SERVICES.items() if name in wanted]


def _postgres_program(folders: Folders, state: StackState) -> Program:
    postgres.make_way(folders.postgres)
    argv = postgres.command(state.postgres_port, listen=state.listen)
    return Program(argv, postgres.environment(), folders.postgres, postgres.enter)


def _postgres_settle(state: StackState) -> None:
    postgres.ensure_database(state.database_url("postgres"), DATABASE)


def _s3_program(folders: Folders, state: StackState) -> Program:
    s3.prepare(folders.s3, state.s3, state.s3_ports)
    return Program(s3.command(folders.s3), s3.environment(), folders.s3)


def _mlflow_program(folders: Folders, state: StackState) -> Program:
    postgres.ensure_database(state.database_url("postgres"), mlflow.DATABASE)
    s3.make_bucket(state.s3, mlflow.BUCKET)
    environment = mlflow.environment(
        state.mlflow_port, state.listen, database=state.database_url(mlflow.DATABASE), s3=state.s3
    )
    return Program(mlflow.command(), environment, folders.run)


def _jupyter_program(folders: Folders, state: StackState) -> Program:
    notebooks = {
        "MATINEE_DATA_DIR": str(folders.root),
        "MLFLOW_TRACKING_URI": state.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # In a notebook tqdm, which MLflow imports, asks for ipywidgets, and nothing here has a bar of theirs.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    return Program(
        jupyter.command(folders.jupyter, state.jupyter_port, state.listen),
        jupyter.environment(folders.jupyter, folders.run / "jupyter", token=state.jupyter_token, notebooks=notebooks),
        folders.jupyter,
    )


def _nothing(*_: object) -> None:
    """What a service does at a step that it has no use for."""


SERVICES: Final[Mapping[str, Service]] = {
    service.name: service
    for service in (
        Service(
            name="s3",
            title="S3 (SeaweedFS)",
            needs=(),
            imports=(),
            prepare=lambda folders, state: s3.prepare(folders.s3, state.s3, state.s3_ports),
            program=_s3_program,
            is_healthy=lambda state: s3.is_healthy(state.s3),
            is_alive=lambda state: s3.is_healthy(state.s3),
            settle=lambda state: s3.make_bucket(state.s3, BUCKET),
            ports=lambda state: asdict(state.s3_ports),
            stop_signal="TERM",
            stop_patience_s=round(s3.STOP_PATIENCE_S),
        ),
        Service(
            name="postgres",
            title=f"Postgres {postgres.MAJOR}",
            needs=(),
            imports=(),
            prepare=lambda folders, state: postgres.initialise(folders.postgres, password=state.postgres_password),
            program=_postgres_program,
            is_healthy=lambda state: postgres.is_healthy(state.database_url("postgres")),
            is_alive=lambda state: postgres.is_alive(state.postgres_port, host=state.host),
            settle=_postgres_settle,
            ports=lambda state: {"postgres_port": state.postgres_port},
            stop_signal=postgres.STOP_SIGNAL,
            stop_patience_s=8,
        ),
        Service(
            name="mlflow",
            title="MLflow",
            needs=("s3", "postgres"),
            imports=("mlflow",),
            prepare=_nothing,
            program=_mlflow_program,
            is_healthy=lambda state: mlflow.is_healthy(state.mlflow_url),
            is_alive=lambda state: mlflow.is_healthy(state.mlflow_url),
            settle=_nothing,
            ports=lambda state: {"mlflow_port": state.mlflow_port},
            stop_signal="TERM",
            stop_patience_s=6,
        ),
        Service(
            name="jupyter",
            title="JupyterLab",
            needs=(),
            imports=("jupyterlab",),
            prepare=lambda folders, _: jupyter.prepare(folders.jupyter),
            program=_jupyter_program,
            is_healthy=lambda state: jupyter.is_healthy(state.jupyter_url, state.jupyter_token),
            is_alive=lambda state: jupyter.is_healthy(state.jupyter_url, state.jupyter_token),
            settle=_nothing,
            ports=lambda state: {"jupyter_port": state.jupyter_port},
            stop_signal="TERM",
            stop_patience_s=5,
        ),
    )
}
