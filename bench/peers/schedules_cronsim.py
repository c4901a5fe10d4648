"""cronsim, the library below ours, as it is meant to be used: it handles the zone itself."""

from cronsim import CronSim
from expressions import NOW, tell_iterators

tell_iterators(lambda expression: CronSim(expression, NOW), next)
