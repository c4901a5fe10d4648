"""temp.cleanup: removes files that have not been used for long, and the directories in which all is like that."""

from collections.abc import Mapping
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.age_cleanup import Aged, Place, nested, plan_of
from jamaint.executors.shared.directory_rules import expanded
from jamaint.executors.shared.executor import Host, Tell, Work
from jamaint.executors.shared.recent_undos import hold_at
from jamaint.executors.temp_cleanup.tmpfiles_d import Spared, spared
from jamaint.files.access.globs import Globs, exclusion
from jamaint.files.cleanup.eligibility import Rule, alone_and_below
from jamaint.files.rules.ages import Ages, limit


class TempCleanup:
    """The executor of temp.cleanup; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._aged = work, Aged(work, host)

    def plan(self) -> Plan:
        """See Executor. StepError is unsafe when every root is."""
        others = spared()
        step, warnings, seen = self._aged.plan(self._places(others))
        warnings += others.warnings([one["path"] for one in self._work.config["paths"]])
        return plan_of(self._work, (step,), warnings, seen)

    def items(self, step: Step, tell: Tell) -> None:  # noqa: ARG002 - there is one step
        """See Itemised."""
        self._aged.items(tell)

    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A step in which some files could not be dealt with is done; `problems` has them."""
        return self._aged.run(step, self._places(spared()))

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. `kept` is what others have put in a place or changed; `problems` what went wrong."""
        return self._aged.undo(step, dry_run)

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        return self._aged.purge(step)

    def _places(self, others: Spared) -> list[Place]:
        paths = expanded(self._work.config["paths"])
        all_paths = [one["path"] for one in paths]
        return [Place(one["path"], self._rule(one, others, all_paths), one["age_seconds"]) for one in paths]

    def _rule(self, one: Mapping[str, Any], others: Spared, paths: list[str]) -> Rule:
        below, alone = alone_and_below(one["exclude"], one["path"], others.below(one["path"]), others.alone)
        pattern, before = one["pattern"], limit(self._work.now, one["age_seconds"])
        return Rule(
            ages=Ages.of(one),
            before=before,
            pattern=None if pattern is None else Globs([exclusion(pattern).lstrip("/")], hidden=True),
            spared=below,
            alone=alone,
            nested=nested(one["path"], paths),
            directories=pattern is None,
            unit=one["unit"] == "directory",
            mount=one.get("mount", False),
            live=one["unit"] == "directory",
            held=hold_at(self._work, one["path"], one["age_seconds"]),
        )
