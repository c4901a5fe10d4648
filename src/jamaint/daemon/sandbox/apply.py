"""`jamaintd --apply`, which is `jamaintctl config apply`: run by root, on the machine, without the daemon."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

from jamaint.config import Config
from jamaint.core.safety.retained_access import RetainedAccess, with_what_left
from jamaint.core.safety.sandbox import SandboxPolicy, database_words, fences, not_applied
from jamaint.core.secrets import references
from jamaint.daemon.sandbox import units
from jamaint.files.rights import writable_groups
from jamaint.host.applied_sandbox import PATH, applied, read
from jamaint.worker_client.session import units_are_used

STRANGE = (
    "what it says of tasks that have left the configuration would be lost. Put it right, or remove it and apply again: "
    "then those tasks cannot be rolled back any more"
)


def of_config(config: Config) -> tuple[SandboxPolicy, list[str]]:
    """What the configuration asks of the workers' units, and what of it cannot be had."""
    found, problems = _wanted(config)
    return replace(found, keeps_seconds=config.rollback.retention_seconds, trust=config.trusted_groups), problems


def _wanted(config: Config) -> tuple[SandboxPolicy, list[str]]:
    grants = config.grants
    conditions = [
        *(condition for task in config.tasks.values() for condition in task.conditions),
        *(condition for window in config.windows.values() for condition in window.conditions),
        *(condition for policy in config.policies.values() for condition in policy.conditions),
    ]
    return fences(
        config.tasks.values(),
        grants.paths,
        grants.users,
        grants.commands.values(),
        grants.databases.values(),
        conditions=conditions,
    )


def left(config: Config) -> list[str]:
    """What the configuration names and workers that are units cannot reach, in words; nothing where they are not."""
    if not units_are_used():
        return []
    wanted, problems = of_config(config)
    return [*problems, *not_applied(wanted, applied())]


def apply(config: Config, dry_run: bool) -> int:
    """Makes the units what the configuration asks for, and prints what changed; the exit code."""
    wanted, problems = of_config(config)
    writable_groups.trust(config.trusted_groups)
    try:
        wanted = with_what_left(wanted, read(), datetime.now(UTC))
    except (OSError, ValueError) as error:
        print(f"{PATH} is not as it was written ({error}): {STRANGE}", file=sys.stderr)
        return 1
    wanted, unbound = units.bound(wanted)
    own = tuple(name for kind, name in references({"dsn": config.database.dsn}) if kind == "file")
    try:
        files = units.texts(wanted, own)
        units.check_account()
        todo = units.changes(files)
        for change in todo:
            print(f"{'would be ' if dry_run else ''}{change.what}: {change.path}")
            if dry_run and change.what != "removed" and not change.path.endswith(".json"):
                print("".join(f"    {line}\n" for line in _of_interest(files[change.path])), end="")
        for one in wanted.former:
            print(f"access kept until {one['until'][:16]}Z only for rollback: {_says(one)}")
        if not todo:
            print("nothing has changed")
        if not dry_run:
            problems += units.carry_out(files, todo)
            problems += _take_over(wanted)
    except units.PartlyAppliedError as error:
        print(f"the configuration was applied in part: {error}", file=sys.stderr)
        return 1
    except (OSError, LookupError) as error:
        print(f"the configuration could not be applied, and nothing was changed: {error}", file=sys.stderr)
        return 1
    for problem in [*unbound, *problems]:
        print(f"warning: {problem}", file=sys.stderr)
    return 0


def _take_over(wanted: SandboxPolicy) -> list[str]:
    """Takes over the trash of a daemon that was root; what of it could not be."""
    try:
        for path in units.take_over_trash(wanted):
            print(f"taken over from root: {path}")
    except OSError as error:
        return [f"the trash of a daemon that was root could not be taken over as a whole: {error}"]
    return []


def _says(former: RetainedAccess) -> str:
    paths = [path for paths in former["kinds"].values() for path in paths]
    commands = [f"{len(former['back'])} of commands"] if former["back"] else []
    kinds = [f"worker {kind}" for kind, below in former["kinds"].items() if not below]
    databases = [database_words(one) for one in former["databases"]]
    secrets = [path for paths in former["secrets"].values() for path in paths]
    return ", ".join(dict.fromkeys([*paths, *commands, *databases, *secrets, *kinds]))


def _of_interest(text: str) -> list[str]:
    names = ("User=", "BindPaths=", "LoadCredential=", "ListenStream=")
    return [line for line in text.splitlines() if line.startswith(names)]
