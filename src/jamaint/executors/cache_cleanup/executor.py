"""cache.cleanup: removes keys of a Redis or Valkey server, and cached files, that nobody has used for long."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from jamaint.caches.key_backup import KeptKeys
from jamaint.caches.memcached import MemcachedError, statistics
from jamaint.caches.redis import CacheRefusedError, RedisCache, Seen
from jamaint.caches.rules import LEAST_BATCH, CacheRules, IdleTimes, Memory, next_batch, to_free
from jamaint.core import held_places
from jamaint.core.held_places import HeldPlace, HoldRecord
from jamaint.core.plans import Plan, Step, step_from_json, step_to_json
from jamaint.executors import executor_of
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Tell, Work
from jamaint.executors.shared.subplans import Items, PartOfPlan, items_of, named
from jamaint.files.access.skip_report import words
from jamaint.files.rules.ages import nanoseconds
from jamaint.files.trash.inventory import Part, pack
from jamaint.files.trash.stops import NotRecordedError
from jamaint.host.plan_file import PlanFileError

ANALYSIS, CLEANUP, DIRECTORIES, MEMCACHED = "analysis", "cleanup", "directories", "memcached"
FILES = "filesystem.cleanup"
SAMPLE = 20
SHOWN_CHARACTERS = 200
MEMORY_EVERY = 20
"""Batches between two looks at the memory, where it decides when enough has gone."""


class CacheCleanup:
    """The executor of cache.cleanup; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        redis, directories = work.config["redis"], work.config.get("directories")
        self._rules = CacheRules.of(redis) if redis else CacheRules("")
        self._keeps = bool(redis and redis["keep_for_rollback"]) and work.keeps_way_back
        # Files are files: what cleans them anywhere else, with its trash and its guards, cleans them here.
        self._alone = not redis and not work.config.get("memcached")
        planned = None if work.planned is None else PartOfPlan(work.planned, DIRECTORIES)
        inner = replace(work, config=directories or {}, planned=planned if self._alone else None)
        self._files = executor_of(FILES)(inner, host) if directories else None
        self._cache: RedisCache | None = None
        self._held: set[int] = set()
        """Hashes of the keys that a rollback has put back and that are held."""
        self._met_held = 0
        self._facts: dict[str, Any] = {}

    def plan(self) -> Plan:
        """See Executor. Looks at every key that matches; none looks used for that."""
        files = Plan(()) if self._files is None else self._files.plan()
        keys = Plan(())
        if self._work.config["redis"]:
            try:
                keys = self._plan(self._connected())
            except CacheRefusedError as refusal:
                raise StepError(str(refusal)) from None
        return replace(files, steps=(*keys.steps, *self._of_memcached(), *map(_of_files, files.steps)))

    @property
    def items(self) -> Items | None:
        """See Itemised, which it is where there are nothing but directories: a server's keys come and go."""
        return self._items if self._alone else None

    def _items(self, step: Step, tell: Tell) -> None:
        inner, items = step_from_json(step.args["step"]), items_of(self._files)
        if items is not None:
            items(inner, named(tell, inner.name))

    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A key that has been used, changed or given an expiry since the plan stays."""
        if step.name == MEMCACHED:
            return self._statistics()
        if step.name == DIRECTORIES:
            assert self._files is not None
            return self._files.run(step_from_json(step.args["step"]))
        try:
            if step.name == ANALYSIS:
                return self._analysis()
            return self._remove(step)
        except CacheRefusedError as refusal:
            raise StepError(str(refusal)) from None

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. A key that has come again since is not overwritten; one that has expired since stays away."""
        outcome: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": [], "unit": "key"}
        if step.undo is None:
            return outcome
        if DIRECTORIES in step.undo:
            assert self._files is not None
            return self._files.undo(step_from_json(step.undo[DIRECTORIES]), dry_run)
        began = time.time_ns()
        try:
            cache = self._connected()
            expired = 0
            now_ms = time.time_ns() // 10**6
            for number, kept in enumerate(self._kept_keys().read()):
                self._host.checkpoint()
                if kept.expires_at_ms and kept.expires_at_ms <= now_ms:
                    expired += 1
                elif not cache.is_there(kept.key) if dry_run else cache.restore(kept):
                    outcome["restored"] += 1
                else:
                    outcome["kept"].append({"path": _name(kept.key), "why": "a key of that name exists again"})
                self._host.progress(number + 1, step.items or None, "items")
            lost = self._lost()
        except (CacheRefusedError, OSError) as error:
            raise StepError(str(error), details=outcome) from None
        except PlanFileError as error:
            why = f"what comes back cannot be compared with what was taken: {error}"
            outcome["problems"].append({"path": self._kept_keys().path, "why": why})
            lost = None
        if lost is not None:
            outcome["problems"].append(lost)
            outcome["missing"] = [lost]
        if expired:
            self._host.log("info", f"{expired} keys have expired since and are not restored")
        held = self._hold_of(cache, began, outcome["restored"])
        return {**outcome, "held": [held]} if held is not None else outcome

    def _hold_of(self, cache: RedisCache, began: int, keys: int) -> HoldRecord | None:
        """What an undo that began then and has put so many keys back tells: they are held for another idle time."""
        if not keys:
            return None
        ended = time.time_ns()
        until = held_places.until(ended, self._rules.idle_seconds)
        place = HeldPlace(path=cache.name, items=keys, unit="key", until_ns=until)
        return HoldRecord(from_ns=began, until_ns=ended, inodes=[], places=[place], kept=self._work.execution)

    def _find_held(self, cache: RedisCache) -> None:
        """Learns which keys rollbacks have put back, from the files in which they were kept. Raises
        CacheRefusedError."""
        records = held_places.at(self._work.held, cache.name, nanoseconds(self._work.now))
        try:
            for name in {one.get("kept", "") for one in records} - {""}:
                kept = KeptKeys(self._work.kept_directory, os.path.basename(name), f"{CLEANUP}.keys")
                self._held.update(hash(one.key) for one in kept.read())
        except OSError as error:
            why = f"which keys of {cache.name} a rollback has put back cannot be read: {words(error)}"
            raise CacheRefusedError(f"{why}; `jamaintctl held release` allows it") from None

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor."""
        if step.undo is None:
            return {"freed_space": 0, "items": 0, "problems": []}
        if DIRECTORIES in step.undo:
            assert self._files is not None
            return self._files.purge(step_from_json(step.undo[DIRECTORIES]))
        try:
            return {"freed_space": self._kept_keys().remove(), "items": step.items, "problems": []}
        except OSError as error:
            raise StepError(f"what was kept cannot be removed: {error}") from None

    def _connected(self) -> RedisCache:
        if self._cache is None:
            self._cache = RedisCache(self._work.config["redis"]["url"])
            self._cache.check()
            if self._rules.idle_seconds is not None and self._cache.counts_uses:
                raise CacheRefusedError(
                    f"{self._cache.name} counts how often a key is used and not when (its policy is one of lfu): "
                    "leave `idle_for` out, or set maxmemory-policy to one of lru"
                )
            self._find_held(self._cache)
        return self._cache

    def _lost(self) -> dict[str, str] | None:
        """What was kept, by the daemon's own record, and is kept no more: the file is gone, or does not hold all."""
        if self._work.taken is None:
            return None
        total = sum(int(part.rel) for part in self._work.taken.parts(self._record_key()))
        lost = total - self._kept_keys().count() if total else 0
        if lost <= 0:
            return None
        are = "key is" if lost == 1 else "keys are"
        why = f"{lost:,} of {total:,} {are} not in what was kept any more: they cannot be put back"
        return {"path": self._kept_keys().path, "why": why}

    def _record_key(self) -> tuple[str, str, str]:
        return self._work.execution, CLEANUP, "keys"

    def _note_kept(self, count: int) -> None:
        """Has so many keys written down that are kept, before they go."""
        self._host.taken(pack(self._record_key(), [Part(str(count), ())]))

    def _kept_keys(self) -> KeptKeys:
        return KeptKeys(self._work.kept_directory, self._work.execution, f"{CLEANUP}.keys")

    def _plan(self, cache: RedisCache) -> Plan:
        before = self._facts = cache.facts()
        memory = Memory(before["used_memory"], before["max_memory"])
        need = to_free(memory, self._rules.max_memory_share)
        if need is not None and not memory.maximum:
            raise CacheRefusedError(
                f"{cache.name} does not say how much memory it may use: set maxmemory, or leave out the share"
            )
        idle, sample, seen = self._survey(cache)
        cutoff = 0 if need is None else idle.cutoff(need)
        keys, size = (0, 0) if need == 0 else idle.since(cutoff)
        analysis = Step(
            ANALYSIS, f"Look at {seen} keys of {cache.name}; change nothing.", items=seen, bytes=memory.used
        )
        says = [self._says(memory, need, keys)]
        if self._met_held:
            says.append(
                f"{self._met_held:,} keys are left alone, which a rollback has put back (jamaintctl held list)."
            )
        undo = None
        if self._keeps:
            says.append("Their values are kept in a file and can be put back until they are purged.")
            undo = {"execution": self._work.execution}
        else:
            says.append(
                "They cannot be put back (`keep_for_rollback: true` keeps them): a cache fills again by itself."
            )
        args = {"cutoff": cutoff, "need": need}
        return Plan((analysis, Step(CLEANUP, " ".join(says), args, undo, keys, size, tuple(sample))))

    def _of_memcached(self) -> tuple[Step, ...]:
        address = self._work.config.get("memcached")
        says = f"Look at memcached at {address}; change nothing: memcached evicts by itself."
        return (Step(MEMCACHED, says),) if address else ()

    def _statistics(self) -> dict[str, Any]:
        try:
            found = statistics(self._work.config["memcached"])
        except MemcachedError as failure:
            raise StepError(str(failure)) from None
        return {**found, "freed_space": 0, "freed_on_purge": 0}

    def _says(self, memory: Memory, need: int | None, keys: int) -> str:
        share = self._rules.max_memory_share
        if need == 0:
            return f"Remove nothing: {memory.share:.1%} of its memory is used, and {share:.1%} may be."
        limit = "" if need is None else f", the longest idle first, until {share:.1%} of its memory is used"
        return f"Remove about {keys} keys {self._rules.says()}{limit}."

    def _survey(self, cache: RedisCache) -> tuple[IdleTimes, list[dict[str, Any]], int]:
        idle, sample, seen = IdleTimes(), list[dict[str, Any]](), 0
        for batch in cache.look(self._rules.pattern):
            self._host.checkpoint()
            seen += len(batch)
            for one in batch:
                self._met_held += bool(self._held) and hash(one.key) in self._held
                if self._goes(one, 0):
                    idle.add(one.idle_seconds or 0, one.size)
                    if len(sample) < SAMPLE:
                        sample.append({"path": _name(one.key), "bytes": one.size, "age_seconds": one.idle_seconds})
        return idle, sample, seen

    def _goes(self, one: Seen, cutoff: int) -> bool:
        rules = self._rules
        if self._held and hash(one.key) in self._held:
            return False
        if rules.missing_expiry and one.expires_ms >= 0:
            return False
        return one.idle_seconds is None or one.idle_seconds >= max(rules.idle_seconds or 0, cutoff)

    def _analysis(self) -> dict[str, Any]:
        facts = self._connected().facts()
        figures = {"files": facts["keys"], "unit": "key", "bytes": facts["used_memory"]}
        return {**facts, **figures, "freed_space": 0, "freed_on_purge": 0}

    def _remove(self, step: Step) -> dict[str, Any]:
        cache = self._connected()
        kept = self._kept_keys() if step.undo is not None else None
        removing = _Removing(cache, self._rules, kept, step, self._note_kept)
        try:
            if step.args["need"] != 0:
                self._go_through(cache, removing, step)
        except StopRequestedError:
            raise StopRequestedError(removing.details()) from None
        except (CacheRefusedError, NotRecordedError, OSError) as error:
            raise StepError(str(error), details=removing.details()) from None
        return removing.details()

    def _go_through(self, cache: RedisCache, removing: "_Removing", step: Step) -> None:
        cutoff = int(step.args["cutoff"])
        for found in cache.look(self._rules.pattern):
            for batch in removing.batches([one for one in found if self._goes(one, cutoff)]):
                self._host.checkpoint()
                removing.remove(batch, cutoff)
                self._host.progress(removing.keys, max(step.items, removing.keys) or None, "items")
                if removing.is_enough():
                    return


