"""Everything the demo runs, on one machine: the stand-ins, the console, and the player of its scenario."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from billing_console import demo_belonging
from billing_console.demo_belonging import Belonging
from billing_console.embedded import ServiceUrls, embedded_services
from billing_console.env import VARIABLES
from billing_console.private_files import open_private
from billing_console.processes import (
    CLONE,
    Program,
    Supervisor,
    choose_free_ports,
    console_programs,
    insist_on_free_port,
    is_free_port,
    run_step,
    supervised,
)
from billing_console.spawn import deaf_to_signals, hold_lock, raising_on_signals, spawn, stop_process

HOST: Final = "127.0.0.1"
READY_SECONDS: Final = 90.0
FOLDER: Final = CLONE / "var" / "demo"
LOG: Final = FOLDER / "processes.log"
PORTS_FILE: Final = FOLDER / "ports.json"
MEMORY: Final = FOLDER / "stand-ins"
# Where the stand-ins listen if nothing else does.
TAIGA_PORT: Final = 9101
NINJA_PORT: Final = 9102

Write = Callable[[str], None]


class DemoError(Exception):
    """The demo cannot run; the text is one plain sentence."""


@dataclass(frozen=True)
class Ports:
    """The TCP ports, on the loopback address, of the console and of the two stand-ins."""

    web: int
    taiga: int
    ninja: int


def choose_ports(web: int, taiga: int | None, ninja: int | None, *, before: Ports | None = None) -> Ports:
    """Return the ports asked for; where 0 was, those of the demo `before` that is continued, else free ones.

    A stand-in that nobody chose a port for (None) has that of the demo `before`, else its usual one, else a free one.
    Raises PortBusy where a port is taken, and DemoError where the stand-ins would move: their address is pinned, so the
    console would take them for other servers and write nothing.
    """
    known = before or Ports(*choose_free_ports(3))
    if before is None:
        taiga = free_or_none(TAIGA_PORT) if taiga is None else taiga
        ninja = free_or_none(NINJA_PORT) if ninja is None else ninja
    ports = Ports(web or known.web, taiga or known.taiga, ninja or known.ninja)
    if before is not None and (ports.taiga, ports.ninja) != (before.taiga, before.ninja):
        raise DemoError(
            f"This demo was played with its servers on the ports {before.taiga} and {before.ninja}. Continue it with "
            f"--taiga-port {before.taiga} --ninja-port {before.ninja}, or start from nothing with --reset."
        )
    insist_on_free_port(HOST, ports.web)
    for port, option in ((ports.taiga, "--taiga-port"), (ports.ninja, "--ninja-port")):
        if before is None:
            insist_on_free_port(HOST, port, option=option)
        elif not is_free_port(HOST, port):
            raise DemoError(
                f"This demo was played with a server on port {port}, which something else uses now: "
                "stop that, or start from nothing with --reset (make demo RESET=1)."
            )
    return ports


def free_or_none(port: int) -> int | None:
    """Return `port` if it is free on the loopback address, else None."""
    return port if is_free_port(HOST, port) else None


def ports_before() -> Ports | None:
    """The ports of the demo that would be continued; None where there is none."""
    return Ports(**json.loads(PORTS_FILE.read_text())) if PORTS_FILE.exists() else None


def demo_environment(ports: Ports, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of all demo processes but the two service URLs.

    Nothing of an installation's own configuration gets in, neither its variables nor its .env: the demo
    must never hold a real token.
    """
    ours = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    return {
        **{name: value for name, value in inherited.items() if name not in ours},
        "DJANGO_SETTINGS_MODULE": "billing_console.settings",
        "ENV_FILE": "",
        "ENVIRONMENT": "sandbox",
        "BILLING_TIMEZONE": "Europe/Brussels",
        "PORT": str(ports.web),
        "PUBLIC_URL": f"http://{HOST}:{ports.web}",
        "TAIGA_API": f"http://{HOST}:{ports.taiga}/api/v1",
        "TAIGA_USERNAME": "billing",
        "TAIGA_PASSWORD": "sandbox-taiga-password",
        "INVOICE_NINJA_API": f"http://{HOST}:{ports.ninja}/api/v1",
        "INVOICE_NINJA_TOKEN": "sandbox-ninja-token",
        "WEBHOOK_SECRET": "sandbox-webhook-secret",
        "ALLOW_HTTP_UPSTREAMS": "true",
        "SANDBOX_CLOCK_FILE": str(MEMORY / "clock.json"),
        "LOG_DIR": str(FOLDER / "logs"),
    }


@dataclass
class Demo:
    """A running demo."""

    environment: dict[str, str]
    supervisor: Supervisor
    write: Write

    def run_player(self, *, until: str, is_json: bool) -> int:
        """Play the scenario `until` "review" or "end" in a process of its own; return its exit code.

        The player prints its progress on stderr and its summary on stdout, which are ours. The other
        processes are kept alive meanwhile.
        """
        arguments = ["--until", until, *(["--json"] if is_json else [])]
        player = Player(arguments, self.environment)
        with player:
            self.supervisor.run(player.is_done)
            return player.code


