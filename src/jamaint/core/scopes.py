"""Scopes: which tasks a policy or a freeze is about, and which of two is nearer to a task."""

from dataclasses import dataclass

from jamaint.core.tasks import Task


@dataclass(frozen=True, slots=True)
class Scope:
    """What is named must all hold, one of each list; with nothing named, it is about everything."""

    types: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()

    @property
    def specificity(self) -> int:
        """The greater the nearer: a scope that names tasks goes before any that does not, then windows, categories
        and types; everything is 0."""
        named = (self.tasks, self.windows, self.categories, self.types)
        return sum(weight for weight, names in zip((8, 4, 2, 1), named, strict=True) if names)

    def covers(self, task: Task, window: str | None) -> bool:
        """Whether it is about `task`, where it runs in `window` (None: in none)."""
        return (
            (not self.types or task.type in self.types)
            and (not self.categories or task.category in self.categories)
            and (not self.tasks or task.name in self.tasks)
            and (not self.windows or (window is not None and window in self.windows))
        )


EVERYTHING = Scope()
