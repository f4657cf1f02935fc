"""Alive and ready."""

from __future__ import annotations

import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from billing_console import checks, fitness, health
from sync.signature import sign
from tests.billing_console.redis_server import redis_on_a_port


def test_alive_touches_nothing(client: Client) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.django_db
def test_ready_with_everything(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "database": "ok", "migrations": "ok", "clock": "ok", "redis": "ok"}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_without_redis_it_is_slow_but_still_takes_deliveries(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "slow",
        "database": "ok",
        "migrations": "ok",
        "clock": "ok",
        "redis": "unreachable: check REDIS_URL and that Redis runs",
    }


@pytest.mark.django_db
def test_a_missing_migration_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'accounts'")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert answer.json()["migrations"] == (
        "The tables lack 1 migration of this version: accounts.0001_initial. Nothing is done until `manage.py prepare` "
        "has made it."
    )


def test_without_a_database_it_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def cursor(self) -> None:
            from django.db import OperationalError

            raise OperationalError("no server")

    monkeypatch.setattr(fitness, "connection", Broken())

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["database"] == "unreachable: check DATABASE_URL and that PostgreSQL runs"


def refuse(code: str, table: str = "sync_heartbeat") -> None:
    """PostgreSQL answers each row for `table` with this code of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION refuse()")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("53100", "its disk is full: make space there, all goes on by itself"),
        ("53200", "out of memory: give PostgreSQL's machine more"),
        ("XX000", "unreachable: check DATABASE_URL and that PostgreSQL runs"),
    ],
)
def test_a_database_that_stores_nothing_is_not_ready_and_says_why(client: Client, code: str, said: str) -> None:
    refuse(code)

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["database"]) == (503, said)


@pytest.mark.django_db
def test_a_read_only_database_is_not_ready(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["database"] == (
        "read-only: it is a standby, or default_transaction_read_only is on; nothing can be stored"
    )


@pytest.mark.django_db
def test_a_delivery_that_cannot_be_stored_is_told_why(client: Client, settings: Any) -> None:
    refuse("53100", "sync_webhookdelivery")
    body = b'{"action": "test", "type": "test", "date": "2025-12-01T09:00:00Z", "data": {"test": "test"}}'
    headers = {"x-taiga-webhook-signature": sign(body, settings.WEBHOOK_SECRET)}

    answer = client.post("/webhooks/taiga", body, content_type="application/json", headers=headers)

    assert answer.status_code == 503
    assert answer.json() == {
        "error": "The delivery could not be stored. The database: its disk is full: make space there, all goes on by "
        "itself."
    }


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


@pytest.mark.parametrize("password", ["", "a long password"])
def test_a_redis_that_lets_everybody_in_is_a_warning(settings: Any, tmp_path: Path, password: str) -> None:
    with redis_on_a_port(tmp_path, password.replace(" ", "-")) as url:
        settings.REDIS_URL = url

        found = [message.id for message in checks.check_redis(databases=["default"])]

    assert health.is_redis_open() is False  # it is stopped
    assert found == ([] if password else ["console.W004"])


@pytest.mark.parametrize(("mode", "is_open"), [(0o777, True), (0o770, False)])
def test_a_socket_that_every_user_may_open_lets_everybody_in(
    settings: Any, tmp_path: Path, mode: int, is_open: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        with redis_on_a_port(tmp_path, unix=folder / "s") as url:
            (folder / "s").chmod(mode)
            settings.REDIS_URL = url
            assert health.is_redis_open() is is_open
    finally:
        shutil.rmtree(folder)


@pytest.mark.django_db(transaction=True)
def test_who_has_no_descriptor_for_the_database_is_not_ready(client: Client) -> None:
    client.get("/readyz")  # what an answer needs was read from the disk
    connection.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        answer = client.get("/readyz")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert client.get("/readyz").status_code == 200
