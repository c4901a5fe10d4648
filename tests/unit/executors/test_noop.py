"""noop: an execution of it has a beginning and an end, and nothing between."""

from datetime import UTC, datetime

from jamaint.core.plans import MassDeletion, Step
from jamaint.executors import executor_of
from jamaint.executors.shared.executor import Host, Work


class Silent(Host):
    """A Host that is told nothing."""

    def progress(self, done: int, total: int | None, unit: str) -> None:
        raise AssertionError

    def log(self, level: str, message: str) -> None:
        raise AssertionError

    def checkpoint(self) -> None:
        raise AssertionError


def test_it_has_no_steps_and_nothing_to_put_back() -> None:
    work = Work("e", "drill", {}, True, MassDeletion(), None, datetime(2026, 11, 24, 2, tzinfo=UTC), 0.1)
    noop = executor_of("noop")(work, Silent())
    step = Step(name="x", says="")
    assert noop.plan().steps == ()
    assert noop.run(step) == {}
    assert noop.undo(step, dry_run=False) == {"restored": 0, "removed": 0, "kept": [], "problems": []}
    assert noop.purge(step) == {"freed_space": 0, "items": 0}
