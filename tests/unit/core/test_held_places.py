"""What a rollback has put back is held place by place, each until its own moment or until it is released."""

from jamaint.core.held_places import HeldPlace, HoldRecord, at, overlap, places_of, released, standing

HOUR_NS = 3600 * 10**9


def a_record(**until_ns: int) -> HoldRecord:
    places = [HeldPlace(path=f"/srv/{name}", items=2, unit="file", until_ns=until) for name, until in until_ns.items()]
    return {"from_ns": 1, "until_ns": 2, "inodes": [7], "places": places}


def test_standing_leaves_out_places_whose_time_is_over() -> None:
    record = a_record(a=HOUR_NS, b=2 * HOUR_NS)
    assert [place["path"] for one in standing([record], HOUR_NS) for place in one["places"]] == ["/srv/b"]
    assert standing([record], 2 * HOUR_NS) == []


def test_at_a_path_counts_what_lies_above_and_below_and_not_beside() -> None:
    records = [a_record(a=HOUR_NS), a_record(ab=HOUR_NS)]
    for path, expected in (("/srv/a", ["/srv/a"]), ("/srv/a/deep", ["/srv/a"]), ("/srv", ["/srv/a", "/srv/ab"])):
        assert [place["path"] for one in at(records, path, 0) for place in one["places"]] == expected
    assert at(records, "/srv/abc", 0) == []
    assert overlap("/", "/srv")


def test_released_at_one_path_keeps_the_others() -> None:
    record = a_record(a=HOUR_NS, b=HOUR_NS)
    assert [place["path"] for place in places_of(released([record], "/srv/a"))] == ["/srv/b"]
    assert released([record], None) == []
    assert released(released([record], "/srv/a"), "/srv/b") == []


def test_places_of_several_steps_are_added_up() -> None:
    (place,) = places_of([a_record(a=HOUR_NS), a_record(a=3 * HOUR_NS)])
    assert (place["items"], place["until_ns"]) == (4, 3 * HOUR_NS)


def test_record_of_an_older_version_names_no_place_and_holds_everywhere() -> None:
    old: HoldRecord = {"from_ns": 1, "until_ns": 2, "inodes": []}
    assert at([old], "/anywhere", HOUR_NS) == [old]
    assert (released([old], "/anywhere"), released([old], None)) == ([old], [])
