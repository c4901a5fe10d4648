"""mains_power: whether the machine runs on mains power rather than its battery."""

from jamaint.core.conditions.condition import Finding, Kind, Params


def _subject(_params: Params) -> str:
    return "whether the machine is on mains power"


def _judge(params: Params, found: bool) -> Finding:
    is_ = "the machine is on mains power" if found else "the machine runs on its battery"
    asked = "" if found is params["connected"] else ", and is asked to be on " + ("mains" if not found else "battery")
    return Finding(found is params["connected"], is_ + asked)


KIND = Kind(_subject, _judge)
