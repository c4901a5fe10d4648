"""Freezes as they stand in the file, and the core's values made from them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator

from jamaint.config.periods import PeriodGiven, read_periods, schedule_flaws
from jamaint.config.task_window_models import Name, Type
from jamaint.core.calendar.freezes import Freeze
from jamaint.core.scopes import Scope
from jamaint.core.tasks import CATEGORIES
from jamaint.schema.errors import Flaw
from jamaint.schema.fields import Flag, Note, Section, one_of, some
from jamaint.schema.validation import read

DEFAULTS = ("open", "closed")
Category = Annotated[str, PlainValidator(one_of(CATEGORIES))]
Default = Annotated[str, PlainValidator(one_of(DEFAULTS))]


class ScopeGiven(Section):
    """What a freeze or a policy is about; with nothing in it, everything."""

    types: Annotated[tuple[Type, ...], AfterValidator(some)] | None = None
    categories: Annotated[tuple[Category, ...], AfterValidator(some)] | None = None
    tasks: Annotated[tuple[Name, ...], AfterValidator(some)] | None = None
    windows: Annotated[tuple[Name, ...], AfterValidator(some)] | None = None

    def scope(self) -> Scope:
        """The scope as the core takes it."""
        return Scope(self.types or (), self.categories or (), self.tasks or (), self.windows or ())


class FreezeGiven(PeriodGiven):
    """A freeze."""

    name: Name
    description: Note = ""
    default: Default = "open"
    scope: ScopeGiven = ScopeGiven()
    enabled: Flag = True


def read_freeze(given: Mapping[str, Any]) -> tuple[Freeze | None, list[Flaw]]:
    """The freeze that `given` (with its `name`) defines, or None and every flaw of it."""
    model, flaws = read(FreezeGiven, given)
    flaws += schedule_flaws(given, flaws, ())
    if model is None or flaws:
        return None, flaws
    periods = read_periods(given, model, flaws, ())
    if periods.value is None:
        return None, list(periods.flaws)
    freeze = Freeze(
        name=model.name,
        periods=(periods.value,),
        scope=model.scope.scope(),
        closed_by_default=model.default == "closed",
        description=model.description,
        enabled=model.enabled,
        timezone=model.timezone or "UTC",
        definition=dict(given),
    )
    return freeze, []
