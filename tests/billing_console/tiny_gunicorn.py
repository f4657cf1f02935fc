"""The console's own configuration of gunicorn, for an application that is no Django: it tells nobody how it is."""

from __future__ import annotations

from runpy import run_path

globals().update({name: value for name, value in run_path("gunicorn.conf.py").items() if name in (
    "workers", "threads", "timeout", "graceful_timeout", "keepalive", "control_socket_disable", "preload_app",
)})  # fmt: skip
