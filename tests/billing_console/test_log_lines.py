"""A log says what failed and where, and no name of a row that the database refused."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.db import Error, IntegrityError, connection, transaction

from billing_console.embedded.postgres import SETTINGS
from billing_console.log_lines import LineFormatter, PrivateFileHandler
from mappings.models import Client, Rate

pytestmark = pytest.mark.django_db

NAME = "Ann Peeters, Rue Haute 7"


def too_long() -> None:
    Client.objects.create(ninja_id="c1", name=NAME * 20)


def unstorable() -> None:
    Client.objects.create(ninja_id="c2", contacts=[{"name": f"{NAME}\x00"}])


def twice() -> None:
    Client.objects.create(ninja_id=NAME)
    Client.objects.create(ninja_id=NAME)


def not_allowed() -> None:
    Rate.objects.create(level="client", amount=-1, currency="EUR", source=NAME, person_id=None)


def no_number() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::integer", [NAME])


def line_of(act: Callable[[], None], message: str = "%s could not be written: %s") -> str:
    try:
        with transaction.atomic():
            act()
    except Error as error:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, message, ("it", error), sys.exc_info())
    config = settings.LOGGING["formatters"]["line"]
    assert config["class"] == "billing_console.log_lines.LineFormatter"
    return LineFormatter(config["format"], style=config["style"]).format(record)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (too_long, "StringDataRightTruncation (22001)"),
        (unstorable, "UntranslatableCharacter (22P05)"),
        (no_number, "InvalidTextRepresentation (22P02)"),
        (twice, "duplicate key value violates unique constraint"),
        (not_allowed, "violates check constraint"),
    ],
)
@pytest.mark.parametrize("message", ["%s could not be written: %s", "%s could not be written: %r"])
def test_what_the_database_refused_is_not_quoted(act: Callable[[], None], kind: str, message: str) -> None:
    line = line_of(act, message)
    assert kind in line
    assert "Ann" not in line
    assert "test_log_lines.py" in line  # where it was


def test_other_errors_keep_their_words() -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (IntegrityError("no cause"),), None)
    assert LineFormatter("{message}", style="{").format(record) == "no cause"


def test_postgresql_writes_no_statement_into_its_own_log() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW log_min_messages")
        assert cursor.fetchone() == ("log",)  # above "error", so that no refused statement is quoted
    assert SETTINGS["log_min_messages"] == "log"
    compose = Path(settings.BASE_DIR, "compose.yaml").read_text()
    assert "log_min_messages=log" in compose


def test_postgresqls_log_is_nobody_elses() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        data = Path(cursor.fetchone()[0])
    log = data.parent.parent / f"{data.parent.name}.postgres.log"
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("was_there", [True, False])
def test_a_log_is_read_by_its_user_alone(tmp_path: Path, was_there: bool) -> None:
    path = tmp_path / "webhook.log"
    if was_there:
        path.write_text("before\n")
        path.chmod(0o644)
    before = os.umask(0)
    try:
        handler = PrivateFileHandler(str(path))
        handler.emit(logging.LogRecord("webhook", logging.INFO, "", 0, "202 from 10.0.0.1", None, None))
        path.rename(tmp_path / "put-by.log")
        handler.emit(logging.LogRecord("webhook", logging.INFO, "", 0, "202 from 10.0.0.2", None, None))
        handler.close()
    finally:
        os.umask(before)
    assert path.read_text() == "202 from 10.0.0.2\n"
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_every_log_of_the_settings_and_of_the_embedded_servers_is_private() -> None:
    for folder in ("billing_console", "sync", "invoicing"):
        for path in (settings.BASE_DIR / folder).rglob("*.py"):
            found = re.search(r"_log\.open\(|LOG\.open\(|logging\.(handlers\.\w*)?FileHandler", path.read_text())
            assert found is None, path
