"""Dates in names: what a form reads, at what moment that ends, and which forms are none."""

from datetime import UTC, datetime

import pytest

from jamaint.files.rules.name_dates import name_date


@pytest.mark.parametrize(
    ("form", "name", "ends"),
    [
        ("%Y%m%d", "db-20261124.sql", "2026-11-25T00:00:00"),
        ("%Y-%m-%d", "2026-11-24", "2026-11-25T00:00:00"),
        ("%d%m%y", "x241126y", "2026-11-25T00:00:00"),
        ("%Y%m%d_%H%M", "a_20261124_1305.gz", "2026-11-24T13:06:00"),
        ("%Y%m%dT%H%M%S", "20261231T235959", "2027-01-01T00:00:00"),
        ("%Y%j", "2026366 2026365", "2027-01-01T00:00:00"),
        ("%s", "dump.1764000000", "2025-11-24T16:00:01"),
        ("%Y%m%d", "20261399-20261101", "2026-11-02T00:00:00"),
        ("%Y%m%d", "120261124", None),
        ("%Y%m%d", "202611245", None),
        ("%Y%m%d", "db.sql", None),
    ],
)
def test_name_date_is_the_end_of_what_the_name_says(form: str, name: str, ends: str | None) -> None:
    moment = name_date(form, UTC)(name)
    if ends is None:
        assert moment is None
    else:
        assert moment is not None
        assert datetime.fromtimestamp(moment / 10**9, UTC).replace(tzinfo=None).isoformat() == ends


@pytest.mark.parametrize("form", ["", "%Y", "%m%d", "%Y%m", "%Y%m%d%d", "%Y%b%d", "%Y%m%d%", "%H%M"])
def test_form_that_names_no_day_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"must name a day|has %"):
        name_date(form)
