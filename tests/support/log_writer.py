"""Writes numbered lines to a log as fast as it can, and opens it anew on SIGHUP: `logwriter.py LOG PIDFILE [append]`.

On SIGTERM it ends, and its last line says how many there were. `append` never reopens.
"""

import os
import signal
import sys


def main(path: str, pid_file: str, *reopens: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    asked: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    with open(f"{pid_file}.new", "w") as file:
        file.write(f"{os.getpid()}\n")
    os.rename(f"{pid_file}.new", pid_file)
    number = 0
    while signal.SIGTERM not in asked:
        if signal.SIGHUP in asked and not reopens:
            asked.clear()
            os.close(log)
            log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        os.write(log, b"%012d a line of some length, as lines of logs are\n" % number)
        number += 1
    print(number)


if __name__ == "__main__":
    main(*sys.argv[1:])
