"""cache.cleanup on a real server: only what is asked for goes, what is used meanwhile stays, and it can come back."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from jamaint.caches import redis as redis_cache
from jamaint.caches.key_backup import KeptKeys
from jamaint.caches.redis import Kept
from jamaint.config import Known, parse_task
from jamaint.core.plans import MassDeletion, Step, step_from_json, step_to_json
from jamaint.errors import JamaintError
from jamaint.executors.cache_cleanup.executor import CacheCleanup
from jamaint.executors.shared.executor import StepError, StopRequestedError, Work
from jamaint.files.trash.inventory import Inventory
from redis_server import needs_redis, serving
from tree_snapshot import differences, snapshot

pytestmark = needs_redis
NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)


class Listener:
    """A Host that stops at checkpoint number `stop_at`, and calls `at_checkpoint` at each."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.checkpoints = 0
        self.stop_at: int | None = None
        self.at_checkpoint: Callable[[], None] = lambda: None
        self.taken_blocks: list[bytes] = []

    def progress(self, done: int, total: int | None, unit: str) -> None:
        assert unit == "items"
        assert total is None or done <= total

    def log(self, level: str, message: str) -> None:
        self.said.append(message)

    def paused(self) -> int:
        return 0

    def waiting(self, why: str) -> None:
        pass

    def alone(self) -> bool:
        return True

    def taken(self, block: bytes) -> None:
        self.taken_blocks.append(block)

    def portion(self, most: int) -> int:
        return most

    def held(self, number: int) -> None:
        return None

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == self.stop_at:
            raise StopRequestedError
        self.at_checkpoint()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


