"""file: whether a file or directory is there, and when it was last written."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params, span


class File(NamedTuple):
    """`age_seconds` since its content was last changed; None where there is no such file."""

    age_seconds: float | None


def _subject(params: Params) -> str:
    return f"the state of {params['path']}"


def _judge(params: Params, found: File) -> Finding:
    path, age = params["path"], found.age_seconds
    if age is None:
        return Finding(not params["exists"], f"there is no {path}" + (", it must exist" if params["exists"] else ""))
    if not params["exists"]:
        return Finding(False, f"there is a {path}, and it must not exist")
    least, most = params["min_age_seconds"], params["max_age_seconds"]
    written = f"{path} was written {span(age)} ago" if age >= 0 else f"{path} has been modified in {span(-age)}"
    if least is not None and age < least:
        return Finding(False, f"{written}, at least {span(least)} is required")
    if most is not None and age > most:
        return Finding(False, f"{written}, at most {span(most)} is allowed")
    return Finding(True, written if least is not None or most is not None else f"there is a {path}")


KIND = Kind(_subject, _judge)
