"""The whole interface at a glance: method -> role, whether it changes anything, handler."""

from collections.abc import Mapping

from jamaint.daemon.commands import executions, overview, service, steering, tasks, windows
from jamaint.daemon.commands.command import Command

COMMANDS: Mapping[str, Command] = {
    "status": Command("viewer", False, overview.status),
    "task.list": Command("viewer", False, tasks.listed),
    "task.get": Command("viewer", False, tasks.get),
    "task.explain": Command("viewer", False, tasks.explain),
    "task.create": Command("admin", True, tasks.create),
    "task.update": Command("admin", True, tasks.update),
    "task.delete": Command("admin", True, tasks.delete),
    "task.enable": Command("admin", True, tasks.enable),
    "task.disable": Command("admin", True, tasks.disable),
    "task.pause": Command("admin", True, tasks.pause),
    "window.list": Command("viewer", False, windows.listed),
    "window.get": Command("viewer", False, windows.get),
    "window.next": Command("viewer", False, windows.following),
    "window.create": Command("admin", True, windows.create),
    "window.update": Command("admin", True, windows.update),
    "window.delete": Command("admin", True, windows.delete),
    "window.skip": Command("admin", True, windows.skip),
    "policy.list": Command("viewer", False, overview.policies),
    "policy.get": Command("viewer", False, overview.policy),
    "execution.start": Command("operator", True, executions.start),
    "execution.list": Command("viewer", False, executions.listed),
    "execution.get": Command("viewer", False, executions.get),
    "execution.logs": Command("operator", False, executions.logs),
    "execution.wait": Command("viewer", False, executions.wait),
    "execution.cancel": Command("operator", True, executions.cancel),
    "execution.pause": Command("operator", True, steering.pause),
    "execution.resume": Command("operator", True, steering.resume),
    "execution.throttle": Command("operator", True, steering.throttle),
    "execution.rollback": Command("operator", True, executions.roll_back),
    "event.subscribe": Command("viewer", False, overview.subscribe),
    "alert.list": Command("viewer", False, overview.alerts),
    "audit.list": Command("admin", False, overview.audit_log),
    "config.check": Command("admin", False, service.check),
    "config.show": Command("admin", False, service.show),
    "daemon.drain": Command("admin", True, service.drain),
    "daemon.reload": Command("admin", True, service.reload),
    "daemon.version": Command("viewer", False, service.version),
}
