"""Starts the stand-ins: `serve()` on threads for tests, `python -m sandbox` for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sandbox.clock import Clock
from sandbox.http_server import Server
from sandbox.memory import Memory

if TYPE_CHECKING:
    from sandbox.app import StandIn
    from sandbox.ninja.app import InvoiceNinja
    from sandbox.taiga.app import Taiga


class PortBusy(Exception):
    """A port cannot be taken; the text is one sentence that says which and what to do."""


@dataclass
class Running:
    """The stand-ins as they are served; one that was not asked for raises AttributeError."""

    clock: Clock
    _apps: dict[str, StandIn]
    _servers: list[Server]

    @property
    def taiga(self) -> Taiga:
        """The stand-in Taiga; its API is below `.url` + /api/v1."""
        return cast("Taiga", self._app("taiga"))

    @property
    def ninja(self) -> InvoiceNinja:
        """The stand-in Invoice Ninja; its API is below `.url` + /api/v1."""
        return cast("InvoiceNinja", self._app("ninja"))

    def _app(self, name: str) -> StandIn:
        if name not in self._apps:
            raise AttributeError(f"the stand-in {name} is not served")
        return self._apps[name]

    def stop(self) -> None:
        """Takes no further calls, ends the stand-ins' threads and closes their memory."""
        for server in self._servers:
            server.stop()
        for app in self._apps.values():
            app.stop()


def serve(
    *,
    host: str = "127.0.0.1",
    taiga_port: int | None = 0,
    ninja_port: int | None = 0,
    state: Path | None = None,
    taiga_mode: str = "inline",
) -> Running:
    """Serves the stand-ins on threads until `.stop()`. Port 0 is a free port, None leaves that stand-in out.

    With `state` (a folder) memory and clock are kept there: taiga.jsonl, ninja.jsonl and clock.json.
    taiga_mode: `inline` or `async` (how Taiga sends its webhooks). Raises PortBusy.
    """
    clock = Clock(state / "clock.json" if state is not None else None)
    apps: dict[str, StandIn] = {}
    ports: dict[str, int] = {}
    if taiga_port is not None:
        from sandbox.taiga.app import Taiga  # noqa: PLC0415 - only what is asked for

        apps["taiga"] = Taiga(Memory("taiga", state), clock, mode=taiga_mode)
        ports["taiga"] = taiga_port
    if ninja_port is not None:
        from sandbox.ninja.app import InvoiceNinja  # noqa: PLC0415

        apps["ninja"] = InvoiceNinja(Memory("ninja", state), clock)
        ports["ninja"] = ninja_port
    running = Running(clock, apps, [])
    for name, app in apps.items():
        try:
            server = Server(host, ports[name], app)
        except OSError as error:
            running.stop()
            raise PortBusy(
                f"Port {ports[name]} on {host} cannot be taken for {app.title} ({error.strerror}):"
                " stop what uses it or choose another port."
            ) from error
        running._servers.append(server)
        app.url = server.url
    for server in running._servers:
        server.start()
    return running
