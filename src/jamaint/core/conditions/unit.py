"""unit: in which state a unit of systemd is."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params


class Unit(NamedTuple):
    """What systemd says: `load` is loaded or not-found, `active` is active, failed …, `sub` is running, exited …"""

    load: str
    active: str
    sub: str


def _subject(params: Params) -> str:
    return f"the state of {params['name']}"


def _judge(params: Params, found: Unit) -> Finding:
    name, states = params["name"], params["states"]
    asked = f"{' or '.join(states)} is required"
    if found.load == "not-found":
        return Finding(False, f"there is no unit {name}, {asked}")
    return Finding(found.active in states, f"{name} is {found.active} ({found.sub}), {asked}")


KIND = Kind(_subject, _judge)
