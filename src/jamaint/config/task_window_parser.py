"""Parse one task or window from its mapping into the core's value, with every error and warning."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from jamaint.config.conditions import CONDITION_CHOICES
from jamaint.config.executor_models import CONFIG_OF
from jamaint.config.executor_selection import KEYS, executor_of, kind_of, meant_executor
from jamaint.config.periods import read_periods, schedule_flaws
from jamaint.config.schedules import TASK_CHOICES, WINDOW_CHOICES, doubt_of_days, doubt_of_hours, doubt_of_zone
from jamaint.config.task_window_models import TaskGiven, WindowGiven, object_id
from jamaint.core.calendar.periods import Periods
from jamaint.core.calendar.windows import Window
from jamaint.core.plans import MassDeletion
from jamaint.core.rate_limits import Limits
from jamaint.core.recurrence import Schedule
from jamaint.core.resources import touched
from jamaint.core.tasks import Dependency, Origin, Retry, RollbackRule, Task
from jamaint.executors.command.config import RunCommand
from jamaint.schema.errors import Flaw, closest
from jamaint.schema.executor_config import GrantedName, Setting, Work
from jamaint.schema.validation import exactly_one, misspelled, read

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What became of an object: `value` is None if it has flaws. `doubts` are warnings, `named` is what grants rule."""

    value: T | None
    flaws: tuple[Flaw, ...]
    doubts: tuple[Flaw, ...] = ()
    named: tuple[GrantedName, ...] = ()


def read_task(given: Mapping[str, Any], origin: Origin, setting: Setting) -> Read[Task]:
    """Reads a task, which has its `name` in it. Other objects that it names are not looked at here."""
    model, flaws = read(TaskGiven, given, setting)
    flaws += exactly_one(given.get("schedule"), TASK_CHOICES, flaws, ("schedule",))
    flaws += _schedule_flaws(model.schedule.problems() if model and model.schedule and not flaws else ())
    flaws += condition_flaws(given, flaws)
    executor, problems = _executor(given, flaws)
    flaws += problems
    checked_as = executor or (meant_executor(given) if given.get("config") is not None else None)
    work, problems = _work(given, checked_as, setting, flaws)
    flaws = [_deeper(flaw, checked_as) for flaw in flaws] + problems
    if model is None or work is None or executor is None or flaws:
        return Read(None, tuple(flaws))
    declared = model.touches
    task = replace(
        _task(model, executor, work, given, origin),
        touches=touched(executor, work.normalised(), declared.paths, _addresses(declared.databases, setting)),
    )
    return Read(task, (), tuple(_task_doubts(model, work, task)), tuple(_named(model, work)))


def read_window(given: Mapping[str, Any], origin: Origin, setting: Setting) -> Read[Window]:
    """Reads a window, which has its `name` in it."""
    model, flaws = read(WindowGiven, given, setting)
    flaws += exactly_one(given.get("schedule"), WINDOW_CHOICES, flaws, ("schedule",))
    flaws += _schedule_flaws(model.schedule.problems(model.timezone) if model and not flaws else ())
    flaws += condition_flaws(given, flaws)
    exclusions, problems = _exclusions(given, model, flaws)
    flaws += problems
    if model is None or flaws:
        return Read(None, tuple(flaws))
    window = Window(
        id=object_id("window", model.name),
        name=model.name,
        schedule=model.schedule.schedule(model.timezone or "UTC"),
        duration_minutes=model.duration,
        timezone=model.schedule.zone_said() or model.timezone or "UTC",
        allowed_tasks=model.allowed_tasks or (),
        description=model.description,
        cutoff_minutes=model.cutoff,
        max_concurrent_tasks=model.max_concurrent_tasks,
        emergency_override=model.emergency_override,
        conditions=tuple(condition.condition() for condition in model.conditions),
        exclusions=exclusions,
        notifications=dict(given.get("notifications") or {}),
        enabled=model.enabled,
        origin=origin,
        definition=dict(given),
    )
    doubts = _schedule_doubts(window.schedule, model.schedule.zone_said() or model.timezone)
    files = [
        GrantedName("path", ("exclusions", index, "ics"), each.ics)
        for index, each in enumerate(model.exclusions)
        if each.ics is not None
    ]
    return Read(window, (), tuple(doubts), (*_named_by_conditions(model), *files))


def _schedule_flaws(problems: Iterable[tuple[str, str]]) -> list[Flaw]:
    """What is wrong with the keys of a schedule taken together."""
    return [Flaw(("schedule", key), problem) for key, problem in problems]


def _exclusions(
    given: Mapping[str, Any], model: WindowGiven | None, flaws: Sequence[Flaw]
) -> tuple[tuple[Periods, ...], list[Flaw]]:
    values = given.get("exclusions")
    problems = [
        flaw
        for index, value in enumerate(values if isinstance(values, list) else ())
        for flaw in schedule_flaws(value, flaws, ("exclusions", index))
    ]
    if model is None or problems:
        return (), problems
    read_ones = [
        read_periods(value, each, flaws, ("exclusions", index), model.timezone)
        for index, (value, each) in enumerate(zip(values or (), model.exclusions, strict=True))
    ]
    found = tuple(one.value for one in read_ones if one.value is not None)
    return found, [flaw for one in read_ones for flaw in one.flaws]


