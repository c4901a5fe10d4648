"""Names of compressed files."""

PACKED = (".gz", ".zst", ".xz", ".bz2")
"""Endings of files that are compressed already."""
