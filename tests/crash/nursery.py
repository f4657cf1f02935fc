"""A process that forks one worker for each order and says how it ended; Django is loaded once, so a worker starts fast.

Orders and answers are JSON lines on standard input and output. A worker may be told where to die: at an arrow of a
row's trail, right before its transaction commits or right after. It dies by SIGKILL, as a real one does. Or which
signal it gets at a point: SIGSTOP freezes it, as on a machine that is paused, until somebody wakes it; SIGINT and
SIGTERM unwind, as Ctrl-C and a stop do where the main thread works (`spawn.raising_on_signals`).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
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
        if order["signal_at"]:
            _signal_at(*order["signal_at"])
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


def _signal_at(name: str, point: str, number: int, start: str) -> None:
    """Signal `name` at the `number`-th: "slot" or "fence" before that statement, "flight" before those bytes leave.

    "answered": before the statement that gives the slot of the first write back.
    """
    from django.db import connection

    left = iter(range(number))
    fences: list[str] = []

    def strike() -> None:
        if next(left, None) == number - 1:
            os.kill(os.getpid(), signal.Signals[name])

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

    connection.execute_wrappers.append(watch)
    socket.socket.sendall = sendall  # type: ignore[method-assign, assignment]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    serve()
