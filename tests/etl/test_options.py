from __future__ import annotations

from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.etl.options import settings_from_options
from matinee.schema.transform_settings import TransformSettings


def test_no_options_are_the_default_settings() -> None:
    assert settings_from_options(name="log") == TransformSettings(name="log")


def test_options_as_people_write_them() -> None:
    settings = settings_from_options(
        name="log",
        columns="time=when, user=who,item=what",
        sep="tab",
        fractions="0.8, 0.1,0.1",
        since="2000-01-01",
        until=978_307_200,
    )
    assert settings.columns == (("user", "who"), ("item", "what"), ("time", "when"))
    assert settings.separator == "\t"
    assert settings.fractions == ("0.8", "0.1", "0.1")
    assert (settings.since, settings.until) == (946_684_800, 978_307_200)


def test_the_order_of_roles_changes_nothing() -> None:
    one = settings_from_options(name="log", columns="user=0,item=1,time=2")
    other = settings_from_options(name="log", columns={"time": 2, "item": 1, "user": 0})
    assert one == other


def test_cuts_are_dates_or_seconds() -> None:
    assert settings_from_options(name="log", cut=("1970-01-02", "100000")).cuts == (86_400, 100_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "user"}, "expected role=column pairs"),
        ({"columns": "user=a,item=b,date=c"}, "unknown role 'date'"),
        ({"columns": "user=a,user=b,item=c"}, "given twice"),
        ({"columns": "user=a"}, "at least user=... and item=..."),
        ({"columns": "user=a,item="}, "'item' has no column"),
        ({"fractions": "0.5,0.5"}, "expected three shares"),
        ({"fractions": "0.5,0.25,half"}, "expected three numbers"),
        ({"cut": ("yesterday",)}, "'yesterday'"),
        ({"cut": ("2000-01-01",)}, "expected two instants"),
    ],
)
def test_what_says_nothing_is_a_usage_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_from_options(name="log", **options)
