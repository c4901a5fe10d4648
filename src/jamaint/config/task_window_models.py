"""Tasks and windows as they stand in the file or come through the socket, and the core's values made from them."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from jamaint.config.conditions import ConditionGiven
from jamaint.config.periods import PeriodGiven
from jamaint.config.schedules import TaskSchedule, WindowSchedule
from jamaint.core.executions import ENDED
from jamaint.core.tasks import CATEGORIES, PRIORITIES, TYPES
from jamaint.schema import paths
from jamaint.schema.fields import (
    Bytes,
    Flag,
    Note,
    Positive,
    Seconds,
    Section,
    Share,
    Text,
    Zone,
    at_least_one,
    between,
    object_name,
    one_of,
    some,
)
from jamaint.schema.units import whole_minutes

NAMESPACE = uuid.UUID("20076e9c-a44e-4d01-a609-880c04f19a63")
LONGEST_WINDOW_MINUTES = 7 * 24 * 60
ENDS = ("finish", "pause", "cancel")
OVERLAPS = ("skip", "queue", "cancel_older")
FAILURES = ("failed", "timeout", "interrupted")
STATES = tuple(sorted(state.value for state in ENDED))

AbsolutePath = Annotated[str, PlainValidator(paths.absolute)]
Name = Annotated[str, PlainValidator(object_name)]
Type = Annotated[str, PlainValidator(one_of(TYPES))]


TASK_EVENTS = ("started", "paused", "resumed", "completed", "failed", "cancelled", "skipped", "rolled_back")
WINDOW_EVENTS = ("opened", "closed", "skipped", "overrun")
TaskEvent = Annotated[str, PlainValidator(one_of(TASK_EVENTS))]
WindowEvent = Annotated[str, PlainValidator(one_of(WINDOW_EVENTS))]


class NotificationsGiven(Section):
    """Which events of a task people are told of, and on which channels."""

    on: Annotated[tuple[TaskEvent, ...], AfterValidator(some)] = Field(description="the events, such as [failed]")
    channels: Annotated[tuple[Name, ...], AfterValidator(some)] = Field(description="the channels, such as [ops]")


class WindowNotificationsGiven(NotificationsGiven):
    """Which events of a window people are told of, and on which channels."""

    on: Annotated[tuple[WindowEvent, ...], AfterValidator(some)] = Field(description="the events, such as [opened]")


class DependencyGiven(Section):
    task: Name = Field(description="the name of the task that must have ended before")
    state: Annotated[str, PlainValidator(one_of(STATES))] = "completed"
    within: Seconds | None = None
    on_failure: Annotated[Literal["hold", "skip"], PlainValidator(one_of(("hold", "skip")))] = "hold"


class RollbackGiven(Section):
    enabled: Flag = True
    auto_rollback: Flag = False
    when_full: Annotated[Literal["keep", "unlink"], PlainValidator(one_of(("keep", "unlink")))] = "keep"

    @field_validator("auto_rollback")
    @classmethod
    def _needs_a_way_back(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("enabled") is False:
            raise ValueError("cannot go back where `enabled: false` keeps no way back: change one of the two")
        return value


class RetryGiven(Section):
    """How often, and after which failures, a scheduled execution is tried again."""

    attempts: Annotated[int, PlainValidator(between(2, 100))] = Field(
        description="how many executions there are at most, the first one included, such as 3"
    )
    delay: Seconds = 60.0
    factor: Annotated[float, PlainValidator(at_least_one)] = 2.0
    on: Annotated[tuple[Annotated[str, PlainValidator(one_of(FAILURES))], ...], AfterValidator(some)] = FAILURES


class TouchesGiven(Section):
    """What the task works on, beside what its config says."""

    paths: tuple[AbsolutePath, ...] = ()
    databases: tuple[Text, ...] = ()


class MassDeletionGiven(Section):
    share: Share = 0.25
    items: Annotated[int, PlainValidator(between(0, 10**12))] = 50


class LimitsGiven(Section):
    operations_per_second: Positive | None = None
    bytes_per_second: Bytes | None = None


class TaskGiven(Section):
    """A task. `config` is judged by the model of its executor: see `work`."""

    name: Name
    description: Note = ""
    type: Type | None = None
    category: Annotated[str, PlainValidator(one_of(CATEGORIES))] | None = None
    executor: Text | None = None
    priority: Annotated[str, PlainValidator(one_of(PRIORITIES))] = "medium"
    enabled: Flag = True
    schedule: TaskSchedule | None = None
    timeout: Seconds | None = None
    expected_duration: Seconds | None = None
    on_window_end: Annotated[Literal["finish", "pause", "cancel"], PlainValidator(one_of(ENDS))] = "finish"
    config: Any = None
    dependencies: tuple[DependencyGiven, ...] = ()
    conditions: tuple[ConditionGiven, ...] = ()
    retry: RetryGiven | None = None
    overlap: Annotated[Literal["skip", "queue", "cancel_older"], PlainValidator(one_of(OVERLAPS))] = "skip"
    touches: TouchesGiven = TouchesGiven()
    rollback: RollbackGiven = RollbackGiven()
    mass_deletion: MassDeletionGiven = MassDeletionGiven()
    limits: LimitsGiven = LimitsGiven()
    notifications: NotificationsGiven | None = None


class WindowGiven(Section):
    """A window."""

    name: Name
    description: Note = ""
    timezone: Zone | None = None
    schedule: WindowSchedule = Field(description='when it opens, such as { cron: "0 2 * * *" }')
    duration: Annotated[int, PlainValidator(lambda value: whole_minutes(value, 1, LONGEST_WINDOW_MINUTES))] = Field(
        description="how many minutes it stays open, such as 120"
    )
    cutoff: Annotated[int, PlainValidator(lambda value: whole_minutes(value, 0, LONGEST_WINDOW_MINUTES))] = 0
    allowed_tasks: Annotated[tuple[Type, ...], AfterValidator(some)] | None = None
    max_concurrent_tasks: Annotated[int, PlainValidator(between(1, 1000))] = 3
    emergency_override: Flag = False
    enabled: Flag = True
    exclusions: tuple[PeriodGiven, ...] = ()
    conditions: tuple[ConditionGiven, ...] = ()
    notifications: WindowNotificationsGiven | None = None

    @field_validator("schedule")
    @classmethod
    def _exists_in_its_zone(cls, value: WindowSchedule, info: ValidationInfo) -> WindowSchedule:
        value.schedule(info.data.get("timezone") or "UTC")
        return value

    @field_validator("cutoff")
    @classmethod
    def _shorter_than_the_window(cls, value: int, info: ValidationInfo) -> int:
        duration = info.data.get("duration")
        if duration is not None and value >= duration:
            length = "as long as" if value == duration else "longer than"
            name = info.data.get("name", "")
            raise ValueError(f"cannot open window {name}: cutoff ({value} min) is {length} the window ({duration} min)")
        return value


def object_id(kind: str, name: str) -> str:
    """The id that a task or window of this name always has; `kind` is task or window."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}:{name}"))


def window_asked_for(given: Mapping[str, Any]) -> str | None:
    """The window that a task's schedule names, however wrong the rest of the task may be."""
    schedule = given.get("schedule")
    window = schedule.get("window") if isinstance(schedule, Mapping) else None
    return window if isinstance(window, str) else None


def task_followed(given: Mapping[str, Any]) -> str | None:
    """The task whose end makes this one due, however wrong the rest of the task may be."""
    schedule = given.get("schedule")
    after = schedule.get("after") if isinstance(schedule, Mapping) else None
    task = after.get("task") if isinstance(after, Mapping) else after
    return task if isinstance(task, str) else None


def tasks_waited_for(given: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """The tasks that a task depends on, each with its position, however wrong the rest of the task may be."""
    dependencies = given.get("dependencies")
    for index, dependency in enumerate(dependencies if isinstance(dependencies, list) else ()):
        task = dependency.get("task") if isinstance(dependency, Mapping) else None
        if isinstance(task, str):
            yield index, task
