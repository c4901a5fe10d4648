"""processor: which share of all processors' time was busy in the last moment."""

from jamaint.core.conditions.condition import Finding, Kind, Params, share


def _subject(_params: Params) -> str:
    return "how busy the processors are"


def _judge(params: Params, found: float) -> Finding:
    limit = params["max"]
    if found <= limit:
        return Finding(True, f"the processors are {share(found)} busy, at most {share(limit)} is allowed")
    return Finding(False, f"the processors are {share(found)} busy, over {share(limit)}")


KIND = Kind(_subject, _judge)
