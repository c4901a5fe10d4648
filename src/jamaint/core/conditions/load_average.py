"""load_average: how many processes ran or waited for the disk, on average over 1, 5 or 15 minutes."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params, count


class Load(NamedTuple):
    """The three averages by their minutes, and how many processors there are."""

    averages: dict[int, float]
    processors: int


def _subject(params: Params) -> str:
    return f"the load average over {params['minutes']} min"


def _judge(params: Params, found: Load) -> Finding:
    load, limit = found.averages[params["minutes"]], params["max"]
    figure = f"{load:.2f}"
    if params["per_cpu"]:
        load /= max(found.processors, 1)
        figure = f"{load:.2f} for each of {count(found.processors, 'processor')}"
    if load <= limit:
        return Finding(True, f"{_subject(params)} is {figure}, at most {limit:g} is allowed")
    return Finding(False, f"{_subject(params)} is {figure}, over {limit:g}")


KIND = Kind(_subject, _judge)
