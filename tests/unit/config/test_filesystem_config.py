"""filesystem.cleanup in the configuration: what its paths may be, what goes together, and what workers are given."""

from typing import Any

import pytest

from config_fixtures import Loading, Mistakes

HEAD = "tasks: { t: { executor: filesystem.cleanup, config: { paths: [{ "
END = " }] } } }"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("path: /srv/app/**/tmp, age: 1d", "has ** in it: all below a directory is meant anyway"),
        ("path: '/srv/*/tmp', age: 1d", "has a wildcard in its first two parts, and could mean anything"),
        ("path: '/var/lib/*/tmp', age: 1d", "means directories in /var/lib, which is protected"),
        ("path: /srv/app", "selects nothing: give an age, a max_size, a max_files or a free_until"),
        ("path: /srv/app, unit: directory", "selects no directory: give an age or keep_newest"),
        ("path: /srv/app, unit: directory, age: 1d, max_files: 1", "leave them out with unit: directory"),
        ("path: /srv/app, unit: directory, keep_newest: { count: 1, per: directory }", "per path or pattern"),
        ("path: /srv/app, age: 1d, keep_newest: { count: 1, per: pattern }", "is per pattern: give the patterns"),
        ("path: /srv/app, age: 1d, keep_newest: { per: path }", "count"),
        ("path: /srv/app, age: 1d, age_from_name: '%Y', pattern: '*.sql'", "must name a day"),
        ("path: /srv/app, age: 1d, age_from_name: '%Y%m%d', age_by: birth", "leave one of them out"),
        ("path: /srv/app, free_until: 10", "needs a percent sign: 10%"),
    ],
)
def test_path_that_cannot_be_meant_is_a_mistake(mistakes: Mistakes, path: str, problem: str) -> None:
    found = mistakes(f"{HEAD}{path}{END}")
    assert len(found) == 1, found
    assert problem in found[0]


def path_of(loading: Loading, path: str) -> dict[str, Any]:
    config = loading(f"{HEAD}{path}{END}")
    found: dict[str, Any] = config.tasks["t"].config["paths"][0]
    return found


def test_number_to_keep_is_per_path(loading: Loading) -> None:
    found = path_of(loading, "path: /srv/app, age: 1d, keep_newest: 3, pattern: '*.sql'")
    assert (found["keep_newest"], found["keep_per"], found["pattern"]) == (3, "path", ["*.sql"])
    found = path_of(loading, "path: '/srv/app/*/x', keep_newest: { count: 2, per: pattern }, pattern: [a, b], age: 1d")
    assert (found["keep_newest"], found["keep_per"], found["pattern"]) == (2, "pattern", ["a", "b"])
    assert found["age_by"]["files"] == ["birth", "change", "modification"]


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("path: /srv/app/releases, unit: directory, keep_newest: 3", {"path": "/srv/app"}),
        ("path: /srv/releases, unit: directory, keep_newest: 3", None),
        ("path: /srv/app/releases, age: 1d", None),
    ],
)
def test_worker_is_given_the_directory_whose_links_count(
    loading: Loading, path: str, beside: dict[str, str] | None
) -> None:
    assert path_of(loading, path)["beside"] == beside
