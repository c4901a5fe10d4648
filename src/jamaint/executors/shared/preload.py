"""What an executor would import only as it works: imported before a worker becomes another user.

That user may not be able to read the interpreter's directory, or ours: a home that is closed to others.
"""

import codecs
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jamaint.core.cleanup_kinds import KINDS
from jamaint.executors import executor_of
from jamaint.files.access.compression import codec

_ENCODINGS = ("ascii", "latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-32", "idna", "punycode", "unicode-escape")
_MODULES = (
    "_strptime",
    "concurrent.futures.thread",
    "hashlib",
    "json.decoder",
    "linecache",
    "locale",
    "multiprocessing",
    "platform",
    "pprint",
    "queue",
    "tempfile",
    "tokenize",
    "traceback",
)
"""Modules of the standard library that it imports itself on the way."""


def preload(executor: str, config: Mapping[str, Any]) -> None:
    """Import all that the executor may need with this configuration. Raises what an import raises."""
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    for name in _MODULES:
        import_module(name)
    for inner in _inner(executor, config):
        executor_of(inner)
    for one in (config, *(kind["config"] for kind in config.get("kinds", ()))):
        if one.get("compress"):
            codec(one["compress"]["algorithm"])


def _inner(executor: str, config: Mapping[str, Any]) -> list[str]:
    """The executors that one has others do its work by."""
    found = [KINDS[kind["kind"]].executor for kind in config.get("kinds", ())] if executor == "system.cleanup" else []
    if executor == "cache.cleanup" or "cache.cleanup" in found:
        found.append("filesystem.cleanup")
    return found
