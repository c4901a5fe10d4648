"""A Redis or Valkey server, the only file that knows its client: looked at without touching, emptied in small batches.

Never KEYS, never FLUSH: keys are found by SCAN, and what goes goes by UNLINK, in a script that looks once more at each
of them in that moment (idle time, expiry, or the value that was kept): what has been used meanwhile stays.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

try:
    import redis
except ImportError:  # the extra [cache] may not be installed
    redis = None  # type: ignore[assignment]

from jamaint.caches.rules import Memory
from jamaint.schema.extras import how_to_add

SECONDS = 10.0
"""How long the server may take for one answer."""
SCAN_COUNT = 500

# KEYS: what may go. ARGV: the least idle time in seconds (-1: whatever it is), whether only those without expiry go.
_REMOVE = """
local keys, bytes = 0, 0
for _, key in ipairs(KEYS) do
  if (ARGV[2] == '0' or redis.call('TTL', key) == -1)
      and (ARGV[1] == '-1' or (redis.call('OBJECT', 'IDLETIME', key) or -1) >= tonumber(ARGV[1])) then
    local size = redis.call('MEMORY', 'USAGE', key) or 0
    if redis.call('UNLINK', key) == 1 then keys = keys + 1; bytes = bytes + size end
  end
end
return {keys, bytes}
"""
# KEYS: what was kept; ARGV: the SHA-1 of each value that was kept. What has another value now stays: its place is told.
_REMOVE_KEPT = """
local bytes, stays = 0, {}
for number, key in ipairs(KEYS) do
  local value = redis.call('DUMP', key)
  if value and redis.sha1hex(value) == ARGV[number] then
    bytes = bytes + (redis.call('MEMORY', 'USAGE', key) or 0)
    redis.call('UNLINK', key)
  else
    stays[#stays + 1] = number - 1
  end
end
return {bytes, stays}
"""


class CacheRefusedError(Exception):
    """The server cannot be used so; the message is for a person, and names the server without its password."""


class Seen(NamedTuple):
    """One key as it was found: seconds since it was used (None where the server counts uses instead), milliseconds
    until it expires (-1: never), and bytes of memory."""

    key: bytes
    idle_seconds: int | None
    expires_ms: int
    size: int


class Kept(NamedTuple):
    """One key with its value, as it can be put back: `expires_at_ms` since 1970, 0 for never."""

    key: bytes
    value: bytes
    expires_at_ms: int
    idle_seconds: int


class RedisCache:
    """One connection. Every method raises CacheRefusedError when the server does not do what is asked."""

    def __init__(self, url: str) -> None:
        if redis is None:
            raise CacheRefusedError(f"the client library for Redis is not installed: {how_to_add('cache')}")
        self.name = shown(url)
        with self._named():
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=SECONDS,
                socket_connect_timeout=SECONDS,
                client_name="jamaint",
            )
            self._info: Mapping[str, Any] = self._client.info()
            self._remove = self._client.register_script(_REMOVE)
            self._remove_kept = self._client.register_script(_REMOVE_KEPT)

    def check(self) -> None:
        """Refuses a server whose keys are not its own to remove."""
        if self._info.get("role") == "slave":
            primary = f"{self._info.get('master_host')}:{self._info.get('master_port')}"
            raise CacheRefusedError(f"{self.name} is a replica: give the address of its primary ({primary})")
        if self._info.get("cluster_enabled") == 1:
            raise CacheRefusedError(
                f"{self.name} is a node of a cluster, which is not supported: its keys lie on all nodes"
            )

    @property
    def counts_uses(self) -> bool:
        """Whether it keeps the frequency of use of a key and not when that was (a policy of lfu)."""
        return "lfu" in str(self._info.get("maxmemory_policy", ""))

    def facts(self) -> dict[str, Any]:
        """What a person wants to know of it: version, keys, hits and misses since its start, what it has evicted."""
        with self._named():
            self._info = self._client.info()
        hits, misses = int(self._info.get("keyspace_hits", 0)), int(self._info.get("keyspace_misses", 0))
        memory = self.memory()
        return {
            "server": self.name,
            "version": str(self._info.get("valkey_version") or self._info.get("redis_version")),
            "keys": self.size(),
            "used_memory": memory.used,
            "max_memory": memory.maximum,
            "hits": hits,
            "misses": misses,
            "hit_share": round(hits / (hits + misses), 4) if hits + misses else None,
            "evicted_keys": int(self._info.get("evicted_keys", 0)),
            "expired_keys": int(self._info.get("expired_keys", 0)),
            "policy": str(self._info.get("maxmemory_policy", "")),
        }

    def memory(self) -> Memory:
        """Its memory now."""
        with self._named():
            info = self._client.info("memory")
        return Memory(int(info["used_memory"]), int(info["maxmemory"]) or int(info.get("total_system_memory", 0)))

    def size(self) -> int:
        """How many keys its database has."""
        with self._named():
            return int(self._client.dbsize())

    def look(self, pattern: str) -> Iterator[list[Seen]]:
        """Every key that matches, in batches; looking makes none look used. One that comes twice is as SCAN has it."""
        cursor = -1
        while cursor:
            with self._named():
                cursor, keys = self._client.scan(max(cursor, 0), match=pattern, count=SCAN_COUNT)
                found = self._look_at([bytes(key) for key in keys])  # type: ignore[arg-type]
            yield found

    def remove(self, keys: Sequence[bytes], idle_at_least: int | None, missing_expiry: bool) -> tuple[int, int]:
        """Removes those that still are as asked; how many, and their bytes."""
        with self._named():
            least = -1 if idle_at_least is None or self.counts_uses else idle_at_least
            count, size = self._remove(keys=keys, args=[least, int(missing_expiry)])
        return int(count), int(size)

    def keep(self, seen: Sequence[Seen], now_ms: int) -> list[Kept]:
        """The values of keys, as they can be put back; one that is gone is left out."""
        with self._named():
            pipe = self._client.pipeline(transaction=False)
            for one in seen:
                pipe.dump(one.key)
            values = pipe.execute()
        return [
            Kept(one.key, value, now_ms + one.expires_ms if one.expires_ms >= 0 else 0, one.idle_seconds or 0)
            for one, value in zip(seen, values, strict=True)
            if value is not None
        ]

    def remove_kept(self, kept: Sequence[Kept]) -> tuple[int, list[int]]:
        """Removes those that still have the value that was kept; their bytes, and where the others stand in `kept`."""
        with self._named():
            digests = [hashlib.sha1(one.value, usedforsecurity=False).hexdigest() for one in kept]
            size, stays = self._remove_kept(keys=[one.key for one in kept], args=digests)
        return int(size), [int(place) for place in stays]

    def restore(self, kept: Kept) -> bool:
        """Puts a key back with its value, expiry and idle time. False when another value has come there since.

        One that is there as it was counts as put back.
        """
        idle = None if self.counts_uses else kept.idle_seconds
        with self._named():
            try:
                self._client.restore(kept.key, kept.expires_at_ms, kept.value, absttl=True, idletime=idle)
            except redis.ResponseError as error:
                if not str(error).startswith("BUSYKEY"):
                    raise
                return bool(self._client.dump(kept.key) == kept.value)
        return True

    def is_there(self, key: bytes) -> bool:
        """Whether there is such a key."""
        with self._named():
            return bool(self._client.exists(key))

    def close(self) -> None:
        """Hangs up."""
        self._client.close()

    def _look_at(self, keys: Sequence[bytes]) -> list[Seen]:
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            if not self.counts_uses:
                pipe.object("IDLETIME", key)
            pipe.pttl(key)
            pipe.memory_usage(key)
        answers = pipe.execute()
        each = 2 if self.counts_uses else 3
        found = []
        for number, key in enumerate(keys):
            *idle, expires, size = answers[number * each : (number + 1) * each]
            if size is not None:  # one that has just expired has none
                found.append(Seen(key, None if self.counts_uses else int(idle[0] or 0), int(expires), int(size)))
        return found

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Every error as one that names the server and what to do."""
        try:
            yield
        except redis.AuthenticationError as error:
            raise CacheRefusedError(f"{self.name} refuses the password or user: {error}") from None
        except redis.exceptions.NoPermissionError as error:
            raise CacheRefusedError(f"{self.name} denies this user the command: {error}") from None
        except redis.TimeoutError:
            raise CacheRefusedError(f"{self.name} does not answer within {SECONDS:g} s") from None
        except redis.ConnectionError as error:
            raise CacheRefusedError(f"{self.name} cannot be reached: {error}") from None
        except redis.RedisError as error:
            raise CacheRefusedError(f"{self.name} refuses: {error}") from None
        except ValueError:  # of its address; the text may repeat a part of it
            raise CacheRefusedError(f"{self.name}: its address cannot be used") from None


def shown(url: str) -> str:
    """The address without user and password, for a person."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # the text may repeat a part of a password
        return "the server"
    if parts.scheme == "unix":
        return f"the server at {parts.path}"
    return f"the server at {parts.hostname or 'localhost'}{port}{parts.path}"
