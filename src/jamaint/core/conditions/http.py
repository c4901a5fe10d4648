"""http: with which status a web server answers; a redirection is an answer like any other, and is not followed."""

from urllib.parse import urlsplit

from jamaint.core.conditions.condition import Finding, Kind, Params
from jamaint.core.secrets import told


def _subject(params: Params) -> str:
    return f"the answer of {_address(params)}"


def _judge(params: Params, found: int) -> Finding:
    expected = params["status"]
    asked = "" if found in expected else f", {' or '.join(map(str, expected))} is required"
    return Finding(found in expected, f"{_address(params)} answers {found}{asked}")


def _address(params: Params) -> str:
    """Without what may be a secret: who, and the query."""
    if not isinstance(params["url"], str):
        return f"the address in {told(params['url'])}"
    parts = urlsplit(params["url"])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


KIND = Kind(_subject, _judge)