class _Removing:
    """The removal under way: its batches size themselves, and it knows when enough has gone."""

    def __init__(
        self, cache: RedisCache, rules: CacheRules, kept: KeptKeys | None, step: Step, note_kept: Callable[[int], None]
    ) -> None:
        self._cache, self._rules, self._kept, self._note_kept = cache, rules, kept, note_kept
        self._before = cache.memory()
        self._size = LEAST_BATCH * 5
        self._batches = 0
        self._has_goal = step.args["need"] is not None
        self.keys = self.bytes = self.stayed = 0

    def batches(self, found: list[Seen]) -> Iterator[list[Seen]]:
        """`found` in pieces of the size that is right when each is taken."""
        while found:
            batch, found = found[: self._size], found[self._size :]
            yield batch

    def remove(self, batch: list[Seen], cutoff: int) -> None:
        """Removes what of the batch still may go; its values are on the disk first where they are kept."""
        self._batches += 1
        idle = (
            None if self._rules.idle_seconds is None and not cutoff else max(int(self._rules.idle_seconds or 0), cutoff)
        )
        if self._kept is None:
            began = time.monotonic()
            keys, size = self._cache.remove([one.key for one in batch], idle, self._rules.missing_expiry)
        else:
            kept = self._cache.keep(batch, time.time_ns() // 10**6)
            first = self._kept.add(kept)
            if kept:
                try:
                    self._note_kept(len(kept))
                except BaseException:  # what is not recorded is not taken
                    self._kept.take_back(list(range(first, first + len(kept))))
                    raise
            began = time.monotonic()
            size, stays = self._cache.remove_kept(kept)
            self._kept.take_back([first + place for place in stays])
            keys = len(kept) - len(stays)
        self._size = next_batch(self._size, time.monotonic() - began)
        self.keys += keys
        self.bytes += size
        self.stayed += len(batch) - keys

    def is_enough(self) -> bool:
        """Whether the memory is where it should be; not asked after every batch."""
        if not self._has_goal or self._batches % MEMORY_EVERY:
            return False
        return to_free(self._cache.memory(), self._rules.max_memory_share) == 0

    def details(self) -> dict[str, Any]:
        """The step's figures. freed_space is the memory of the keys that went; beside it what the server said of its
        whole memory before and after, in which others' keys are too."""
        after = self._cache.memory()
        return {
            "files": self.keys,
            "unit": "key",
            "bytes": self.bytes,
            "freed_space": self.bytes,
            "freed_on_purge": 0 if self._kept is None else self._kept.size(),
            "used_since": self.stayed,
            "memory_before": self._before.used,
            "memory_after": after.used,
        }


def _of_files(step: Step) -> Step:
    """A step of filesystem.cleanup as one of ours."""
    whole = step_to_json(replace(step, sample=()))
    return replace(
        step, name=DIRECTORIES, args={"step": whole}, undo=None if step.undo is None else {DIRECTORIES: whole}
    )


def _name(key: bytes) -> str:
    """A key for a person: any bytes, shortened."""
    return key.decode("utf-8", "backslashreplace")[:SHOWN_CHARACTERS]
