"""`manage.py console`: one machine's production, in the foreground."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from billing_console.embedded import EmbeddedError, embedded_services
from billing_console.processes import (
    Careful,
    PortBusy,
    console_programs,
    insist_on_free_port,
    run_step,
    supervised,
)
from billing_console.spawn import AlreadyRunning, Stopped, hold_lock, raising_on_signals


class Command(BaseCommand):
    help = "Runs web, two workers and beat in the foreground until Ctrl-C; one that dies is started again."
    # The settings are checked by the first step, in a process that has the database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="default %(default)s")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        say = Careful(self.say)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(raising_on_signals())
                stack.enter_context(hold_lock(settings.VAR_DIR / "console.lock"))
                insist_on_free_port(host, port)
                # Whatever starts again later has the settings of all others, also after the file was changed.
                read = {"ENV_FILE_DIGEST": settings.ENV_FILE_DIGEST} if settings.ENV_FILE else {}
                environment = {**os.environ, **read, "PORT": str(port), **_services(stack)}
                if run_step([sys.executable, "manage.py", "prepare"], environment, say, "prepare") != 0:
                    raise CommandError("The console was not started: preparing it failed, see above.")
                programs = console_programs(environment, host=host, port=port)
                supervisor = stack.enter_context(supervised(programs, write=say))
                say(f"console | http://{host}:{port}/admin/ · Ctrl-C stops it")
                supervisor.run()
        except (AlreadyRunning, EmbeddedError, PortBusy) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            say("console | stopped")
        except Stopped as stopped:
            # Asked to stop in the usual way, so an init system must not take it for a failure.
            say(f"console | stopped by signal {stopped.number}")

    def say(self, line: str) -> None:
        """Print one line at once, also into a pipe."""
        self.stdout.write(line)
        self.stdout.flush()


def _services(stack: contextlib.ExitStack) -> dict[str, str]:
    """Return the URLs of our own PostgreSQL and Redis, started if the settings name none; else nothing.

    Raises CommandError in production: there they are the installation's business.
    """
    if settings.DATABASE_URL and settings.REDIS_URL:
        return {}
    if settings.ENVIRONMENT != "sandbox":
        raise CommandError(
            "Set DATABASE_URL and REDIS_URL (or try it first with ENVIRONMENT=sandbox, which brings its own)."
        )
    return stack.enter_context(embedded_services("demo")).environment()
