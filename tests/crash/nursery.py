"""A process that forks one worker for each order and says how it ended; Django is loaded once, so a worker starts fast.

Orders and answers are JSON lines on standard input and output. A worker may be told where to die: at an arrow of a
row's trail, right before its transaction commits or right after. It dies by SIGKILL, as a real one does. Or which
signal it gets at a point: SIGSTOP freezes it, as on a machine that is paused, until somebody wakes it; SIGINT and
SIGTERM unwind, as Ctrl-C and a stop do where the main thread works (`spawn.raising_on_signals`). Or what it lacks from
there on: EMFILE (no file or socket can be opened any more), ENOMEM (a few megabytes are left), "database" (its
connection is gone, and for two seconds there is no descriptor for another one); or once: MemoryError.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from billing_console.spawn import Stopped, raising_on_signals

UNWOUND: Final = 3  # the exit code of a worker that a signal stopped


def serve() -> None:
    """Read orders until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _work(order)
        print(json.dumps({"pid": pid}), flush=True)
        _pid, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _work(order: dict[str, Any]) -> None:
    code = 1
    try:
        from django.conf import settings
        from django.db import connections

        for name, value in order["settings"].items():
            setattr(settings, name, value)
        connections["default"].settings_dict["NAME"] = order["database"]
        if order["die_at"]:
            _die_at(*order["die_at"])
        if order["strike_at"]:
            _strike_at(*order["strike_at"])
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what started us may have ignored it
        module, _dot, function = order["call"].rpartition(".")
        with raising_on_signals():
            getattr(importlib.import_module(module), function)(*order["args"])
        code = 0
    except (KeyboardInterrupt, Stopped):
        code = UNWOUND
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _die_at(model: str, from_state: str, to_state: str, moment: str) -> None:
    from django.db import connection, transaction

    from tests.trail import watcher

    def told(*arrow: str) -> None:
        if arrow == (model, from_state, to_state):
            if moment == "before":
                _die()
            transaction.on_commit(_die)

    connection.execute_wrappers.append(watcher(told))


def _strike_at(what: str, point: str, number: int, start: str) -> None:
    """`what` happens at the `number`-th: "slot" or "fence" before that statement, "flight" before those bytes leave.

    "read": when the answer of the first write is read; "answered": before the statement that gives its slot back.
    """
    import requests
    from django.db import connection

    left = iter(range(number))
    fences: list[str] = []

    def strike() -> None:
        if next(left, None) != number - 1:
            return
        if what == "MemoryError":
            raise MemoryError
        if what == "EMFILE":
            _use_up_descriptors()
        elif what == "ENOMEM":
            _use_up_memory()
        elif what == "database":
            connection.close()
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            giving = threading.Timer(2, resource.setrlimit, (resource.RLIMIT_NOFILE, (soft, hard)))
            giving.start()
            _use_up_descriptors()
            connection.ensure_connection()
        else:
            os.kill(os.getpid(), signal.Signals[what])

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        is_slot = "AS holds" in sql and "pg_try_advisory_lock" in sql
        is_fence = sql.startswith("SELECT EXISTS (") and "lease_until > clock_timestamp()" in sql
        is_answered = bool(fences) and "WITH written AS" in sql
        if {"slot": is_slot, "fence": is_fence, "answered": is_answered}.get(point):
            strike()
        fences.extend([sql] * is_fence)
        return execute(sql, *args)

    send = socket.socket.sendall

    def sendall(sock: socket.socket, data: bytes, *args: Any) -> None:
        if point == "flight" and bytes(data).startswith(start.encode()):
            strike()
        send(sock, data, *args)

    read = requests.Response.iter_content

    def iter_content(response: requests.Response, *args: Any, **kwargs: Any) -> Any:
        if point == "read" and fences:
            strike()
        return read(response, *args, **kwargs)

    connection.execute_wrappers.append(watch)
    requests.Response.iter_content = iter_content  # type: ignore[method-assign, assignment]
    socket.socket.sendall = sendall  # type: ignore[method-assign, assignment]


def _use_up_descriptors() -> None:
    """No connection to a server is open any more, and none can be opened; PostgreSQL's stays."""
    from sync import upstreams

    for server in ("taiga", "invoice_ninja"):
        upstreams._kept.adapter_of(server).poolmanager.clear()
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)


def _use_up_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 24 * 1024 * 1024, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    serve()
