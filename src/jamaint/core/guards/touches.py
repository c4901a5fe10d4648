"""touches: whether something runs, or is being rolled back, that works on the same directory or database."""

from jamaint.core.guards.guard import Verdict, View, Waiting
from jamaint.core.resources import Resource, meeting


def judge(waiting: Waiting, view: View) -> Verdict:
    mine = waiting.task.touches
    if not mine:
        return Verdict("touches", "pass", "it uses no known directory or database")
    for name, theirs in view.snapshot.undoing:
        met = meeting(mine, theirs)
        if met is not None:
            return Verdict(
                "touches", "wait", f"{name} is being rolled back and uses {met[1]}; they may not run at the same time"
            )
    for name, theirs in view.touched:
        met = None if name == waiting.task.name else meeting(mine, theirs)
        if met is not None:
            return Verdict("touches", "wait", _says(name, *met))
    return Verdict("touches", "pass", f"nothing else uses {', '.join(map(str, mine))}")


def _says(name: str, mine: Resource, theirs: Resource) -> str:
    if mine == theirs:
        return f"{name} runs and uses {theirs} too; they may not run at the same time"
    return f"{name} runs and uses {theirs}, and this on {mine}; they may not run at the same time"
