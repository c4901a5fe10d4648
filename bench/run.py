"""Measures topics, ours and others in turn, and prints a table of each: `bench/run.py [TOPIC…] [--rounds N]`."""

import argparse
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import analysis
import answers
import cleaning
import client
import idle
import rotation
import schedules
import tasks
import upkeep
from measure import load
from places import at_the_end
from topic import AbsentError, Figures, Topic

TOPICS: Mapping[str, Topic] = {
    "client": client.TOPIC,
    "idle": idle.TOPIC,
    "tasks": tasks.TOPIC,
    "answers": answers.TOPIC,
    "cleaning": cleaning.CLEANING,
    "thinning": cleaning.THINNING,
    "analysis": analysis.TOPIC,
    "rotation": rotation.TOPIC,
    "upkeep": upkeep.TOPIC,
    "schedules": schedules.SCHEDULES,
    "wake": schedules.WAKE,
    "year": schedules.YEAR,
    "many": schedules.MANY,
    "crowd": schedules.CROWDED,
}
LOAD = "load"


def main() -> int:
    """Exits with 1 when a peer failed; one that is not there is named as left out."""
    options = _options()
    failed = False
    with at_the_end:
        for name in options.topics or TOPICS:
            topic = TOPICS[name]
            found, left_out = _measure(topic, options.rounds)
            failed |= any(not runs for runs in found.values())
            today = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}"
            print(f"\n## {name}: {topic.says}\n\n{options.rounds} rounds in turn, median (range). {today}.\n")
            print("\n".join(_table(topic, found)))
            print("".join(f"\nLeft out: {peer} ({why})." for peer, why in left_out.items()), flush=True)
    return 1 if failed else 0


def _measure(topic: Topic, rounds: int) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    found: dict[str, list[Figures]] = {name: [] for name in topic.peers}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        for name, peer in topic.peers.items():
            if name in left_out:
                continue
            try:
                figures = peer()
            except AbsentError as error:
                left_out[name] = str(error)
                del found[name]
            except Exception as error:  # the others are measured all the same
                notes = "\n".join(getattr(error, "__notes__", ()))
                print(f"round {number + 1}: {name} failed: {error!r} {notes}", file=sys.stderr)
            else:
                found[name].append({**figures, LOAD: load()})
    return found, left_out


def _table(topic: Topic, found: Mapping[str, Sequence[Figures]]) -> list[str]:
    compared, reference = (topic.figures[0], *topic.ratios), next(iter(topic.peers))
    titles = ["", *topic.figures, *(f"{figure} / {reference}" for figure in compared), LOAD]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    bases = [_median(found.get(reference, ()), figure) for figure in compared]
    for name, runs in found.items():
        ratios = [_ratio(_median(runs, figure), base) for figure, base in zip(compared, bases, strict=True)]
        cells = [name, *(_cell(runs, figure) for figure in topic.figures), *ratios, _cell(runs, LOAD)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _median(runs: Sequence[Figures], figure: str) -> float | None:
    values = [run[figure] for run in runs if figure in run]
    return statistics.median(values) if values else None


def _ratio(mine: float | None, base: float | None) -> str:
    return f"{mine / base:.2f}" if mine is not None and base else "–"


def _cell(runs: Sequence[Figures], figure: str) -> str:
    values = [run[figure] for run in runs if figure in run]
    if not values:
        return "–"
    middle, least, most = (_short(value) for value in (statistics.median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}–{most})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    unknown = [name for name in options.topics if name not in TOPICS]
    if unknown:
        parser.error(f"there is no topic {unknown[0]}: there are {', '.join(TOPICS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
