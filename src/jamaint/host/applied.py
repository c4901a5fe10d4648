"""What was applied of the configuration: which directories, commands and databases workers that are units may be given.

Root has written it, by `jamaintctl config apply`; see core.fences.
"""

import json
from typing import Any

PATH = "/etc/jamaint/workers.json"


def applied() -> dict[str, Any]:
    """As core.fences.Fences.to_json; nothing where it has never been applied."""
    try:
        with open(PATH, "rb") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
