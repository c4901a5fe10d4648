"""cache.cleanup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from jamaint.config.fields import Flag, Seconds, Section, Share, Text
from jamaint.config.mistakes import Flaw
from jamaint.config.units import text
from jamaint.config.work.work import Named, Work

SCHEMES = ("redis://", "rediss://", "unix://")


def _redis_address(value: Any) -> str:
    """The address of a server. It may hold a password, so no message repeats it."""
    address = text(value)
    if not address.startswith(SCHEMES):
        raise ValueError("must be an address such as redis://localhost:6379/0 or unix:///run/redis/redis.sock")
    return address


class Redis(Section):
    """Which server, and which of its keys go."""

    url: Annotated[str, PlainValidator(_redis_address)] = Field(
        description="the server's address, such as redis://localhost:6379/0"
    )
    pattern: Text = Field(description='which keys may go, such as "session:*"')
    idle_for: Seconds | None = None
    missing_expiry: Flag = False
    max_memory_share: Share | None = None
    keep_for_rollback: Flag = False


class CacheCleanup(Work):
    """cache.cleanup: removes keys that nobody uses."""

    redis: Redis = Field(description="the server and which of its keys go")

    def normalised(self) -> dict[str, Any]:
        redis = self.redis
        return {
            "redis": {
                "url": redis.url,
                "pattern": redis.pattern,
                "idle_for_seconds": redis.idle_for,
                "missing_expiry": redis.missing_expiry,
                "max_memory_share": redis.max_memory_share,
                "keep_for_rollback": redis.keep_for_rollback,
            }
        }

    def named(self) -> Iterator[Named]:
        yield Named("server", ("redis", "url"), self.redis.url)

    def doubts(self) -> Iterator[Flaw]:
        redis = self.redis
        if redis.idle_for is None and not redis.missing_expiry and redis.max_memory_share is None:
            yield Flaw(("redis", "pattern"), f"removes every key that matches {redis.pattern}, also those in use")
