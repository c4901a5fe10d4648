"""cache.warmup: asks a web site for pages, so that its caches are full before visitors come."""

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.cache_warmup.pages import Page, SitemapError, addresses, fetch
from jamaint.executors.cache_warmup.rules import SHOWN, not_before, outcome, summary
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work

WARMUP = "warmup"
TICK_SECONDS = 0.1
"""How soon a wish to stop is heard while pages are waited for."""


class CacheWarmup:
    """The executor of cache.warmup; executors/shared/executor.py says what each method promises. It has no
    way back: a page
    that was asked for cannot be unasked."""

    def __init__(self, work: Work, host: Host) -> None:
        self._host = host
        config = work.config
        self._urls: Sequence[str] = config["urls"]
        self._sitemap: str | None = config["sitemap"]
        self._concurrency = int(config["concurrency"])
        self._rate: float | None = config["rate"]
        self._budget: float | None = config["time_budget_seconds"]
        self._timeout = float(config["timeout_seconds"])
        self._stopping = False

    def plan(self) -> Plan:
        """See Executor. Reads the sitemap, and asks for no page."""
        pages = self._pages()
        limits = [f"{self._concurrency} at a time"]
        limits += [f"at most {self._rate:g} a second"] if self._rate is not None else []
        limits += [f"for {self._budget:g} s at most"] if self._budget is not None else []
        says = f"Request {len(pages)} pages, {', '.join(limits)}. There is nothing to undo."
        sample = tuple({"path": url} for url in pages[:SHOWN])
        return Plan((Step(WARMUP, says, items=len(pages), sample=sample),))

    def run(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - there is but one
        """See Executor. Pages that fail are told; the step fails when none could be had."""
        pages = self._pages()
        found: list[Page] = []
        try:
            left_out = self._ask(pages, found)
        except StopRequestedError:
            raise StopRequestedError(_details(found, len(pages) - len(found))) from None
        details = _details(found, left_out)
        for page in [page for page in found if outcome(page.status) != "warm"][:SHOWN]:
            self._host.log("warning", f"{page.url}: {page.why or page.status}")
        if left_out:
            self._host.log("warning", f"time limit reached: {left_out} pages were not requested")
        if found and not details["files"]:
            raise StepError(
                f"none of {len(found)} pages could be fetched: {found[0].why or found[0].status}", details=details
            )
        return details

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"freed_space": 0, "items": 0, "problems": []}

    def _pages(self) -> list[str]:
        """Each address once, in the order in which they were given."""
        try:
            found = dict.fromkeys(self._urls)
            if self._sitemap is not None:
                found |= dict.fromkeys(addresses(self._sitemap, self._timeout, self._host.checkpoint))
        except SitemapError as refusal:
            raise StepError(str(refusal)) from None
        return list(found)

    def _ask(self, pages: Sequence[str], found: list[Page]) -> int:
        """Asks for the pages; how many were left out because the time was up."""
        began = time.monotonic()
        waiting = iter(pages)
        next_at = began
        under_way: set[Future[Page]] = set()
        following = next(waiting, None)
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="page") as pool:
            try:
                while following is not None or under_way:
                    self._host.checkpoint()
                    now = time.monotonic()
                    if self._budget is not None and now - began >= self._budget:
                        break
                    while following is not None and len(under_way) < self._concurrency:
                        if next_at > now:
                            break
                        under_way.add(pool.submit(fetch, following, self._timeout, self._stop_reading))
                        next_at = not_before(now, self._rate)
                        following = next(waiting, None)
                    done, under_way = wait(under_way, TICK_SECONDS, FIRST_COMPLETED) if under_way else _nap()
                    found += [future.result() for future in done]
                    self._host.progress(len(found), len(pages), "items")
            finally:
                self._stopping = True  # what is under way ends at its next piece, or its own timeout
                done, _ = wait(under_way)
                found += [future.result() for future in done]
        return len(pages) - len(found)

    def _stop_reading(self) -> None:
        if self._stopping:
            raise OSError("stopped before its end")


def _nap() -> tuple[set[Future[Page]], set[Future[Page]]]:
    time.sleep(TICK_SECONDS / 10)
    return set(), set()


def _details(found: Sequence[Page], left_out: int) -> dict[str, Any]:
    statuses, times = [page.status for page in found], [page.milliseconds for page in found]
    return {**summary(statuses, times, sum(page.size for page in found)), "unit": "page", "left_out": left_out}
