"""A process that forks one worker for each order and says how it ended; Django is loaded once, so a worker starts fast.

Orders and answers are JSON lines on standard input and output. A worker may be told where to die: at an arrow of a
row's trail, right before its transaction commits or right after. It dies by SIGKILL, as a real one does. Or where to
freeze, as one on a machine that is paused: SIGSTOP, until somebody wakes it.
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
from typing import Any


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
        if order["freeze_at"]:
            _freeze_at(*order["freeze_at"])
        module, _dot, function = order["call"].rpartition(".")
        getattr(importlib.import_module(module), function)(*order["args"])
        code = 0
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


def _freeze_at(point: str, number: int, start: str) -> None:
    """Freeze at the `number`-th: "slot" or "fence" before that statement, "flight" before those bytes leave."""
    from django.db import connection

    left = iter(range(number))

    def freeze() -> None:
        if next(left, None) == number - 1:
            os.kill(os.getpid(), signal.SIGSTOP)

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        is_slot = "AS holds" in sql and "pg_try_advisory_lock" in sql
        is_fence = sql.startswith("SELECT EXISTS (") and "lease_until > clock_timestamp()" in sql
        if (point == "slot" and is_slot) or (point == "fence" and is_fence):
            freeze()
        return execute(sql, *args)

    send = socket.socket.sendall

    def sendall(sock: socket.socket, data: bytes, *args: Any) -> None:
        if point == "flight" and bytes(data).startswith(start.encode()):
            freeze()
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
