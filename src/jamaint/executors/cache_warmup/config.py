"""cache.warmup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator, model_validator

from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import Positive, Seconds, between
from jamaint.schema.units import shown, text


def _web_address(value: Any) -> str:
    address = text(value)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be an address such as https://www.example.org/, not {shown(address)}")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password: everybody who sees the task would see it")
    return address


Web = Annotated[str, PlainValidator(_web_address)]


class CacheWarmup(Work):
    """cache.warmup: asks for pages."""

    urls: tuple[Web, ...] = ()
    sitemap: Web | None = None
    concurrency: Annotated[int, PlainValidator(between(1, 64))] = 4
    rate: Positive | None = None
    time_budget: Seconds | None = None
    timeout: Seconds = 30.0

    @model_validator(mode="after")
    def _has_pages(self) -> "CacheWarmup":
        if not self.urls and self.sitemap is None:
            raise ValueError("names no pages: give `urls`, a `sitemap`, or both")
        return self

    def normalised(self) -> dict[str, Any]:
        return {
            "urls": list(self.urls),
            "sitemap": self.sitemap,
            "concurrency": self.concurrency,
            "rate": self.rate,
            "time_budget_seconds": self.time_budget,
            "timeout_seconds": self.timeout,
        }

    def named(self) -> Iterator[GrantedName]:
        for index, url in enumerate(self.urls):
            yield GrantedName("server", ("urls", index), url)
        if self.sitemap:
            yield GrantedName("server", ("sitemap",), self.sitemap)