@pytest.fixture
def client(address: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(address) as found:
        found.flushall()
        yield found


@pytest.fixture
def host() -> Listener:
    return Listener()


@pytest.fixture
def cleanup(address: str, tmp_path: Path, host: Listener) -> Callable[..., CacheCleanup]:
    def make(
        url: str = address, execution: str | None = None, taken: Any = None, held: Any = (), **rules: Any
    ) -> CacheCleanup:
        usual = {"pattern": "*", "idle_for_seconds": None, "missing_expiry": False, "max_memory_share": None}
        work = Work(
            execution=execution or str(uuid.uuid4()),
            task_name="sweep",
            config={"redis": {"url": url, "keep_for_rollback": False, **usual, **rules}},
            keeps_way_back=True,
            mass_deletion=MassDeletion(),
            timeout_seconds=None,
            now=NOW,
            low_space=0.0,
            kept_directory=str(tmp_path / "kept"),
            taken=taken,
            held=held,
        )
        return CacheCleanup(work, host)

    return make


def cleaned(executor: CacheCleanup) -> tuple[Step, dict[str, Any]]:
    """Plans, runs every step as the daemon hands them over; the last step and its details."""
    details: dict[str, Any] = {}
    for step in executor.plan().steps:
        last = step_from_json(step_to_json(step))
        details = executor.run(last)
    return last, details


def fill(client: "redis.Redis[bytes]", count: int = 300, prefix: str = "page:") -> None:
    pipe = client.pipeline()
    for number in range(count):
        pipe.set(f"{prefix}{number}", f"value {number} " * 10)
    pipe.execute()


def made_idle(client: "redis.Redis[bytes]", seconds: int, *keys: str) -> None:
    """As if nobody had used them for so long: RESTORE can say so."""
    for key in keys:
        value = client.dump(key)
        client.restore(key, 0, value, replace=True, idletime=seconds)


class TestWhatGoes:
    def test_only_what_matches(self, client, cleanup) -> None:
        fill(client, 250)
        fill(client, 20, "session:")
        _, details = cleaned(cleanup(pattern="page:*"))
        assert details["files"] == 250
        assert client.dbsize() == 20

    def test_only_what_has_been_idle(self, client, cleanup) -> None:
        fill(client, 10)
        made_idle(client, 3600, "page:3", "page:7")
        _, details = cleaned(cleanup(idle_for_seconds=1800.0))
        assert details["files"] == 2
        assert not client.exists("page:3", "page:7")
        assert client.dbsize() == 8

    def test_only_what_never_expires_by_itself(self, client, cleanup) -> None:
        fill(client, 5)
        client.expire("page:0", 1000)
        _, details = cleaned(cleanup(missing_expiry=True))
        assert (details["files"], client.keys()) == (4, [b"page:0"])

    def test_what_is_used_between_plan_and_run_stays(self, client, cleanup) -> None:
        fill(client, 3)
        made_idle(client, 3600, "page:0", "page:1")
        executor = cleanup(idle_for_seconds=1800.0)
        steps = executor.plan().steps
        client.get("page:1")
        assert executor.run(steps[-1])["files"] == 1
        assert sorted(client.keys()) == [b"page:1", b"page:2"]

    def test_what_is_used_in_the_very_moment_stays(self, client, cleanup, monkeypatch) -> None:
        """Between the look and the removal of one batch."""
        fill(client, 3)
        made_idle(client, 3600, "page:0", "page:1")
        executor = cleanup(idle_for_seconds=1800.0)
        steps = executor.plan().steps
        remove = redis_cache.RedisCache.remove

        def use_and_remove(self: Any, *args: Any) -> Any:
            client.get("page:0")
            return remove(self, *args)

        monkeypatch.setattr(redis_cache.RedisCache, "remove", use_and_remove)
        details = executor.run(steps[-1])
        assert (details["files"], details["used_since"]) == (1, 1)
        assert client.exists("page:0")

    def test_memory_comes_down_to_the_share_by_the_longest_idle(self, tmp_path, cleanup) -> None:
        limit = ("--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru")
        with serving(*limit) as url, redis.Redis.from_url(url) as client:
            client.set("fresh", b"x" * 2_000_000)
            for number in range(40):
                client.set(f"old:{number}", b"x" * 200_000)
                made_idle(client, 100_000, f"old:{number}")
            share = (client.info("memory")["used_memory"] - 3_000_000) / (20 << 20)
            _, details = cleaned(cleanup(url, max_memory_share=share))
            assert client.exists("fresh")
            assert 0 < details["files"] <= 40
            assert details["memory_after"] <= share * (20 << 20)
            assert "Remove nothing" in cleanup(url, max_memory_share=share).plan().steps[-1].says

    def test_the_plan_changes_nothing_and_makes_nothing_look_used(self, client, cleanup) -> None:
        fill(client, 5)
        made_idle(client, 3600, *(f"page:{number}" for number in range(5)))
        before = client.info("stats")["total_writes_processed"]
        plan = cleanup().plan()
        assert (plan.steps[-1].items, plan.steps[-1].undo) == (5, None)
        assert client.object("idletime", "page:0") >= 3600
        assert client.dbsize() == 5
        assert client.info("stats")["total_writes_processed"] >= before

    def test_names_of_any_bytes(self, client, cleanup) -> None:
        client.set(b"\xff\x00\n*[", b"\x00\xff")
        executor = cleanup(keep_for_rollback=True)
        assert executor.plan().steps[-1].sample[0]["path"] == "\\xff\x00\n*["
        cleaned(executor)
        assert client.dbsize() == 0

    def test_an_empty_server(self, client, cleanup) -> None:
        assert cleaned(cleanup())[1]["files"] == 0


class TestTheWayBack:
    def values(self, client) -> dict[bytes, tuple[bytes, int]]:
        return {key: (client.dump(key), client.pttl(key) // 10**6) for key in client.scan_iter()}

    def test_every_kind_of_value_comes_back_with_its_expiry_and_idle_time(self, client, cleanup) -> None:
        client.set("text", "value")
        client.rpush("list", *range(500))
        client.hset("hash", mapping={str(number): number for number in range(500)})
        client.sadd("set", *range(10))
        client.zadd("sorted", {"a": 1, "b": 2})
        client.xadd("stream", {"field": "value"})
        client.expire("text", 10**6 + 500)  # so that values() reads the same for a while
        made_idle(client, 3600, "list")
        before = self.values(client)
        executor = cleanup(keep_for_rollback=True)
        step, details = cleaned(executor)
        assert (client.dbsize(), details["files"]) == (0, 6)
        assert details["freed_on_purge"] > 0
        undone = executor.undo(step, dry_run=False)
        assert (undone["restored"], undone["kept"], undone["problems"]) == (6, [], [])
        assert self.values(client).keys() == before.keys()
        assert client.lrange("list", 0, -1) == [str(number).encode() for number in range(500)]
        assert client.hgetall("hash")[b"499"] == b"499"
        assert client.object("idletime", "hash") < 3000 <= client.object("idletime", "list") + 3600
        assert before[b"text"] == self.values(client)[b"text"]
        assert executor.undo(step, dry_run=False)["kept"] == []

    def test_keys_that_came_back_are_held(self, client, cleanup) -> None:
        fill(client, 5)
        executor = cleanup(execution="e-1", keep_for_rollback=True)
        step, _ = cleaned(executor)
        dry, (record,) = executor.undo(step, dry_run=True)["held"], executor.undo(step, dry_run=False)["held"]
        (place,) = record["places"]
        assert (place["items"], place["unit"]) == (dry[0]["places"][0]["items"], "key") == (5, "key")
        fill(client, 1, "other:")
        again = cleanup(execution="e-2", held=[{**record, "execution": "e-1"}], keep_for_rollback=True)
        plan = again.plan()
        assert plan.steps[-1].items == 1
        assert "5 keys are left alone, which a rollback has put back" in plan.steps[-1].says
        other = cleanup(execution="e-2", held=[{**record, "execution": "e-1"}])  # a worker that has not planned
        assert not other._goes(next(one for batch in other._connected().look("page:0") for one in batch), 0)
        _, details = cleaned(again)
        assert (details["files"], client.dbsize()) == (1, 5)
        over = {**record, "places": [{**place, "until_ns": 0}]}
        assert cleaned(cleanup(execution="e-3", held=[over]))[1]["files"] == 5

    def test_a_key_that_has_come_again_is_not_overwritten(self, client, cleanup) -> None:
        fill(client, 3)
        executor = cleanup(keep_for_rollback=True)
        step, _ = cleaned(executor)
        client.set("page:1", "newer")
        dry = executor.undo(step, dry_run=True)
        undone = executor.undo(step, dry_run=False)
        for outcome in (dry, undone):
            assert outcome["restored"] == 2
            assert outcome["kept"] == [{"path": "page:1", "why": "a key of that name exists again"}]
        assert client.get("page:1") == b"newer"

    @pytest.mark.parametrize("left", [0, 0.5, 1])
    def test_undo_tells_what_is_kept_no_more(self, client, cleanup, host, left, tmp_path) -> None:
        fill(client, 40)
        executor = cleanup(execution="x-1", keep_for_rollback=True)
        step, details = cleaned(executor)
        file = tmp_path / "kept" / "x-1" / "cleanup.keys"
        if left:
            os.truncate(file, int(file.stat().st_size * left))
        else:
            file.unlink()
        blocks = tmp_path / "taken"
        blocks.write_bytes(b"".join(len(block).to_bytes(4, "big") + block for block in host.taken_blocks))
        with blocks.open("rb") as record:
            again = cleanup(execution="x-1", keep_for_rollback=True, taken=Inventory(record.fileno()))
            foreseen, undone = again.undo(step, dry_run=True), again.undo(step, dry_run=False)
        gone = 40 - undone["restored"]
        assert (details["files"], gone == 0, gone == 40) == (40, left == 1, left == 0)
        told = [
            {"path": str(file), "why": f"{gone} of 40 keys are not in what was kept any more: they cannot be put back"}
        ]
        for outcome in (foreseen, undone):
            assert outcome["problems"] == outcome.get("missing", []) == (told if gone else [])
        assert undone["kept"] == []

    def test_a_dry_run_puts_nothing_back(self, client, cleanup) -> None:
        fill(client, 3)
        executor = cleanup(keep_for_rollback=True)
        step, _ = cleaned(executor)
        assert executor.undo(step, dry_run=True)["restored"] == 3
        assert client.dbsize() == 0

    def test_what_has_expired_meanwhile_stays_away(self, client, cleanup, host) -> None:
        kept = KeptKeys(str(cleanup()._work.kept_directory), "an-execution", "cleanup.keys")
        kept.add([Kept(b"gone", b"value", 1, 0)])
        executor = cleanup(execution="an-execution", keep_for_rollback=True)
        step = executor.plan().steps[-1]
        assert executor.undo(step, dry_run=False)["restored"] == 0
        assert "1 keys have expired since and are not restored" in host.said

    def test_what_was_changed_while_it_was_kept_stays_and_is_no_conflict(self, client, cleanup, monkeypatch) -> None:
        fill(client, 3)
        executor = cleanup(keep_for_rollback=True)
        steps = executor.plan().steps
        remove = redis_cache.RedisCache.remove_kept

        def change_and_remove(self: Any, kept: Any) -> Any:
            client.set("page:2", "newer")
            return remove(self, kept)

        monkeypatch.setattr(redis_cache.RedisCache, "remove_kept", change_and_remove)
        assert executor.run(steps[-1])["files"] == 2
        undone = executor.undo(steps[-1], dry_run=False)
        assert (undone["restored"], undone["kept"]) == (2, [])
        assert client.get("page:2") == b"newer"

    @pytest.mark.parametrize("dies_after", ["keep", "add", "remove_kept", "take_back"])
    def test_killed_after_each_call_nothing_is_lost(self, client, cleanup, monkeypatch, dies_after: str) -> None:
        fill(client, 120)
        before = {key: client.get(key) for key in client.scan_iter()}
        execution = str(uuid.uuid4())
        executor = cleanup(execution=execution, keep_for_rollback=True)
        steps = executor.plan().steps
        owner = KeptKeys if dies_after in ("add", "take_back") else redis_cache.RedisCache
        original, calls = getattr(owner, dies_after), iter(range(10**6))

        def call(self: Any, *args: Any) -> Any:
            answer = original(self, *args)
            if next(calls) == 1:
                os._exit(9)
            return answer

        child = os.fork()
        if child == 0:
            try:
                monkeypatch.setattr(owner, dies_after, call)
                executor._cache = None
                executor.run(steps[-1])
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert client.dbsize() < 120
        undone = cleanup(execution=execution, keep_for_rollback=True).undo(steps[-1], dry_run=False)
        assert (undone["kept"], undone["problems"]) == ([], [])
        assert {key: client.get(key) for key in client.scan_iter()} == before

    def test_a_purge_lets_it_go_and_says_how_much(self, client, cleanup, tmp_path) -> None:
        fill(client, 50)
        executor = cleanup(keep_for_rollback=True)
        step, details = cleaned(executor)
        assert executor.purge(step)["freed_space"] == details["freed_on_purge"] > 0
        assert list((tmp_path / "kept").iterdir()) == []
        assert executor.purge(step)["freed_space"] == 0

    def test_stopped_it_says_what_it_has_done(self, client, cleanup, host) -> None:
        fill(client, 500)
        executor = cleanup(keep_for_rollback=True)
        step = executor.plan().steps[-1]
        host.stop_at = host.checkpoints + 3
        with pytest.raises(StopRequestedError) as stopped:
            executor.run(step)
        removed = stopped.value.args[0]["files"]
        assert 0 < removed < 500
        assert client.dbsize() == 500 - removed
        assert executor.undo(step, dry_run=False)["restored"] == removed


class TestDirectories:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        directory = tmp_path / "cached"
        directory.mkdir(mode=0o755)
        for days in (1, 5, 20, 40):
            file = directory / f"{days}.html"
            file.write_bytes(b"x" * 8192)
            os.utime(file, (NOW.timestamp() - days * 86400,) * 2)
        return directory

    def cleanup(self, tmp_path: Path, host: Listener, directory: dict[str, Any]) -> CacheCleanup:
        given = {"executor": "cache.cleanup", "config": {"directories": [directory]}}
        task = parse_task({"name": "sweep", **given}, origin="file", grants=None, known=Known())
        return CacheCleanup(
            Work(
                execution="an-execution",
                task_name="sweep",
                config=task.config,
                keeps_way_back=True,
                mass_deletion=MassDeletion(share=1.0, items=0),
                timeout_seconds=None,
                now=NOW,
                low_space=0.0,
            ),
            host,
        )

    @pytest.mark.parametrize(
        ("rule", "left"),
        [
            ({"age": "10d", "age_by": "modification"}, ["1.html", "5.html"]),
            ({"max_size": "20KiB"}, ["1.html", "5.html"]),
        ],
    )
    def test_what_is_old_or_too_much_goes_and_comes_back(
        self, tmp_path: Path, host: Listener, directory: Path, rule: dict[str, Any], left: list[str]
    ) -> None:
        before = snapshot(directory)
        executor = self.cleanup(tmp_path, host, {"path": str(directory), **rule})
        plan = executor.plan()
        assert [step.name for step in plan.steps] == ["directories"]
        assert plan.roots[0]["path"] == str(directory)
        step = step_from_json(step_to_json(plan.steps[0]))
        assert executor.run(step)["files"] == 2
        assert sorted(path.name for path in directory.glob("*.html")) == left
        again = self.cleanup(tmp_path, host, {"path": str(directory), **rule})
        assert again.undo(step, dry_run=False)["restored"] == 2
        assert differences(before, snapshot(directory)) == []

    def test_a_purge_gives_the_space_back(self, tmp_path: Path, host: Listener, directory: Path) -> None:
        executor = self.cleanup(tmp_path, host, {"path": str(directory), "age": "10d", "age_by": "modification"})
        (step,) = executor.plan().steps
        said = executor.run(step)["freed_on_purge"]
        assert executor.purge(step)["freed_space"] == said > 0

    def test_a_cache_must_be_named(self) -> None:
        given = {"name": "sweep", "executor": "cache.cleanup", "config": {}}
        with pytest.raises(JamaintError, match="names no cache"):
            parse_task(given, origin="file", grants=None, known=Known())


class TestRefused:
    def said(self, make: Callable[[], Any]) -> str:
        with pytest.raises(StepError) as failed:
            make().plan()
        return failed.value.message

    def test_nobody_is_there(self, cleanup) -> None:
        said = self.said(lambda: cleanup("unix:///nonexistent/redis.sock"))
        assert said.startswith("the server at /nonexistent/redis.sock cannot be reached: ")

    def test_a_wrong_password_is_not_repeated(self, cleanup) -> None:
        with serving("--requirepass", "right") as url:
            said = self.said(lambda: cleanup(url.replace("unix://", "unix://:wr0ng@")))
            assert "refuses the password or user" in said
            assert "wr0ng" not in said
            assert "refuses" in self.said(lambda: cleanup(url))

    def test_a_user_without_the_rights(self, cleanup) -> None:
        with serving() as url:
            with redis.Redis.from_url(url) as client:
                client.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "~*", "+info", "+ping", "+client")
            said = self.said(lambda: cleanup(url.replace("unix://", "unix://weak:pw@")))
            assert "denies this user the command" in said

    def test_a_replica(self, cleanup) -> None:
        with serving("--replicaof", "127.0.0.1 1") as url:
            assert "is a replica: give the address of its primary (127.0.0.1:1)" in self.said(lambda: cleanup(url))

    def test_idle_times_of_a_server_that_counts_uses(self, cleanup) -> None:
        with serving("--maxmemory-policy", "allkeys-lfu") as url:
            assert "leave `idle_for` out" in self.said(lambda: cleanup(url, idle_for_seconds=60.0))
            assert cleanup(url).plan().steps[-1].items == 0

    def test_a_node_of_a_cluster(self, cleanup) -> None:
        with serving("--cluster-enabled", "yes", "--port", "0") as url:
            assert "is a node of a cluster" in self.said(lambda: cleanup(url))

    def test_it_went_away_in_the_middle(self, cleanup, host) -> None:
        with serving() as url:
            with redis.Redis.from_url(url) as client:
                fill(client, 200)
                pid = client.info("server")["process_id"]
            executor = cleanup(url, keep_for_rollback=True)
            step = executor.plan().steps[-1]
            host.checkpoints = 0
            host.at_checkpoint = lambda: subprocess.run(["kill", "-9", str(pid)], check=False) and None
            with pytest.raises(StepError, match="cannot be reached"):
                executor.run(step)
