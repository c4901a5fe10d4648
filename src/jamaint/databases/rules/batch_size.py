"""Batch size: how many rows at once, how long to rest after them, and what to wait for instead."""

from collections.abc import Iterator
from dataclasses import dataclass

TARGET_SECONDS = 0.1
"""How long a batch should hold its locks: shorter than anybody's patience, long enough to be worth a commit."""
MIB = 1 << 20
FIRST_ROWS = 500
LEAST_ROWS = 20
MOST_ROWS = 20_000
GROWTH = 1.5
"""At most so much larger than the last: one quick batch says little about the next."""
REST_SHARE = 0.25
"""Rest per time worked, where nobody else works."""
REST_SHARE_OF_EACH = 5.0
"""What each session that is at work adds to it: one leaves us a sixth of the time, three a sixteenth."""
MOST_REST_SHARE = 15.0
LOOKS = 3
"""Of how many looks the sessions at work are a mean: one look sees a moment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these, others suffer: the work waits."""

    lag_bytes: int = 32 << 20
    lag_seconds: float = 10.0
    transaction_seconds: float = 600.0
    wal_share_per_second: float = 1 / 20
    """Of max_wal_size: faster than that, checkpoints come one after the other."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the server says of itself between two batches. Bytes of the write-ahead log count from its beginning."""

    at_seconds: float
    wal_bytes: int
    max_wal_bytes: int
    replicas: int = 0
    lag_bytes: int | None = 0
    """Of the replica that is furthest behind; None if the server does not say."""
    lag_seconds: float | None = 0.0
    vacuum: str | None = None
    """Who vacuums the table just now."""
    others: int = 0
    """Sessions of others that are at work; those whose state is hidden from us count as one."""
    hidden: int = 0
    blocked: int = 0
    """Sessions that wait for a lock of ours."""
    transaction_seconds: float = 0.0
    transaction_pid: int | None = None


def next_size(
    size: int, seconds: float, most: int = MOST_ROWS, target: float = TARGET_SECONDS, least: int = LEAST_ROWS
) -> int:
    """How many rows the next batch takes, when `size` took so long. It falls at once, and grows by and by."""
    factor = GROWTH if seconds <= 0 else min(target / seconds, GROWTH)
    return max(min(least, most), min(most, round(size * factor)))


def smaller(size: int, most: int = MOST_ROWS) -> int:
    """After a batch that was in somebody's way."""
    return max(min(LEAST_ROWS, most), size // 2)


def rest_seconds(worked: float, others: float, slowly: bool = False) -> float:
    """How long to rest after a batch, beside so many sessions at work; `slowly`: too much is written already."""
    share = REST_SHARE + REST_SHARE_OF_EACH * others
    return worked * (MOST_REST_SHARE if slowly else min(share, MOST_REST_SHARE))


def why_wait(now: Vitals, limits: Limits) -> str | None:
    """The first reason to wait, for a person; None to go on. What is not known is a reason."""
    return next(_reasons(now, limits), None)


def writes_much(now: Vitals, before: Vitals | None, limits: Limits) -> str | None:
    """What is said of a server that writes its log too fast, whoever makes it do so; else None."""
    if before is None or now.at_seconds <= before.at_seconds:
        return None
    rate = (now.wal_bytes - before.wal_bytes) / (now.at_seconds - before.at_seconds)
    most = now.max_wal_bytes * limits.wal_share_per_second
    if rate <= most:
        return None
    return f"the server writes {rate / MIB:.0f} MiB of log a second (the limit is {most / MIB:.0f} MiB)"


def _reasons(now: Vitals, limits: Limits) -> Iterator[str]:
    if now.replicas and now.lag_bytes is None:
        yield "how far the replicas are behind is not known: grant pg_monitor to the role"
    if now.lag_bytes is not None and now.lag_bytes > limits.lag_bytes:
        yield f"a replica is {now.lag_bytes >> 20} MiB behind (the limit is {limits.lag_bytes >> 20} MiB)"
    if now.lag_seconds is not None and now.lag_seconds > limits.lag_seconds and now.lag_bytes:
        yield f"a replica is {now.lag_seconds:.0f} s behind (the limit is {limits.lag_seconds:.0f} s)"
    if now.vacuum is not None:
        yield f"{now.vacuum} is at work on the table"
    if now.blocked:
        yield f"sessions wait for a lock of ours: {now.blocked}"
    if now.transaction_seconds > limits.transaction_seconds:
        minutes = now.transaction_seconds / 60
        process = f"process {now.transaction_pid}"
        yield f"{process} has had a transaction open for {minutes:.0f} minutes, so that nothing could be cleaned up"