def _executor(given: Mapping[str, Any], flaws: Sequence[Flaw]) -> tuple[str | None, list[Flaw]]:
    """The executor, if its keys are right; what is wrong with them is said once."""
    if any(flaw.path[:1] == (key,) or flaw.meant == key for key in KEYS for flaw in flaws):
        return None, []
    executor, problems = executor_of(given)
    return executor, [
        flaw for flaw in problems if flaw.path[0] in given or not misspelled(flaws, (), str(flaw.path[0]))
    ]


def _work(
    given: Mapping[str, Any], executor: str | None, setting: Setting, flaws: Sequence[Flaw]
) -> tuple[Work | None, list[Flaw]]:
    config = given.get("config")
    if executor is None or (config is None and misspelled(flaws, (), "config")):
        return None, []
    return read(CONFIG_OF[executor], {} if config is None else config, setting, ("config",))


def _deeper(flaw: Flaw, executor: str | None) -> Flaw:
    """An unknown key of the task that is one of its config's says so."""
    keys = CONFIG_OF[executor].model_fields if executor else ()
    meant = closest(str(flaw.path[0]), keys) if flaw.unknown and flaw.meant is None and len(flaw.path) == 1 else None
    return flaw._replace(problem=f"unknown key: write {meant}, one level deeper, below `config`") if meant else flaw


def condition_flaws(given: Mapping[str, Any], flaws: list[Flaw]) -> list[Flaw]:
    """Of each condition, that it has not exactly one key."""
    conditions = given.get("conditions")
    return [
        flaw
        for index, condition in enumerate(conditions if isinstance(conditions, list) else ())
        for flaw in exactly_one(condition, CONDITION_CHOICES, flaws, ("conditions", index))
    ]


def _task(model: TaskGiven, executor: str, work: Work, given: Mapping[str, Any], origin: Origin) -> Task:
    kind, category = kind_of(executor)
    deletion = model.mass_deletion
    return Task(
        id=object_id("task", model.name),
        name=model.name,
        type=model.type or kind,
        category=model.category or category,
        executor=executor,
        schedule=model.schedule.schedule() if model.schedule else None,
        config=work.normalised(),
        description=model.description,
        priority=model.priority,
        enabled=model.enabled,
        timeout_seconds=model.timeout,
        expected_duration_seconds=model.expected_duration,
        on_window_end=model.on_window_end,
        dependencies=tuple(
            Dependency(each.task, each.state, each.within, each.on_failure) for each in model.dependencies
        ),
        conditions=tuple(condition.condition() for condition in model.conditions),
        retry=_retry(model),
        overlap=model.overlap,
        rollback=RollbackRule(model.rollback.enabled, model.rollback.auto_rollback, model.rollback.when_full),
        mass_deletion=MassDeletion(deletion.share, deletion.items),
        limits=Limits(model.limits.operations_per_second, model.limits.bytes_per_second),
        notifications=dict(given.get("notifications") or {}),
        origin=origin,
        definition=dict(given),
    )


def _retry(model: TaskGiven) -> Retry:
    given = model.retry
    return Retry() if given is None else Retry(given.attempts, given.delay, given.factor, frozenset(given.on))


def _addresses(databases: Iterable[str], setting: Setting) -> Iterator[str]:
    """Of a name in grants.databases the address, as it stands in the config of other tasks."""
    return ((setting.databases or {}).get(name, name) for name in databases)


def _named_by_conditions(model: TaskGiven | WindowGiven) -> Iterator[GrantedName]:
    for index, condition in enumerate(model.conditions):
        for kind, path, value in condition.named():
            yield GrantedName(kind, ("conditions", index, *path), value)


def _named(model: TaskGiven, work: Work) -> list[GrantedName]:
    inside = [GrantedName(kind, ("config", *path), value) for kind, path, value in work.named()]
    inside += [GrantedName("path", ("touches", "paths", index), path) for index, path in enumerate(model.touches.paths)]
    return [*inside, *_named_by_conditions(model)]


def _task_doubts(model: TaskGiven, work: Work, task: Task) -> list[Flaw]:
    doubts = [flaw._replace(path=("config", *flaw.path)) for flaw in work.doubts()]
    if task.schedule and model.schedule:
        doubts += _schedule_doubts(task.schedule, model.schedule.zone_said() or model.schedule.timezone)
    if task.rollback.auto_rollback and isinstance(work, RunCommand) and not work.rollback_command:
        problem = "there is no `rollback_command`, so nothing that the command did will be put back"
        doubts.append(Flaw(("rollback", "auto_rollback"), problem))
    return doubts


def _schedule_doubts(schedule: Schedule, zone: str | None) -> list[Flaw]:
    doubts = (doubt_of_days(schedule.cron), doubt_of_zone(schedule.cron, zone))
    hours = doubt_of_hours(schedule, zone)
    return [
        *(Flaw(("schedule", "cron"), doubt) for doubt in doubts if doubt),
        *([] if hours is None else [Flaw(("schedule", hours[0]), hours[1])]),
    ]
