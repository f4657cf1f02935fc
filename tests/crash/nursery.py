"""A process that forks one worker for each order and says how it ended; Django is loaded once, so a worker starts fast.

Orders and answers are JSON lines on standard input and output. A worker may be told where to die: at an arrow of a
row's trail, right before its transaction commits or right after. It dies by SIGKILL, as a real one does.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
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


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    serve()
