"""Metrics as text: OpenMetrics for a scrape, Prometheus' text format 0.0.4 for node_exporter's textfile collector.

prometheus_client makes the text alone. It is imported when somebody asks, since it takes a tenth of a second and most
daemons never need it. Labels are configured names only, so nobody who may call the daemon makes series. There are at
most SERIES_LIMIT: where there are more tasks, those that ran least often are summed as `task="other"`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jamaint import VERSION
from jamaint.daemon.monitoring.run_counters import BUCKETS_SECONDS, OTHER, Histogram, RunCounters

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SERIES_LIMIT = 1000
STATUSES = ("completed", "failed", "cancelled", "rolled_back", "skipped")
PER_TASK = len(STATUSES) + len(BUCKETS_SECONDS) + 3 + 2
"""Series of one task: its statuses, its histogram, its last success and next due time."""
COUNTED = frozenset({"processor_seconds"})
"""Figures that only grow while the daemon runs."""
RESERVED = 200
"""Series kept for windows, alerts, kinds and gauges."""


class Figures(NamedTuple):
    """All that the text says beside the counters; moments are aware."""

    next_due: Mapping[str, datetime | None]
    windows: Mapping[str, bool]
    alerts: Iterable[tuple[str, str]]
    """Firing alerts as (name, severity)."""
    gauges: Mapping[str, tuple[str, float]]
    """By name without its prefix: what it is, and its value; base units stand in the name."""


def openmetrics(counters: RunCounters, figures: Figures) -> bytes:
    """Return the text of a scrape, with `# EOF` at its end."""
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415 - see the head

    text: bytes = generate_latest(_Families(counters, figures))  # type: ignore[no-untyped-call]
    return text


def textfile(counters: RunCounters, figures: Figures) -> bytes:
    """Return the text for a file of the textfile collector: no timestamps, which it refuses."""
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - see the head

    text: bytes = generate_latest(_Families(counters, figures))  # type: ignore[arg-type, unused-ignore]
    return text


def shown_tasks(counters: RunCounters, tasks: Iterable[str]) -> tuple[frozenset[str], bool]:
    """Return the tasks with series of their own, and whether the rest is summed; those that ran most are shown."""
    ran: Counter[str] = Counter(dict.fromkeys(tasks, 0))
    for (task, _), count in counters.ended.items():
        ran[task] += count
    room = (SERIES_LIMIT - RESERVED) // PER_TASK
    ordered = sorted(ran, key=lambda task: (-ran[task], task))
    return frozenset(ordered if len(ordered) <= room else ordered[: room - 1]), len(ordered) > room


class _Families:
    """What prometheus_client takes for a registry."""

    def __init__(self, counters: RunCounters, figures: Figures) -> None:
        self._counters = counters
        self._figures = figures

    def collect(self) -> "Iterable[Metric]":
        """Return every family with its samples."""
        from prometheus_client.metrics_core import (  # noqa: PLC0415 - see the head
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        counters, figures = self._counters, self._figures
        shown, _ = shown_tasks(counters, figures.next_due)
        found: list[Any] = [InfoMetricFamily("jamaint_build", "The daemon's version.", value={"version": VERSION})]
        ended = CounterMetricFamily(
            "jamaint_executions", "Executions that have ended since the daemon started.", labels=("task", "status")
        )
        # With a series from the start its first failure is an increase too.
        totals = Counter({(task, status): 0 for task in figures.next_due if task in shown for status in STATUSES})
        for (task, status), count in counters.ended.items():
            totals[task if task in shown else OTHER, status] += count
        for (task, status), count in sorted(totals.items()):
            ended.add_metric((task, status), count)
        found += [ended, self._histograms(shown)]
        success = GaugeMetricFamily(
            "jamaint_last_success_timestamp_seconds", "When the task completed last.", labels=("task",)
        )
        for task, moment in sorted(counters.last_success.items()):
            if task in shown:
                success.add_metric((task,), moment.timestamp())
        due = GaugeMetricFamily("jamaint_next_due_timestamp_seconds", "When the task is due next.", labels=("task",))
        for task, at in sorted(figures.next_due.items()):
            if at is not None and task in shown:
                due.add_metric((task,), at.timestamp())
        freed = CounterMetricFamily(
            "jamaint_freed_bytes", "Bytes freed by executions and purges, less what they took.", labels=("kind",)
        )
        for kind, count in sorted(counters.freed_bytes.items()):
            freed.add_metric((kind,), count)
        windows = GaugeMetricFamily("jamaint_window_open", "1 while the window is open.", labels=("window",))
        for window, is_open in sorted(figures.windows.items())[: RESERVED // 2]:
            windows.add_metric((window,), float(is_open))
        alerts = GaugeMetricFamily("jamaint_alert_firing", "Alerts that fire, by name.", labels=("alert", "severity"))
        for (name, severity), count in sorted(Counter(figures.alerts).items())[: RESERVED // 4]:
            alerts.add_metric((name, severity), count)
        found += [success, due, freed, windows, alerts]
        for name, (help_, value) in sorted(figures.gauges.items()):
            family = CounterMetricFamily if name in COUNTED else GaugeMetricFamily
            found.append(family(f"jamaint_{name}", help_, value=value))
        return found

    def _histograms(self, shown: frozenset[str]) -> "Metric":
        from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415 - see the head

        family = HistogramMetricFamily(
            "jamaint_execution_duration_seconds", "How long completed executions took.", labels=("task",)
        )
        for task, histogram in sorted(self._merged(shown).items()):
            bounds = [*(f"{bound:.1f}" for bound in BUCKETS_SECONDS), "+Inf"]
            sums = [sum(histogram.counts[: place + 1]) for place in range(len(bounds))]
            family.add_metric((task,), list(zip(bounds, sums, strict=True)), histogram.sum_seconds)
        return family

    def _merged(self, shown: frozenset[str]) -> dict[str, Histogram]:
        found: dict[str, Histogram] = {}
        for task, one in self._counters.durations.items():
            into = found.setdefault(task if task in shown else OTHER, Histogram())
            into.counts = [mine + theirs for mine, theirs in zip(into.counts, one.counts, strict=True)]
            into.sum_seconds += one.sum_seconds
        return found
