"""Indexes: how much of one is air, whether it may be rebuilt, and whether it may be dropped."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MIB = 1 << 20
LEAST_BYTES = MIB
"""Of a smaller one the estimate means nothing, and a rebuild gains nothing."""
WRAPAROUND_AGE = 1_500_000_000
"""From there on only vacuuming helps: everything else waits."""
UNSAFE_VERSIONS = range(140000, 140004)
"""Their concurrent builds lose entries (BUG #17485)."""
UNUSED_BYTES = 10 * MIB
UNUSED_DAYS = 35
"""For so long nobody may have used it, by looks of our own: some work is done once a month."""
LEAST_LOOKS = 2

_LEFTOVER = re.compile(r"_cc(new|old)[0-9]*$")
_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Index:
    """One index as the server describes it. `needed_bytes`: what it would take if it were new, None if not known."""

    oid: int
    table_oid: int
    name: str
    quoted: str
    table_quoted: str
    method: str
    definition: str
    bytes: int
    table_bytes: int
    tuples: float
    table_tuples: float
    is_valid: bool
    is_unique: bool
    is_primary: bool
    is_exclusion: bool
    is_replica_identity: bool
    is_clustered: bool
    has_expressions: bool
    is_partial: bool
    is_partitioned: bool
    is_partition: bool
    persistence: str
    backs_constraint: bool
    supports_foreign_key: bool
    is_being_built: bool
    is_of_extension: bool
    is_owner: bool
    owner: str
    scans: int
    tuples_read: int
    last_scan: datetime | None
    writes: int
    shape: str
    location: str
    needed_bytes: int | None

    @property
    def air(self) -> float | None:
        """The share of it that a rebuild would give back, 0..1, by the server's statistics; None if not known."""
        if self.needed_bytes is None or not self.bytes:
            return None
        return max(0.0, 1 - self.needed_bytes / self.bytes)


@dataclass(frozen=True, slots=True)
class Noted:
    """What we have seen of an index before: since when nobody has used it, and how often we have looked."""

    since: datetime
    looks: int
    scans: int


def air_of_pages(leaf: int, empty: int, deleted: int, density_percent: float, fill_percent: float = 90.0) -> float:
    """The share of a btree that a rebuild would give back, from what was counted in its pages."""
    pages = leaf + empty + deleted
    if not pages:
        return 0.0
    used = leaf * min(1.0, density_percent / fill_percent)
    return max(0.0, 1 - used / pages)


def why_not_rebuild(index: Index, version: int, with_expressions: bool) -> str | None:
    """Why an index is left as it is however much air is in it; None if it may be rebuilt."""
    return next(_against_rebuild(index, version, with_expressions), None)


def _against_rebuild(index: Index, version: int, with_expressions: bool) -> Iterator[str]:
    if is_leftover(index.name):
        yield "it was left by an interrupted build that is not ours: check it and drop it by hand"
    if not index.is_valid:
        yield "it is invalid: somebody's build has failed or is under way; drop it or build it again by hand"
    if index.is_being_built:
        yield "it is being built just now"
    if index.is_exclusion:
        yield "an exclusion constraint's index cannot be rebuilt concurrently"
    if index.is_partitioned:
        yield "it is the index of a partitioned table: those of its partitions are looked at by themselves"
    if index.method != "btree":
        yield f"how much of it is bloat is not known for the method {index.method}"
    if version in UNSAFE_VERSIONS:
        yield "PostgreSQL 14.0 to 14.3 lose entries in concurrent builds: update the server first"
    if index.is_of_extension:
        yield "it belongs to an extension"
    if not index.is_owner:
        yield "its table belongs to another role"
    if index.has_expressions and not with_expressions:
        yield "it is over an expression, whose statistics are lost until the next ANALYZE: expression_indexes allows it"


def why_not_drop(
    index: Index, replicas: int, noted: Noted | None, now: datetime, counting_since: datetime | None = None
) -> str | None:
    """Why an index that seems unused stays; None if it may go. Scans before `counting_since` have been forgotten."""
    return next(_against_drop(index, replicas, noted, now, counting_since), None)


def never_dropped(index: Index, twin: Index | None = None) -> str | None:
    """What the index is there for besides being scanned, and `twin` (of the same columns) is not; None if that is
    all."""
    return next(_duties(index, twin), None)


def _duties(index: Index, twin: Index | None = None) -> Iterator[str]:
    if index.is_primary:
        yield "it is the primary key"
    if index.is_unique and not (twin is not None and twin.is_unique):
        yield "it keeps its columns unique"
    if index.is_exclusion or index.backs_constraint:
        yield "a constraint rests on it"
    if index.is_replica_identity:
        yield "it is the replica identity of its table"
    if index.is_clustered:
        yield "its table is clustered by it"
    if index.has_expressions:
        yield "it is over an expression, whose statistics serve the planner even if it is never scanned"
    if index.is_partition or index.is_partitioned:
        yield "it belongs to the index of a partitioned table"
    if index.supports_foreign_key and twin is None:
        yield "a foreign key of its table is looked up by it"
    if index.is_of_extension:
        yield "it belongs to an extension"


def _against_drop(
    index: Index, replicas: int, noted: Noted | None, now: datetime, counting_since: datetime | None
) -> Iterator[str]:
    yield from _duties(index)
    if not index.is_valid or index.is_being_built:
        yield "it is invalid or being built"
    if index.bytes < UNUSED_BYTES:
        yield f"it is smaller than {UNUSED_BYTES // MIB} MiB"
    if not index.is_owner:
        yield "its table belongs to another role"
    if index.scans:
        yield f"it was scanned {index.scans} times"
    if index.tuples_read:
        yield f"its method ({index.method}) does not count scans, and entries of it were read"
    if index.last_scan is not None:
        yield f"it was scanned last on {index.last_scan:%Y-%m-%d}"
    if index.table_tuples <= 0:
        yield "its table is empty, or was never analysed: a copy that was just restored looks so too"
    if replicas:
        yield "there are replicas, whose use of it cannot be seen here"
    days = 0 if noted is None else (now - noted.since).days
    looks = 0 if noted is None else noted.looks
    if days < UNUSED_DAYS:
        yield f"it has been watched for {days} of {UNUSED_DAYS} days"
    elif looks < LEAST_LOOKS:
        yield f"it was looked at in {looks} of at least {LEAST_LOOKS} runs, over {days} days"
    if counting_since is not None and now - counting_since < timedelta(days=UNUSED_DAYS):
        yield f"the server's counters were reset on {counting_since:%Y-%m-%d}: scans before that are not known"


def is_leftover(name: str) -> bool:
    """Whether a concurrent build that was cut short may have left an index of that name."""
    return _LEFTOVER.search(name) is not None


def may_be_left_by(name: str, original: str) -> bool:
    """Whether `name` is what a rebuild of the index `original` calls its half-built or its outgoing one."""
    found = _LEFTOVER.search(name)
    if found is None:
        return False
    stem, suffix = name[: found.start()].encode(), name[found.start() :].encode()
    whole = original.encode()
    if len(whole) + len(suffix) <= _NAME_BYTES:
        return stem == whole
    return whole.startswith(stem) and len(stem) + len(suffix) > _NAME_BYTES - 4  # cut between whole characters


def duplicates(indexes: Sequence[Index]) -> list[tuple[Index, Index]]:
    """Pairs of the same index: the first can go, the second stays."""
    found: dict[str, list[Index]] = {}
    for index in indexes:
        if index.is_valid:
            found.setdefault(index.shape, []).append(index)
    pairs = []
    for same in found.values():
        keep = max(same, key=lambda one: (never_dropped(one, one) is not None, one.is_unique, one.scans, -one.oid))
        pairs += [(index, keep) for index in same if index is not keep and never_dropped(index, keep) is None]
    return pairs


def covered(indexes: Sequence[Index]) -> list[tuple[Index, Index]]:
    """Pairs of btrees of which the first has the columns with which the second begins, and nothing else to do."""
    pairs = []
    for index in indexes:
        if not index.is_valid or index.method != "btree" or never_dropped(index, index) is not None or index.is_unique:
            continue
        wider = [other for other in indexes if other.table_oid == index.table_oid and _begins(other, index)]
        if wider:
            pairs.append((index, min(wider, key=lambda one: (one.bytes, one.oid))))
    return pairs


def _begins(wide: Index, narrow: Index) -> bool:
    """Whether the columns, their order and all else of `narrow` are those with which `wide` begins."""
    if not wide.is_valid or wide.method != "btree" or wide.has_expressions or narrow.has_expressions:
        return False
    here, there = wide.shape.split("/"), narrow.shape.split("/")
    columns = len(there[1].split())
    parts = [(a.split(), b.split()) for a, b in zip(here[1:5], there[1:5], strict=True)]
    return len(parts[0][0]) > columns and here[5:] == there[5:] and all(a[:columns] == b[:columns] for a, b in parts)
