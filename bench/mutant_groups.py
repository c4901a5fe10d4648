"""The groups that bench/mutants.py tries: modules below src/jamaint, each with the tests that are about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LIMIT = 0.05
"""The share of a group's mutants that may survive."""


@dataclass(frozen=True, slots=True)
class Group:
    """Modules, each with its tests, those that notice most first."""

    modules: Mapping[str, Sequence[str]]


_AGENDA = (
    "tests/unit/core/test_guard_bounds.py",
    "tests/unit/core/test_guard_fit.py",
    "tests/unit/core/scheduling/test_agenda.py",
)
_POLICIES = ("tests/unit/core/policies/test_policy_bounds.py", "tests/unit/core/policies/test_policies.py")
_DIRECTORIES = (
    "tests/unit/files/access/test_root_refusals.py",
    "tests/unit/files/access/test_root.py",
    "tests/unit/files/access/test_tree_walk.py",
)

GROUPS: Mapping[str, Group] = {
    "guards": Group(
        {
            f"core/guards/{name}.py": tests
            for name, tests in {
                "__init__": (*_AGENDA, *_POLICIES),
                "catch_up": _AGENDA,
                "concurrency": _AGENDA,
                "condition": _AGENDA,
                "dependency": _AGENDA,
                "fit": _AGENDA,
                "freeze": (*_AGENDA, *_POLICIES),
                "guard": (*_AGENDA, *_POLICIES),
                "policy": (_AGENDA[0], *_POLICIES, *_AGENDA[1:]),
                "previous_running": _AGENDA,
                "retry": _AGENDA,
                "scheduler": _AGENDA,
                "task": _AGENDA,
                "touches": _AGENDA,
                "window": _AGENDA,
                "window_concurrency": _AGENDA,
            }.items()
        }
    ),
    "policies": Group(
        {f"core/policies/{name}.py": (*_POLICIES, *_AGENDA) for name in ("approvals", "overrides", "policies")}
    ),
    "deletion_guard": Group({"core/safety/deletion_guard.py": ("tests/unit/core/safety/test_deletion_guard.py",)}),
    "restrictions": Group({"core/calendar/restrictions.py": ("tests/unit/core/calendar/test_restrictions.py",)}),
    "directories": Group(
        {
            "files/access/root.py": _DIRECTORIES,
            "files/access/directory_cursor.py": ("tests/unit/files/access/test_directory_cursor.py", *_DIRECTORIES[2:]),
        }
    ),
}
