"""A database without tables, or that lets nobody in, is one sentence in every command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from django.db.utils import IntegrityError, OperationalError, ProgrammingError
from psycopg.conninfo import make_conninfo

from billing_console.database_errors import explain, reason_of
from billing_console.processes import CLONE

EMPTY = "nothing_in_it"
NEW_ACCOUNT = ["createsuperuser", "--noinput", "--username", "ada", "--email", ""]


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The DATABASE_URL of a database that has no table."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {EMPTY}")
        server.execute(f"CREATE DATABASE {EMPTY}")
        yield url.replace("/billing?", f"/{EMPTY}?")
        server.execute(f"DROP DATABASE {EMPTY} WITH (FORCE)")


def manage(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CLONE,
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def with_another_password(url: str) -> str:
    before, _, rest = url.partition("://billing:")
    return f"{before}://billing:wrong@{rest.partition('@')[2]}"


def test_an_account_before_the_tables_is_one_sentence(empty_database: str) -> None:
    answer = manage(*NEW_ACCOUNT, url=empty_database)

    assert answer.returncode == 1
    assert answer.stderr == (
        "The database has no tables of this version of the console yet (accounts_user is missing): "
        "run `manage.py prepare` first, then this again.\n"
    )


@pytest.mark.parametrize("command", [["check", "--database", "default"], ["prepare", "--no-static"]])
def test_a_wrong_password_is_one_sentence(command: list[str]) -> None:
    answer = manage(*command, url=with_another_password(os.environ["DATABASE_URL"]))

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == (
        'The database cannot be reached: password authentication failed for user "billing". '
        "Check DATABASE_URL, and that PostgreSQL runs.\n"
    )


def test_whoever_wants_the_traceback_gets_it() -> None:
    url = with_another_password(os.environ["DATABASE_URL"])

    answer = manage(*NEW_ACCOUNT, "--traceback", url=url)

    assert answer.returncode == 1
    assert "Traceback (most recent call last)" in answer.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            (
                'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n'
                "\tIs the server running on that host and accepting TCP/IP connections?"
            ),
            'connection to server at "127.0.0.1", port 1 failed: Connection refused',
        ),
        (
            (
                "Multiple connection attempts failed. All failures were:\n"
                "- host: 'localhost', port: '5432', hostaddr: '::1': connection failed: connection to server at "
                '"::1", '
                "port 5432 failed: Connection refused\n"
                "- host: 'localhost', port: '5432', hostaddr: '127.0.0.1': connection failed: connection to server at "
                '"127.0.0.1", port 5432 failed: FATAL:  database "billing_console" does not exist'
            ),
            'database "billing_console" does not exist',
        ),
        ("[Errno -2] Name or service not known", "[Errno -2] Name or service not known"),
        ("couldn't get a connection after 30.00 sec", "couldn't get a connection after 30.00 sec"),
        ("", "no reason given"),
    ],
)
def test_the_reason_is_the_servers_last_word(text: str, reason: str) -> None:
    assert reason_of(OperationalError(text)) == reason


@pytest.mark.django_db
def test_only_what_happens_before_there_is_a_connection_is_unreachable() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        with pytest.raises(OperationalError) as caught:
            cursor.execute("SELECT pg_sleep(1)")

    assert explain(caught.value) is None


@pytest.mark.parametrize("error", [IntegrityError("twice"), ProgrammingError("a wrong statement")])
def test_another_failure_keeps_its_traceback(error: Exception) -> None:
    assert explain(error) is None


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(make_conninfo(host="127.0.0.1", port=1, user="billing", connect_timeout=5))
    error = OperationalError(str(caught.value))
    error.__cause__ = caught.value

    assert explain(error) == (
        'The database cannot be reached: connection to server at "127.0.0.1", port 1 failed: Connection refused. '
        "Check DATABASE_URL, and that PostgreSQL runs."
    )
