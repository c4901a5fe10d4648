"""A hundred thousand mutated lines from a seed: each is answered strictly or not at all, and nobody else notices."""

import random
import time
from collections.abc import Iterator

import pytest

from daemon_harness import client
from jamaint.errors import (
    CONFLICT,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_FOUND,
    PARSE_ERROR,
    TOO_LARGE,
)
from load_harness import Siege, line, siege, strict

SEED = 20261124
LINES = 100_000
AT_ONCE = 100
MEMORY_BYTES = 64 << 20
CODES = {PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, NOT_FOUND, TOO_LARGE, CONFLICT}
SEEDS = (
    line(id=1, method="status"),
    line(id="a", method="task.list", params={"limit": 10}),
    line(id=2, method="task.get", params={"task": "nothing"}),
    line(id=3, method="task.explain", params={"task": "nothing", "at": "2026-11-24T02:00:00Z"}),
    line(id=4, method="execution.list", params={"status": "completed", "limit": 5, "since": "2026-01-01T00:00:00Z"}),
    line(id=5, method="execution.get", params={"execution": "last"}),
    line(id=6, method="execution.wait", params={"execution": "last", "timeout": 0}),
    line(id=7, method="execution.logs", params={"execution": "last", "after_seq": 1}),
    line(id=8, method="window.next", params={"limit": 3}),
    line(id=9, method="audit.list", params={"limit": 3, "cursor": "17"}),
    line(id=10, method="task.create", params={"task": {"name": "new", "type": "custom", "config": {"command": "x"}}}),
    line(id=11, method="task.update", params={"task": "nothing", "changes": {"priority": "high", "timeout": "3m"}}),
    line(id=12, method="window.create", params={"window": {"name": "w", "schedule": {"cron": "0 2 * * *"}}}),
    line(
        id=13, method="policy.create", params={"policy": {"name": "p", "rules": [{"freeze": {"from": "2026-12-20"}}]}}
    ),
    line(id=14, method="execution.cancel", params={"execution": "00000000"}),
    line(id=15, method="execution.rollback", params={"execution": "00000000", "dry_run": True}),
)
SNIPPETS = (b"null", b"true", b"-1", b"1e400", b"NaN", b'""', b"[]", b"{}", b"\\u0000", b"\\ud800", b"\x00", b"\xff",
            b'"', b"{", b"}", b"[", b"]", b",", b":", b"9" * 30, b"0" * 300, b"\xf0\x9f\x92\xa3", b"\r")  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    """One of the seeds, with one to four wounds."""
    data = bytearray(chance.choice(SEEDS)[:-1])
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            data[at : at + chance.randrange(1, 9)] = b""
        elif kind == 1:
            data[at:at] = chance.choice(SNIPPETS)
        elif kind == 2 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 3:
            data += data[at : at + 40]
        else:
            data[at:at] = chance.choice(SEEDS)[:-1]
    return bytes(data).replace(b"\n", b" ") + b"\n"


@pytest.fixture
def place(postgres_dsn: str, _template: str) -> Iterator[Siege]:
    tasks = {"nothing": {"type": "custom", "category": "system", "executor": "noop"}}
    with siege(postgres_dsn, _template, tasks=tasks) as found:
        yield found


def test_a_hundred_thousand_lines(place: Siege, capsys: pytest.CaptureFixture[str]) -> None:
    chance, began, answers = random.Random(SEED), time.monotonic(), 0
    with client(place.socket) as good:
        for _ in range(LINES // AT_ONCE):
            lines = [mutated(chance) for _ in range(AT_ONCE)]
            with client(place.socket) as one:
                one.send_raw(b"".join(lines))
                one.end_sending()
                assert place.ask(good)["protocol"] == 1  # while those lie before it
                replies = [strict(reply) for reply in one.receive_all()]
            answers += len(replies)
            assert len(replies) <= AT_ONCE
            for reply in replies:
                assert reply.get("error", {"code": CONFLICT})["code"] in CODES, (SEED, reply, lines)
        assert answers > LINES * 0.7
    place.rest()
    told = place.told()
    assert place.grown() <= MEMORY_BYTES, told
    with capsys.disabled():
        print(f"\nfuzz: seed {SEED}, {LINES} lines in {time.monotonic() - began:.0f} s, {answers} answers, {told}")
