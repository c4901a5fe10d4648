"""SQL by name: files in a package, in which statements stand under `-- name:` lines."""

import re
from collections.abc import Mapping
from importlib import resources


def statements(package: str, file: str) -> Mapping[str, str]:
    """The statements of `queries/FILE.sql` in `package` by name, without their comments."""
    text = resources.files(package).joinpath("queries", f"{file}.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: _without_comments(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _without_comments(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
