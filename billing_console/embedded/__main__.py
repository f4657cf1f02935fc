"""`python -m billing_console.embedded run [--purpose test|demo] -- COMMAND …`: a command with both servers.

Starts PostgreSQL and Redis, runs the command with DATABASE_URL and REDIS_URL set, stops both and exits with
the command's code. `python -m billing_console.embedded remove` deletes all their data of this clone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from billing_console.embedded.folders import (
    CLONE,
    EmbeddedError,
    Purpose,
    hold_lock,
    locate_folders,
    remove_data,
)
from billing_console.embedded.services import embedded_services
from billing_console.spawn import Stopped, spawn, stop_process


def run_command(command: Sequence[str], purpose: Purpose) -> int:
    """Run `command` with the two servers and return its exit code (128 + n if signal n ended it)."""
    with embedded_services(purpose) as urls:
        try:
            # In our own process group and with our terminal: Ctrl-C reaches the command directly.
            process = spawn(
                command,
                env={**inherited_environment(), **urls.environment()},
                stdin=None,
                death_signal=signal.SIGTERM,
                is_own_session=False,
            )
        except OSError as error:
            raise EmbeddedError(f"Cannot run {command[0]}: {error.strerror}.") from error
        try:
            code = process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            code = stop_process(process)
        except Stopped:
            stop_process(process)
            raise
    return code if code >= 0 else 128 - code


def inherited_environment() -> dict[str, str]:
    """Our environment without what our own import added to it.

    The package names the settings for Celery as soon as it is imported, and pytest would believe that
    more than its own configuration. Whoever needs the default sets it again.
    """
    environment = dict(os.environ)
    if environment.get("DJANGO_SETTINGS_MODULE") == "billing_console.settings":
        del environment["DJANGO_SETTINGS_MODULE"]
    return environment


def remove_everything(clone: Path = CLONE) -> None:
    """Delete the data, sockets, passwords and copied programs of this clone; refuses while one runs."""
    demo, test = locate_folders("demo", clone=clone), locate_folders("test", clone=clone)
    if not demo.home.is_dir():
        return
    with hold_lock(demo), hold_lock(test):
        remove_data(demo)
        remove_data(test)
        shutil.rmtree(demo.home, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, do it, and return the exit code; a known failure is one sentence."""
    parser = argparse.ArgumentParser(prog="python -m billing_console.embedded", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="run a command with both servers")
    run.add_argument("--purpose", choices=("demo", "test"), default="test")
    run.add_argument("command", nargs="+", help="the command and its arguments, after --")
    actions.add_parser("remove", help="delete all data of this clone")
    options = parser.parse_args(argv)
    try:
        if options.action == "remove":
            remove_everything()
            return 0
        return run_command(options.command, options.purpose)
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
