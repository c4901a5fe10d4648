"""logged_in_users: how many people are logged in, each counted once."""

from jamaint.core.conditions.condition import Finding, Kind, Params, count


def _subject(_params: Params) -> str:
    return "who is logged in"


def _judge(params: Params, found: frozenset[str]) -> Finding:
    limit = params["max"]
    who = f" ({', '.join(sorted(found)[:5])}{', …' if len(found) > 5 else ''})" if found else ""
    logged_in = f"{count(len(found), 'user')} {'is' if len(found) == 1 else 'are'} logged in{who}"
    return Finding(len(found) <= limit, f"{logged_in}, at most {limit} {'is' if limit == 1 else 'are'} allowed")


KIND = Kind(_subject, _judge)
