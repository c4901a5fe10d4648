"""Plan items of a database: what a stored plan lists, and how much of it is done when it is carried out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jamaint.core.plans import Item, Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a plan says of one rule of old rows: the table's oid, from when on rows are not old, and how many go at most
    (None where it could only estimate)."""

    table: int
    cutoff: datetime
    most: int | None


@dataclass(frozen=True, slots=True)
class Promise:
    """`rules` by their numbers from one on; `things` are oids by step: of indexes, or of tables."""

    rules: Mapping[int, Rule]
    things: Mapping[str, frozenset[int]]

    def only(self, step: str) -> frozenset[int]:
        """The oids of what that step may touch."""
        return self.things.get(step, frozenset())


def items_of(step: Step, now: datetime) -> Iterator[Item]:
    """The items of a step, whose device is an oid: an index, a table, or a rule of old rows with its number as inode,
    the rows as ctime, and its cutoff as the time of writing."""
    for number, rule in enumerate(step.args.get("rules", ()), start=1):
        path = f"{rule['rows']:,} rows {rule['says']}"
        most = rule["rows"] if rule["exact"] else -1
        yield Item(
            rule["name"],
            path,
            rule["oid"],
            number,
            rule["bytes"],
            _nanoseconds(datetime.fromisoformat(rule["cutoff"])),
            most,
        )
    for thing in step.args.get("things", ()):
        yield Item("", thing["name"], thing["oid"], 0, thing["bytes"], _nanoseconds(now), 0)


def promise_of(items: Iterable[tuple[str, Item]]) -> Promise:
    """The inverse."""
    rules, things = dict[int, Rule](), dict[str, set[int]]()
    for step, item in items:
        if item.inode:
            cutoff = _EPOCH + (item.mtime_ns // 1000) * _MICROSECOND
            rules[item.inode] = Rule(item.device, cutoff, None if item.ctime_ns < 0 else item.ctime_ns)
        else:
            things.setdefault(step, set()).add(item.device)
    return Promise(rules, {step: frozenset(oids) for step, oids in things.items()})


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000
