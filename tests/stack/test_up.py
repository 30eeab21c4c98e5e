"""A whole stack, for real: what it offers, who gets in, and what is said when something is in its way."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from services import stack_service  # noqa: F401 - a fixture

from matinee.cli import main
from matinee.stack.signing import send_signed

if TYPE_CHECKING:
    from matinee.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_all_services_are_there(stack_service: Stack, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    stack = stack_service
    assert main(["status", "--json", "--data-dir", str(stack.data_dir)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {service["name"]: service["state"] for service in told["services"]} == dict.fromkeys(
        ("s3", "postgres", "mlflow", "jupyter"), "healthy"
    )
    with psycopg.connect(stack.postgres_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("matinee",)
    for bucket in ("matinee", "mlflow"):
        assert send_signed(stack.s3, "HEAD", f"/{bucket}", timeout_s=5).is_success
    assert stat.S_IMODE((stack.data_dir / "stack.json").stat().st_mode) == 0o600
    assert httpx.get(f"{stack.mlflow_url}/health", trust_env=False).text == "OK"
