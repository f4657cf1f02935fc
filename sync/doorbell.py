"""Ringing the worker: best effort, from a thread of its own, never in the request (design: The doorbell).

A ring that is lost costs until the next beat, never money: every unfinished thing is a row.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import Final

from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

TASKS = {
    "deliveries": "sync.tasks.process_deliveries",
    "items": "sync.tasks.read_items",
    "push": "sync.tasks.push_tasks",
    "writeback": "sync.tasks.write_statuses",
    "sweep": "sync.tasks.sweep_projects",
    "doctor": "sync.tasks.look_around",
    "provision": "sync.tasks.provision_projects",
    "probe": "sync.tasks.probe_upstreams",
    "lists": "sync.tasks.refresh_lists",
    "imports": "sync.tasks.import_files",
    "runs": "invoicing.tasks.build_runs",
    "invoices": "invoicing.tasks.create_invoices",
    "sendings": "invoicing.tasks.send_invoices",
    "marks": "invoicing.tasks.mark_invoices",
    "pdfs": "invoicing.tasks.fetch_pdfs",
    "reminders": "invoicing.tasks.send_reminders",
    "readings": "invoicing.tasks.read_both_servers",
    "payments": "invoicing.tasks.poll_payments",
}
PAUSE_SECONDS = 0.5
SOCKET_SECONDS = 0.2
_BROKEN: Final = (OSError, KombuError, RedisError)

_waiting: set[str] = set()
_lock = threading.Lock()
_something_waits = threading.Event()
_ringer: threading.Thread | None = None


def ring(bell: str) -> None:
    """Ask the worker to look at the rows behind `bell`, soon. Returns at once; never raises for a broken broker.

    Nor where this machine has no thread for it.
    """
    if bell not in TASKS:
        raise ValueError(f"there is no bell {bell!r}")
    if not settings.DOORBELL_ENABLED:
        return
    global _ringer
    with _lock:
        _waiting.add(bell)
        if _ringer is None or not _ringer.is_alive():  # also after a fork: threads do not survive one
            _ringer = threading.Thread(target=_ring_forever, name="doorbell", daemon=True)
            try:
                _ringer.start()
            except (RuntimeError, MemoryError) as error:  # no thread is to be had; the next ring tries again
                logger.warning("the doorbell did not ring (%s): %s; beat will find the rows", bell, error)
    _something_waits.set()


def call_helpers(bell: str, count: int) -> None:
    """Ask `count` further workers to drain what is behind `bell`, at once. From a worker only; best effort too."""
    if settings.DOORBELL_ENABLED and count:
        _send([(bell, {"is_helper": True})] * count)


def _ring_forever() -> None:
    while True:
        _something_waits.wait()
        _something_waits.clear()
        with _lock:
            bells = sorted(_waiting)
            _waiting.clear()
        _send([(bell, {}) for bell in bells])
        # At most once per half second and bell; what rings meanwhile is gathered and rung once after the pause.
        time.sleep(PAUSE_SECONDS)


def _send(orders: list[tuple[str, dict[str, bool]]]) -> None:
    was_kept = _kept.connection is not None
    try:
        try:
            _publish(orders)
        except _BROKEN:
            _drop()
            if not was_kept:
                raise
            _publish(orders)  # the broker was restarted since the last ring; a bell that rings twice harms nobody
    except _BROKEN as error:
        _drop()
        names = ", ".join(sorted({bell for bell, _arguments in orders}))
        logger.warning("the doorbell did not ring (%s): %s; beat will find the rows", names, error)


class _Kept(threading.local):
    """The connection of a thread to the broker, for the next ring: a new one takes longer than all the rest of it."""

    connection: Connection | None = None
    url = ""


_kept = _Kept()


def _publish(orders: list[tuple[str, dict[str, bool]]]) -> None:
    if _kept.url != current_app.conf.broker_url:
        _drop()
    if _kept.connection is None:
        _kept.url = current_app.conf.broker_url
        _kept.connection = current_app.connection_for_write(
            connect_timeout=SOCKET_SECONDS,
            transport_options={
                **(current_app.conf.broker_transport_options or {}),
                "socket_timeout": SOCKET_SECONDS,
                "socket_connect_timeout": SOCKET_SECONDS,
                "retry_on_timeout": False,
                "max_retries": 0,
            },
        )
    for bell, arguments in orders:
        current_app.send_task(
            TASKS[bell],
            kwargs=arguments,
            connection=_kept.connection,
            retry=False,
            ignore_result=True,
            expires=settings.TICK_SECONDS * 10,
        )


def _drop() -> None:
    connection, _kept.connection = _kept.connection, None
    if connection is not None:
        with contextlib.suppress(*_BROKEN):  # it is broken already
            connection.release()


def _forget() -> None:
    """A forked process has no share in its parent's sockets."""
    global _kept
    _kept = _Kept()


os.register_at_fork(after_in_child=_forget)
