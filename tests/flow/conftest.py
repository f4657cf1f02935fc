"""The whole flow in process: both stand-ins on threads, the console's own door for webhooks, real commits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections, transaction
from django.utils import timezone
from werkzeug.serving import make_server

from sandbox import scenario
from sandbox.server import Running, serve
from sync import upstreams
from sync.models import Heartbeat, TaigaAttributes
from tests.emptying import empty_our_tables, our_tables
from tests.flow.post_box import PostBox, Silent
from tests.flow.steps import Flow, import_guide


@pytest.fixture(autouse=True, scope="session")
def quiet_log() -> None:
    """One line per delivery is for operators; here it would only cost time."""
    logging.getLogger("webhook").setLevel(logging.ERROR)


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A database in which commits are commits: other threads see them, and what waits for a commit runs.

    Emptied by one transaction afterwards, which takes milliseconds where TRUNCATE takes a second.
    """
    with django_db_blocker.unblock():
        yield
        empty_our_tables()


class Copy:
    """All rows as they were once, kept in the database beside the real ones."""

    def __init__(self) -> None:
        self.tables: list[str] = []

    def take(self) -> None:
        """Copy every table that has rows."""
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept")
            for name in our_tables():
                cursor.execute(f'SELECT EXISTS (SELECT FROM "{name}")')
                if cursor.fetchone()[0]:
                    cursor.execute(f'CREATE TABLE kept."{name}" AS TABLE "{name}"')
                    self.tables.append(name)

    def put_back(self) -> bool:
        """Fill the empty tables with the copied rows; False when there is no copy yet."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            for name in self.tables:
                cursor.execute(f'INSERT INTO "{name}" TABLE kept."{name}" ON CONFLICT DO NOTHING')
        return bool(self.tables)


@pytest.fixture(scope="session")
def set_up_office() -> Copy:
    """What the import and the first sweep left, so that not every test has to do them again."""
    return Copy()


@pytest.fixture(scope="session")
def door() -> Iterator[str]:
    """The console's own web application on a free port; returns its URL."""
    console = get_wsgi_application()

    def application(environ: Any, start_response: Any) -> Any:
        try:
            yield from console(environ, start_response)
        finally:
            connections.close_all()  # of this request's thread, so that the test database can be dropped

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Silent)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-ins keep their memory and the clock that the console follows in a sandbox."""
    return tmp_path_factory.mktemp("stand-ins")


@pytest.fixture(scope="session")
def running_standins(state_folder: Path) -> Iterator[Running]:
    """Both stand-ins for the whole session."""
    running = serve(state=state_folder)
    yield running
    running.stop()


@pytest.fixture
def standins(running_standins: Running, state_folder: Path, door: str, settings: Any) -> Iterator[Running]:
    """Both stand-ins emptied, the scenario's office set up, signed webhooks to our door, 28 November 2025."""
    cache.clear()
    upstreams._logins.clear()
    settings.TAIGA_API = f"{running_standins.taiga.url}/api/v1"
    settings.INVOICE_NINJA_API = f"{running_standins.ninja.url}/api/v1"
    settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD = scenario.SERVICE_USER, scenario.SERVICE_PASSWORD
    settings.TAIGA_TOKEN = ""
    settings.INVOICE_NINJA_TOKEN = scenario.NINJA_TOKEN
    settings.LOOK_UP_AFTER_SECONDS = settings.RETRY_BASE_SECONDS = 0.0
    settings.SANDBOX_CLOCK_FILE = str(state_folder / "clock.json")
    for standin, seed in (
        (running_standins.taiga, scenario.taiga_seed(f"{door}/webhooks/taiga", settings.WEBHOOK_SECRET)),
        (running_standins.ninja, scenario.ninja_seed()),
    ):
        standin.faults.clear()
        standin.reset()
        running_standins.clock.set(scenario.BEGIN)
        standin.seed(seed)
    running_standins.taiga.mode = "inline"
    yield running_standins
    running_standins.taiga.drain()


@pytest.fixture
def office(standins: Running, db: None, set_up_office: Copy) -> Flow:
    """The scenario's three projects, imported from the guide's files, VAT 21 %, both servers read once."""
    flow = Flow(standins)
    if set_up_office.put_back():
        # Read just now, however long the session has been running.
        Heartbeat.objects.update(at=timezone.now())
        TaigaAttributes.objects.update(read_at=timezone.now())
    else:
        import_guide()
        flow.sweep()
        set_up_office.take()
    return flow


@pytest.fixture
def post_box(office: Flow, door: str) -> Iterator[PostBox]:
    """Taiga's hooks lead to a box; nothing reaches the console by itself."""
    box = PostBox(door)
    store = office.running.taiga.store
    with store.memory.transaction():
        for hook in store.webhooks.all():
            store.webhooks.update(hook["id"], url=box.url)
    yield box
    box.server.shutdown()
