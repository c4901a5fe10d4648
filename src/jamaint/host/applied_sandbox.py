"""What was applied of the configuration: which directories, commands and databases workers that are units may be given.

Root has written it, by `jamaintctl config apply`; see core.safety.sandbox.
"""

import json
from typing import Any

PATH = "/etc/jamaint/workers.json"


def read() -> dict[str, Any]:
    """As core.safety.sandbox.SandboxPolicy.to_json; nothing where it has never been applied. Raises OSError,
    ValueError."""
    try:
        with open(PATH, "rb") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def applied() -> dict[str, Any]:
    """The same; nothing, too, where it cannot be read."""
    try:
        return read()
    except (OSError, ValueError):
        return {}
