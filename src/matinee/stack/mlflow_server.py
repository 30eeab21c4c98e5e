"""The tracking server as one process: `python -m matinee.stack.mlflow_server`, with all it needs in its environment.

`mlflow server` is a process that starts another and watches it: twice the memory and twice the time to start, and who
kills the first leaves the second with the port. So we do what it does, in its place: bring the tables up to date,
and run MLflow's application in this process.
"""

from __future__ import annotations

import os
from typing import Any, Final

__all__ = ["main"]

_GRACE_S: Final = 3  # for requests under way, when asked to end


def main() -> None:
    """Run until told to end."""
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    _migrate(database)
    import uvicorn  # noqa: PLC0415 - a server of its own needs it, nothing else here
    from mlflow.server import constants  # noqa: PLC0415 - MLflow takes seconds to import

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = database
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = database
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = os.environ["MLFLOW_ARTIFACTS_DESTINATION"]
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        host=os.environ["MLFLOW_HOST"],
        port=int(os.environ["MLFLOW_PORT"]),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _migrate(database: str) -> None:
    """Make MLflow's tables, or those of an older MLflow this one's, which `mlflow server` leaves to its user."""
    from mlflow.store.db import utils  # noqa: PLC0415 - as above

    db: Any = utils  # without types; `mlflow db upgrade` calls the same functions
    engine = db.create_sqlalchemy_engine_with_retry(database)
    try:
        revision = db._get_schema_version(engine)  # noqa: SLF001
        if revision is None:
            db._initialize_tables(engine)  # noqa: SLF001 - or the first request would wait for it
        elif revision != db._get_latest_schema_revision():  # noqa: SLF001
            db._upgrade_db(engine)  # noqa: SLF001
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
