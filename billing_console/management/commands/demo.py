"""`manage.py demo`: the whole product on one machine, with stand-ins for Taiga and Invoice Ninja."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from billing_console.demo_processes import (
    NINJA_PORT,
    TAIGA_PORT,
    DemoError,
    choose_ports,
    ports_before,
    running_demo,
)
from billing_console.embedded import EmbeddedError
from billing_console.processes import PortBusy
from billing_console.spawn import AlreadyRunning, Stopped

PORT_HELP = "default %(default)s; 0 is that of last time, or a free one"
SERVER_HELP = "that of last time, else {port}, else a free one"


class Command(BaseCommand):
    help = "Starts everything with stand-ins, plays the scenario up to the drafts, and runs until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=5000, help=PORT_HELP)
        parser.add_argument("--taiga-port", type=int, help=SERVER_HELP.format(port=TAIGA_PORT))
        parser.add_argument("--ninja-port", type=int, help=SERVER_HELP.format(port=NINJA_PORT))
        parser.add_argument("--taiga-mode", choices=("inline", "async"), default="inline")
        parser.add_argument("--exit", action="store_true", help="play to the end, compare everything, and stop")
        parser.add_argument("--json", action="store_true", help="print the summary as JSON")
        parser.add_argument("--reset", action="store_true", help="start from nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            before = None if options["reset"] else ports_before()
            ports = choose_ports(options["port"], options["taiga_port"], options["ninja_port"], before=before)
            with running_demo(
                ports, is_reset=options["reset"], announce=announce, taiga_mode=options["taiga_mode"]
            ) as demo:
                until = "end" if options["exit"] else "review"
                code = demo.run_player(until=until, is_json=options["json"])
                if code != 0 or options["exit"]:
                    sys.exit(code)
                announce("Running until Ctrl-C.")
                demo.supervisor.run()
        except (AlreadyRunning, DemoError, EmbeddedError, PortBusy) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            announce("Stopped; `make demo` continues where this was.")
        except Stopped as stopped:
            announce(f"Stopped by signal {stopped.number}; `make demo` continues where this was.")
            raise


def announce(line: str) -> None:
    """Tell a person, on stderr: stdout belongs to the summary."""
    print(line, file=sys.stderr, flush=True)
