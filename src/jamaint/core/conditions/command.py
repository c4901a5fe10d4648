"""command: how a program of the administrator's ends, which no shell reads."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params


class Ended(NamedTuple):
    """`exit_code` is below zero for a signal; `last_line` is the last that it wrote, cut short."""

    exit_code: int
    last_line: str


def _subject(params: Params) -> str:
    return f"the outcome of {_name(params)}"


def _judge(params: Params, found: Ended) -> Finding:
    code, expected = found.exit_code, params["exit_codes"]
    ended = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    said = f", and said: {found.last_line}" if found.last_line else ""
    asked = "" if code in expected else f"; {' or '.join(map(str, expected))} is required"
    return Finding(code in expected, f"{_name(params)} {ended}{said}{asked}")


def _name(params: Params) -> str:
    return str(params["command"][0])


KIND = Kind(_subject, _judge)
