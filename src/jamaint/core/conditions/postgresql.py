"""postgresql: which part a server has, how far its standbys are behind, and how busy it is."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params, count, span


class Server(NamedTuple):
    """What a server says of itself. Of itself as a standby, or of the slowest of its standbys, `lag_seconds`; None
    where that cannot be told, which `lag_why` explains."""

    is_primary: bool
    lag_seconds: float | None
    lag_why: str
    active_connections: int
    longest_transaction_seconds: float


def _subject(params: Params) -> str:
    return f"the state of database {params['name']}"


def _judge(params: Params, found: Server) -> Finding:
    """All that is asked for must hold; what does not is told, or else all."""
    findings = [finding for check in _CHECKS if (finding := check(params, found)) is not None]
    against = [finding.says for finding in findings if not finding.holds]
    told = against or [finding.says for finding in findings]
    return Finding(not against, f"database {params['name']}: {', '.join(told)}")


def _part(params: Params, found: Server) -> Finding | None:
    if params["primary"] is None:
        return None
    is_, asked = ("primary", "a standby") if found.is_primary else ("a standby", "the primary")
    holds = found.is_primary is params["primary"]
    return Finding(holds, f"it is {'the ' if is_ == 'primary' else ''}{is_}" + ("" if holds else f", not {asked}"))


def _lag(params: Params, found: Server) -> Finding | None:
    limit = params["max_replication_lag_seconds"]
    if limit is None:
        return None
    if found.lag_seconds is None:
        return Finding(params["unknown_lag_is_met"], f"its replication lag is unknown: {found.lag_why}")
    holds = found.lag_seconds <= limit
    return Finding(holds, f"its replication lag is {span(found.lag_seconds)}, {_limit(holds)} {span(limit)}")


def _connections(params: Params, found: Server) -> Finding | None:
    limit = params["max_active_connections"]
    if limit is None:
        return None
    holds = found.active_connections <= limit
    return Finding(holds, f"{count(found.active_connections, 'connection')} at work, {_limit(holds)} {limit}")


def _transactions(params: Params, found: Server) -> Finding | None:
    limit = params["max_transaction_seconds"]
    if limit is None:
        return None
    longest, holds = found.longest_transaction_seconds, found.longest_transaction_seconds <= limit
    return Finding(holds, f"its longest transaction lasts {span(longest)}, {_limit(holds)} {span(limit)}")


def _limit(holds: bool) -> str:
    return "at most" if holds else "over"


_CHECKS = (_part, _lag, _connections, _transactions)
KIND = Kind(_subject, _judge)
