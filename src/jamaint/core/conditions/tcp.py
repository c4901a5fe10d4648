"""tcp: whether somebody listens at a port."""

from jamaint.core.conditions.condition import Finding, Kind, Params


def _subject(params: Params) -> str:
    return f"whether {params['host']} port {params['port']} takes connections"


def _judge(params: Params, found: str) -> Finding:
    """`found` is empty for a connection that was taken, else why it was not."""
    where = f"{params['host']} port {params['port']}"
    return Finding(not found, f"{where} takes connections" if not found else f"{where} takes no connection: {found}")


KIND = Kind(_subject, _judge)
