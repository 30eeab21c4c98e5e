"""Moments for people; the ticks of an axis are tested with the certificate's page, which has every kind of log."""

from __future__ import annotations

from matinee.pages.axes import instant


def test_a_moment_is_a_date_where_the_calendar_has_one() -> None:
    assert instant(893_286_638) == "1998-04-22 23:10:38"
    assert instant(893_286_638, date_only=True) == "1998-04-22"
    assert instant(893_286_638, "row", date_only=True) == "row 893,286,638"
    assert instant(2**62, date_only=True) == f"{2**62:,} s"
