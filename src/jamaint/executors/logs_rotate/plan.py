"""The plan of a rotation: its steps, with what each acts on, its way back, and a person's words for it."""

import os
import shlex
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from jamaint.core.formatting import span
from jamaint.core.held_places import with_hold
from jamaint.core.plans import Step
from jamaint.executors.logs_rotate.rules import COMPRESSION, EXPIRY, ROTATION, RotationRules
from jamaint.executors.logs_rotate.survey import RotationSurvey
from jamaint.executors.shared.executor import Work
from jamaint.executors.shared.removal_methods import room_for
from jamaint.files.cleanup.survey import SAMPLE, Found, owners_words
from jamaint.files.rights.owners import numbered


class RotationPlanner:
    """Makes the steps of what a survey found; `suffix` is what compressed logs will end in."""

    def __init__(self, work: Work, rules: RotationRules, found: RotationSurvey, suffix: str) -> None:
        self._work, self._rules, self._found, self._suffix = work, rules, found, suffix

    def step(self, name: str) -> Step:
        """The step of that name."""
        found = self._found.survey.found
        work = list(self._work_of(name))
        direct = self._direct(found, name)
        roots = with_hold(
            numbered({"path": root.path, "times": root.times} for root in found if root.path not in direct),
            self._rules.hold_seconds,
        )
        says = [self._says(name, len(work)), *owners_words(found)]
        if roots and name == ROTATION:
            says.append("The names can be put back until the rollback point is purged.")
        elif roots:
            says.append("Removed files go to the trash: they can be restored until it is purged, and take")
            says.append("space until then.")
        says += [f"{why}: there it cannot be put back." for why in sorted(set(direct.values()))]
        sample = [
            {"path": path, "bytes": seen.st_size, "age_seconds": self._work.now.timestamp() - seen.st_mtime}
            for path, seen in islice(work, SAMPLE)
        ]
        undo = {"trash": self._work.execution, "step": name, "roots": roots} if roots else None
        size = sum(seen.st_size for _, seen in work)
        args = {"direct": direct, **(self._skipped() if name == ROTATION else {})}
        return Step(name, " ".join(says), args, undo, len(work), size, tuple(sample))

    def _skipped(self) -> dict[str, Any]:
        """The logs that are not rotated, and why: for the people who read the plan."""
        skipped = self._found.skipped.details()
        return {"skipped": skipped["skipped"][:SAMPLE], "skipped_count": skipped["skipped_count"]}

    def _work_of(self, name: str) -> Iterator[tuple[str, os.stat_result]]:
        """The files of a step as planned, by the names they have now."""
        for log in self._found.logs:
            before = {new: old for old, new in log.turn.moves}
            fresh = {ROTATION: log.turn.due, COMPRESSION: log.turn.compress_fresh, EXPIRY: log.turn.expire_fresh}
            if fresh[name]:
                yield log.path, log.seen
            for after in {COMPRESSION: log.turn.compress, EXPIRY: log.turn.expire}.get(name, ()):
                yield log.path_of(before.get(after, after)), log.judged(after)

    def _says(self, name: str, count: int) -> str:
        config, logs = self._work.config, "1 log" if count == 1 else f"{count} logs"
        rotated = logs.replace(" ", " rotated ")
        if name == COMPRESSION:
            return f"Compress {rotated} to {self._suffix}."
        if name == EXPIRY:
            age = self._rules.max_age_seconds
            older = f", or last written more than {span(age)} ago" if age is not None else ""
            return f"Delete {rotated}: beyond the {self._rules.keep} that are kept of each log{older}."
        into = f" into {config['olddir']}" if config.get("olddir") else ""
        if config.get("copy"):
            does = f"Copy {logs}{into}, which stay as they are."
        elif self._rules.copy_truncate:
            does = f"Copy {logs}{into} and truncate them; what is written in between is lost."
        else:
            does = f"Rotate {logs}{into}" + (" and make new ones." if config["create"] is not None else ".")
        again = len(self._found.to_tell)
        if again:
            does += f" The writers of {again} rotated before have not all let go: they are told again."
        return " ".join((does, *(f"{told}." for told in self._tells() if count or again)))

    def _tells(self) -> Iterator[str]:
        config = self._work.config
        scripts = config.get("scripts") or {}
        rights = f" as {scripts['user']}" if scripts.get("user") else ""
        each = ", once for each log with its path" if scripts.get("per_log") else ""
        for key in ("prerotate", "postrotate"):
            if config[key]:
                yield f"{'Before' if key == 'prerotate' else 'Then'} run{rights}: {shlex.join(config[key])}{each}"
        if config["signal"]:
            yield f"Then send SIG{config['signal']['signal']} to the process of {config['signal']['pid_file']}"

    def _direct(self, found: Sequence[Found], name: str) -> dict[str, str]:
        """Roots in which a step leaves no way back, and why. A rotation's takes no room worth speaking of."""
        if name == ROTATION and self._work.keeps_way_back:
            return {}
        return room_for(self._work, [(root.path, 0) for root in found], by_owner=True).direct
