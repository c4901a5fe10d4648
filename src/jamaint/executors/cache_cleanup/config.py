"""cache.cleanup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator

from jamaint.executors.shared import age_config
from jamaint.executors.shared.age_config import cleaned_root
from jamaint.schema.errors import Flaw
from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import Account, Bytes, Flag, Seconds, Section, Share, Text
from jamaint.schema.secrets import RedisAddress, Secret, joined
from jamaint.schema.units import DAY, shown, text


def _memcached_address(value: Any) -> str:
    """HOST:PORT, or the path of a socket."""
    address = text(value)
    _, colon, port = address.rpartition(":")
    if not address.startswith("/") and not (colon and port.isdigit()):
        raise ValueError(f"must be an address such as localhost:11211 or /run/memcached.sock, not {shown(address)}")
    return address


class Redis(Section):
    """Which server, and which of its keys go."""

    url: RedisAddress = Field(description="the server's address, such as redis://localhost:6379/0")
    password: Secret | None = None
    pattern: Text = Field(description='which keys may go, such as "session:*"')
    idle_for: Seconds | None = None
    missing_expiry: Flag = False
    max_memory_share: Share | None = None
    keep_for_rollback: Flag = False

    @model_validator(mode="after")
    def _has_one_password(self) -> "Redis":
        joined(self.url, self.password)
        return self


class CacheDirectory(Section):
    """A directory of cached files: what is older than `age` goes, or the oldest until `max_size` is left."""

    path: Annotated[str, PlainValidator(cleaned_root)] = Field(description="the directory, such as /var/cache/app")
    age: Seconds | None = None
    age_by: Annotated[dict[str, list[str]] | None, PlainValidator(age_config.age_by)] = None
    mount: Flag = False
    max_size: Bytes | None = None

    @model_validator(mode="after")
    def _something_goes(self) -> "CacheDirectory":
        if self.age is None and self.max_size is None:
            raise ValueError("selects nothing: give an age or a max_size")
        return self

    def normalised(self) -> dict[str, Any]:
        """What filesystem.cleanup is told of it."""
        return {
            "path": self.path,
            "age_seconds": self.age,
            "age_by": self.age_by or age_config.WRITTEN,
            "mount": self.mount,
            "max_size": self.max_size,
        }


class CacheCleanup(Work):
    """cache.cleanup: removes keys and files that nobody uses."""

    redis: Redis | None = None
    memcached: Annotated[str | None, PlainValidator(_memcached_address)] = None
    directories: tuple[CacheDirectory, ...] = ()
    user: Account | None = None

    @model_validator(mode="after")
    def _has_a_cache(self) -> "CacheCleanup":
        if self.redis is None and not self.directories and self.memcached is None:
            raise ValueError("names no cache: give `redis`, `memcached`, `directories`, or several of them")
        return self

    def normalised(self) -> dict[str, Any]:
        redis = self.redis
        return {
            "redis": redis
            and {
                "url": joined(redis.url, redis.password),
                "pattern": redis.pattern,
                "idle_for_seconds": redis.idle_for,
                "missing_expiry": redis.missing_expiry,
                "max_memory_share": redis.max_memory_share,
                "keep_for_rollback": redis.keep_for_rollback,
            },
            "memcached": self.memcached,
            "directories": self._as_paths() if self.directories else None,
            "user": self.user,
        }

    def _as_paths(self) -> dict[str, Any]:
        """What filesystem.cleanup is to do with them."""
        rest: dict[str, Any] = {"pattern": None, "min_size": 0, "max_files": None, "keep_newest": 0, "exclude": []}
        return {
            "paths": [{**rest, **one.normalised()} for one in self.directories],
            "remove_empty_directories": False,
            "broken_links": False,
            "duplicates": None,
            "directory_age_seconds": DAY,
            "user": self.user,
        }

    def named(self) -> Iterator[GrantedName]:
        if self.redis:
            yield GrantedName("server", ("redis", "url"), "")
        if self.memcached:
            yield GrantedName("server", ("memcached",), self.memcached)
        for index, one in enumerate(self.directories):
            yield GrantedName("path", ("directories", index, "path"), one.path)
        if self.user:
            yield GrantedName("user", ("user",), self.user)

    def doubts(self) -> Iterator[Flaw]:
        redis = self.redis
        if redis and redis.idle_for is None and not redis.missing_expiry and redis.max_memory_share is None:
            yield Flaw(("redis", "pattern"), f"removes every key that matches {redis.pattern}, also those in use")