class Player:
    """The process that plays the scenario: `python -m billing_console.demo`."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._argv = [sys.executable, "-m", "billing_console.demo", *arguments]
        self._environment = environment

    def __enter__(self) -> Player:
        self._process = spawn(self._argv, env=self._environment, cwd=CLONE)
        return self

    def __exit__(self, *failure: object) -> None:
        with deaf_to_signals():
            stop_process(self._process, seconds=5)

    def is_done(self) -> bool:
        """True once it has ended."""
        return self._process.poll() is not None

    @property
    def code(self) -> int:
        """Its exit code; 128 + n where signal n ended it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def running_demo(ports: Ports, *, is_reset: bool, announce: Write, taiga_mode: str = "inline") -> Iterator[Demo]:
    """Run all processes of the demo for as long as the block lasts, and leave none behind.

    `is_reset` forgets everything an earlier demo did. Raises EmbeddedError, AlreadyRunning or DemoError,
    each with one sentence.
    """
    environment = demo_environment(ports)
    with contextlib.ExitStack() as stack:
        stack.enter_context(raising_on_signals())
        stack.enter_context(hold_lock(CLONE / "var" / "demo.lock"))
        if is_reset:
            shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        PORTS_FILE.write_text(json.dumps(asdict(ports)))
        log = stack.enter_context(open_private(LOG, "a", buffering=1, encoding="utf-8"))

        def write(line: str) -> None:
            with contextlib.suppress(ValueError):  # a last line after the file was closed
                log.write(line + "\n")

        announce("Starting PostgreSQL and Redis …")
        services = own_services(is_reset=is_reset, announce=announce)
        environment |= stack.enter_context(services).environment()
        announce("Starting the stand-ins for Taiga and Invoice Ninja …")
        stand_ins = stand_in_program(ports, environment, taiga_mode)
        supervisor = stack.enter_context(supervised([stand_ins], write=write, announce=announce))
        for port in (ports.taiga, ports.ninja):
            wait_until_ready(f"http://{HOST}:{port}/sandbox/clock", supervisor)
        # Before anything of the console looks at them: a company's currency counts from the first import on.
        if run_step([sys.executable, "-m", "billing_console.demo", "--until", "seed"], environment, write, "seed") != 0:
            raise DemoError(f"The stand-ins could not be set up: {last_line_of(LOG)} (see {LOG}).")
        announce("Preparing the database …")
        if run_step([sys.executable, "manage.py", "prepare"], environment, write, "prepare") != 0:
            raise DemoError(f"The database could not be prepared: {last_line_of(LOG)} (see {LOG}).")
        announce("Starting web, worker and beat …")
        supervisor.add(*console_programs(environment, host=HOST, port=ports.web))
        wait_until_ready(f"http://{HOST}:{ports.web}/readyz", supervisor)
        yield Demo(environment, supervisor, write)


@contextlib.contextmanager
def own_services(*, is_reset: bool, announce: Write, memory: Path = MEMORY) -> Iterator[ServiceUrls]:
    """Run PostgreSQL and Redis for the block, with a database that belongs to the stand-ins' `memory`.

    Where they do not belong together, says so and begins both anew. Raises DemoError where the database is not of a
    demo.
    """
    if not is_reset:
        with embedded_services("demo", log=announce) as urls:
            found = demo_belonging.look(urls.database_url, memory)
            if found is Belonging.NOT_A_DEMOS:
                raise DemoError(demo_belonging.NOT_A_DEMOS)
            if found is Belonging.UNMARKED:
                demo_belonging.mark(urls.database_url, memory)
            if found is not Belonging.APART:
                yield urls
                return
        announce(demo_belonging.BEGIN_ANEW)
    shutil.rmtree(memory, ignore_errors=True)
    with embedded_services("demo", is_reset=True, log=announce) as urls:
        demo_belonging.mark(urls.database_url, memory)
        yield urls


def stand_in_program(ports: Ports, environment: Mapping[str, str], taiga_mode: str) -> Program:
    """The process of both stand-ins; what it holds survives its restarts."""
    return Program(
        "stand-ins",
        [
            *(sys.executable, "-m", "sandbox", "--host", HOST),
            *("--taiga-port", str(ports.taiga), "--ninja-port", str(ports.ninja)),
            *("--state", str(MEMORY), "--taiga-mode", taiga_mode),
        ],
        environment,
    )


def wait_until_ready(url: str, supervisor: Supervisor, seconds: float = READY_SECONDS) -> None:
    """Wait until `url` answers 200, keeping everything alive; raises DemoError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not _answers_ok(url):
        if time.monotonic() > deadline:
            raise DemoError(f"{url} did not come up within {seconds:g} s: {last_line_of(LOG)} (see {LOG}).")
        supervisor.poll()
        time.sleep(0.1)


def _answers_ok(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_line_of(path: Path) -> str:
    """The last line of a log, for a sentence about what went wrong."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path.is_file() else []
    return lines[-1].strip() if lines else "no reason given"
