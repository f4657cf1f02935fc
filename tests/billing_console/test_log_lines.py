"""A log says what failed and where, and no name of a row that the database refused."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
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


def line_in(handler: PrivateFileHandler, text: str) -> None:
    handler.handle(logging.LogRecord("webhook", logging.INFO, __file__, 1, text, (), None))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PrivateFileHandler]:
    """The log of a folder that is not there yet."""
    handler = PrivateFileHandler(str(tmp_path / "logs" / "webhook.log"), delay=True)
    yield handler
    handler.close()


def test_a_folder_that_is_gone_is_made_anew(log: PrivateFileHandler, tmp_path: Path) -> None:
    line_in(log, "one")
    (tmp_path / "logs").rename(tmp_path / "away")
    line_in(log, "two")

    assert (tmp_path / "away" / "webhook.log").read_text() == "one\n"
    assert (tmp_path / "logs" / "webhook.log").read_text() == "two\n"


def test_what_cannot_be_written_there_goes_to_stderr_and_raises_nothing(
    log: PrivateFileHandler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder was")
    line_in(log, "one")
    (tmp_path / "logs").unlink()
    line_in(log, "two")

    assert re.search(r"webhook.log cannot be written \(.*\): one\n$", capsys.readouterr().err)
    assert (tmp_path / "logs" / "webhook.log").read_text() == "two\n"


def test_a_full_disk_under_a_log_goes_to_stderr(
    log: PrivateFileHandler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line_in(log, "one")
    line_in(log, "two")  # it knows its file by now
    assert log.stream is not None
    os.dup2(full := os.open("/dev/full", os.O_WRONLY), log.stream.fileno())  # each write fails as on a full disk
    line_in(log, "three")
    os.close(full)
    with contextlib.suppress(OSError):
        log.close()

    assert "cannot be written ([Errno 28] No space left on device): three\n" in capsys.readouterr().err


def test_no_stderr_either_raises_nothing(
    log: PrivateFileHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").write_text("")
    closed = (tmp_path / "stderr").open("w")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)

    line_in(log, "one")


def test_the_settings_keep_webhook_log_with_it_and_begin_without_its_folder(tmp_path: Path) -> None:
    """A process of its own: the folder cannot be made, and a line decides nothing."""
    (tmp_path / "file").write_text("")
    code = (
        "import django, logging; django.setup(); log = logging.getLogger('webhook');"
        "log.info('one'); print(type(log.handlers[0]).__name__)"
    )
    environment = {**os.environ, "LOG_DIR": str(tmp_path / "file" / "logs"), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "PrivateFileHandler\n")
    assert "webhook.log cannot be written" in done.stderr
