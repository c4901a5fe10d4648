"""croniter, which most others use."""

from datetime import datetime

from croniter import croniter
from expressions import NOW, tell_iterators

tell_iterators(lambda expression: croniter(expression, NOW), lambda one: one.get_next(datetime))
