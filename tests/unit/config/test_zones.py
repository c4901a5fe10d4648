"""Time zones: offsets are advised to the zone that means them, and what is no zone is refused."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jamaint.schema.fields import zone

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "hours"), [("GMT+7", 7), ("UTC-3", -3), ("utc+05:00", 5), ("+11", 11), ("gmt-12", -12)]
)
def test_offset_advice_means_the_same_hour(name: str, hours: int) -> None:
    with pytest.raises(ValueError, match="its sign is turned round") as told:
        zone(name)
    advised = next(word for word in str(told.value).split() if word.startswith("Etc/"))
    offset = NOON.astimezone(ZoneInfo(zone(advised))).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == hours * 3600


@pytest.mark.parametrize("name", ["Factory", "posixrules", "right/Asia/Jakarta", "localtime", "GMT+25", "Etc/GMT+99"])
def test_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"not a time zone|leap seconds"):
        zone(name)


@pytest.mark.parametrize("name", ["UTC", "Asia/Jakarta", "Etc/GMT-7", "GMT"])
def test_zone_of_the_machine_is_taken(name: str) -> None:
    assert zone(name) == name
