"""Policies: look at, make, change."""

from typing import Any

from jamaint.config import parse_policy
from jamaint.core.policies.policies import Policy
from jamaint.daemon.control.commands.command import Call, Daemon, refuse_file, take, writable
from jamaint.daemon.control.commands.pagination import limit_of, page
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, NOT_AUTHORISED, JamaintError, invalid


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """All policies, the first to count first; those that are off last."""
    limit, cursor = take(call, limit=int, cursor=str)
    order = sorted(daemon.definitions.policies.values(), key=lambda one: (not one.enabled, one.order))
    names = [policy.name for policy in order]
    first = names.index(cursor) + 1 if cursor in names else 0
    if cursor is not None and not first:
        raise invalid("cursor", "that policy has been deleted: start over")
    shown = order[first : first + limit_of(limit)]
    items = [json_views.policy(policy) for policy in shown]
    return page(items, first + len(shown) < len(order), lambda index: shown[index].name)


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """One policy."""
    (name,) = take(call, policy_=str)
    return json_views.policy(daemon.definitions.policy(name))


async def create(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Makes a policy."""
    (value,) = take(call, policy_=dict)
    policy = _parse(daemon, call, value)
    if policy.name in daemon.definitions.policies:
        raise JamaintError(CONFLICT, f"there is a policy {policy.name} already: update it, or choose another name")
    return await _put(daemon, call, policy)


async def update(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Changes the given keys of a policy that was made through the socket."""
    name, changes = take(call, policy_=str, changes_=dict)
    policy = daemon.definitions.policy(name)
    refuse_file("policy", policy.name, policy.origin, daemon.definitions.config.path)
    if call.peer.uid != 0 and policy.name in daemon.definitions.roots_policies:
        raise JamaintError(NOT_AUTHORISED, f"policy {policy.name} was made by root: only root changes or deletes it")
    changed = _parse(daemon, call, {**policy.definition, **changes})
    if changed.name != policy.name:
        raise invalid("name", "cannot be changed: create a new policy and delete this one")
    return await _put(daemon, call, changed)


async def delete(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Deletes a policy that was made through the socket."""
    (name,) = take(call, policy_=str)
    policy = daemon.definitions.policy(name)
    refuse_file("policy", policy.name, policy.origin, daemon.definitions.config.path)
    if call.peer.uid != 0 and policy.name in daemon.definitions.roots_policies:
        raise JamaintError(NOT_AUTHORISED, f"policy {policy.name} was made by root: only root changes or deletes it")
    writable(daemon)
    await daemon.definitions.delete_policy(policy.name)
    await daemon.scheduler.take_policies()
    return {"deleted": policy.name}


def _parse(daemon: Daemon, call: Call, value: dict[str, Any]) -> Policy:
    grants = None if call.peer.uid == 0 else daemon.definitions.config.grants
    return parse_policy(value, origin="api", grants=grants)


async def _put(daemon: Daemon, call: Call, policy: Policy) -> dict[str, Any]:
    writable(daemon)
    await daemon.definitions.put_policy(policy, call.user, by_root=call.peer.uid == 0)
    await daemon.scheduler.take_policies()
    return json_views.policy(policy)
