"""pressure: for which share of the time tasks of the machine were held up for want of a resource (Linux's PSI)."""

from jamaint.core.conditions.condition import Finding, Kind, Params, share, span


def _subject(params: Params) -> str:
    return f"the {params['resource']} pressure ({params['stall']}, over {span(params['seconds'])})"


def _judge(params: Params, found: float) -> Finding:
    limit = params["max"]
    if found <= limit:
        return Finding(True, f"{_subject(params)} is {share(found)}, at most {share(limit)} is allowed")
    return Finding(False, f"{_subject(params)} is {share(found)}, over {share(limit)}")


KIND = Kind(_subject, _judge)
