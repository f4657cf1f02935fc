"""How gunicorn serves the console: read from the working directory by every `gunicorn` that starts here.

A loop collects requests, and a thread sees only whole ones; two processes, so that one can be replaced. Nothing is
loaded before the fork, because the pools of database connections must not be shared between processes.
"""

from __future__ import annotations

import os

bind = f"127.0.0.1:{os.environ.get('PORT', '5000')}"
worker_class = "billing_console.web_worker.BufferingWorker"
workers = 2
threads = 8
preload_app = False
timeout = 60
graceful_timeout = 5
keepalive = 5
control_socket_disable = True
raw_env = ["DATABASE_POOL=true"]


def post_worker_init(worker: object) -> None:
    """From now on the process tells every few seconds how it is."""
    from sync import presence  # noqa: PLC0415 -- Django is set up only now

    presence.tell_of("web")
