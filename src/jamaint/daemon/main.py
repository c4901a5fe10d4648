"""jamaintd: reads its configuration, then serves in the foreground."""

import argparse
import os
import sys
from collections.abc import Sequence

import trio

from jamaint import VERSION
from jamaint.config import Config, ConfigError, load, mistakes_text
from jamaint.daemon.app import App
from jamaint.daemon.sandbox.apply import apply
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.host.logging import setup
from jamaint.host.secrets import keep_out_of_tracebacks, problem_with

EXIT_FAILED = 1
EXIT_CONFIGURATION = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the daemon; returns its exit code: 0 stopped, 1 could not start or had to end, 7 bad configuration."""
    options = parser().parse_args(arguments)
    keep_out_of_tracebacks()
    try:
        config = _load(options.config)
    except ConfigError as error:
        print(mistakes_text(error.mistakes), file=sys.stderr)
        return EXIT_CONFIGURATION
    if options.check:
        for warning in config.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        print(f"{config.path or 'no file, the built-in configuration'}: in order")
        return 0
    if options.apply:
        if os.geteuid() != 0:
            print("only root can apply the configuration to the workers' units", file=sys.stderr)
            return EXIT_FAILED
        return apply(config, options.dry_run)
    log = setup.configure(config.log.format, config.log.level)
    app = App(config, lambda: _load(options.config), log)
    code = 0
    try:
        trio.run(app.serve)
    except* JamaintError as group:
        for message in dict.fromkeys(str(problem) for problem in _leaves(group)):  # several parts may have met it
            log.error(message)
        wrong = any(isinstance(one, JamaintError) and one.code == INVALID_PARAMS for one in _leaves(group))
        code = EXIT_CONFIGURATION if wrong else EXIT_FAILED
    return code


def _load(path: str | None) -> Config:
    return load(path, environ=os.environ, euid=os.geteuid(), secret=problem_with)


def _leaves(group: BaseExceptionGroup[JamaintError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def parser() -> argparse.ArgumentParser:
    """The command line; the manual page is made from it too."""
    made = argparse.ArgumentParser(prog="jamaintd", description="Carries out the maintenance of this machine.")
    made.add_argument("--config", metavar="FILE", help="the configuration; conf.d/*.yaml beside it is merged after it")
    made.add_argument("--check", action="store_true", help="check the configuration, tell every mistake, and end")
    made.add_argument("--apply", action="store_true", help="write the workers' units for the configuration, and end")
    made.add_argument("--dry-run", action="store_true", help="with --apply: say what would be written")
    made.add_argument("--version", action="version", version=f"jamaintd {VERSION}", help="tell the version, and end")
    return made


if __name__ == "__main__":
    sys.exit(main())
