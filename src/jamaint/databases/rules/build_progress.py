"""Progress of an index build, by the phase that the server tells."""

from collections.abc import Mapping

_PHASES: Mapping[str, tuple[str, float, float]] = {
    "building index: scanning table": ("blocks", 0.0, 0.35),
    "building index: sorting live tuples": ("", 0.35, 0.45),
    "building index: loading tuples in tree": ("tuples", 0.45, 0.7),
    "waiting for writers before validation": ("", 0.7, 0.7),
    "index validation: scanning index": ("blocks", 0.7, 0.8),
    "index validation: sorting tuples": ("", 0.8, 0.82),
    "index validation: scanning table": ("blocks", 0.82, 1.0),
    "waiting for old snapshots": ("", 1.0, 1.0),
    "waiting for readers before marking dead": ("", 1.0, 1.0),
    "waiting for readers before dropping": ("", 1.0, 1.0),
}
"""What a phase counts, and from which share of a build to which it goes: about as long as each takes."""


def share_built(phase: str, blocks: tuple[int, int], tuples: tuple[int, int]) -> float:
    """How much of a concurrent build is done, 0..1; counts as (done, of), by pg_stat_progress_create_index."""
    counts, begin, end = _PHASES.get(phase, ("", 0.0, 0.0))
    done, of = {"blocks": blocks, "tuples": tuples}.get(counts, (0, 0))
    return begin + (end - begin) * (min(1.0, done / of) if of else 0.0)
