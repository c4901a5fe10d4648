"""Standing still: all that a command has started is stopped, also what it starts meanwhile, and goes on after that."""

import signal

from jamaint.host.processes.suspend import Pausing, Standing


class Processes:
    """Some that can be signalled, `foreign` ones that cannot; each look finds what `looks` says, the last for ever."""

    def __init__(self, *looks: set[str], foreign: frozenset[str] = frozenset()) -> None:
        self.looks = list(looks)
        self.foreign = foreign
        self.sent: list[tuple[str, signal.Signals]] = []

    def find(self) -> list[str]:
        return sorted(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])

    def send(self, process: str, number: signal.Signals) -> bool:
        if process in self.foreign:
            return False
        self.sent.append((process, number))
        return True


def test_what_is_forked_while_it_is_stopped_is_stopped_too_and_all_goes_on() -> None:
    processes, wanted = Processes({"sh"}, {"sh", "child"}), [0]
    told: list[tuple[int, int, int]] = []
    standing = Standing(
        Pausing(lambda: wanted[0], lambda *figures: told.append(figures)), processes.find, processes.send
    )
    assert not standing.look()
    assert processes.sent == []
    wanted[0] = 4
    assert standing.look()
    assert standing.look()
    assert processes.sent == [("sh", signal.SIGSTOP), ("child", signal.SIGSTOP)]
    assert told == [(4, 2, 0)]
    wanted[0] = 0
    assert not standing.look()
    assert sorted(processes.sent[2:]) == [("child", signal.SIGCONT), ("sh", signal.SIGCONT)]


def test_what_cannot_be_stopped_is_counted() -> None:
    processes = Processes({"sh", "sudo"}, foreign=frozenset({"sudo"}))
    told: list[tuple[int, int, int]] = []
    Standing(Pausing(lambda: 1, lambda *figures: told.append(figures)), processes.find, processes.send).look()
    assert told == [(1, 1, 1)]
