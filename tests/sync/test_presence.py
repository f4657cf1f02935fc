"""Each process tells how it is: its clock, its tables, what it was started with. Who migrates waits for rest."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from billing_console import fitness, settings_prints
from billing_console.env import digest_of
from invoicing import work_numbers
from sync import presence, tasks, watching
from sync.models import Alarm, ConsoleProcess
from tests.clocks import own_clock
from tests.invoicing.world import make_user

DAY, SECOND = dt.timedelta(days=1), dt.timedelta(seconds=1)
PID = os.getpid()


@pytest.fixture(autouse=True)
def _a_worker() -> Iterator[None]:
    fitness.forget()
    before = fitness.kind()
    fitness.is_a("worker")
    yield
    fitness.is_a(before)
    fitness.forget()


def another(**facts: Any) -> ConsoleProcess:
    """A process of this console that has run for an hour and is well."""
    now = timezone.now()
    values = {"kind": "web", "host": "elsewhere", "pid": 7, "started_at": now - 3600 * SECOND, "seen_at": now}
    return ConsoleProcess.objects.create(**{**values, "ahead": 0 * SECOND, "prints": settings_prints.prints(), **facts})


def said() -> list[str]:
    """What the start page and the doctor's page say of processes."""
    return [sentence for sentence, _name in work_numbers.machine().alarms]


@pytest.mark.django_db
def test_a_process_tells_its_clock_beside_postgresqls() -> None:
    presence.tell()
    assert said() == []

    with own_clock(DAY):
        presence.tell()

    row = ConsoleProcess.objects.get()
    assert (row.kind, row.pid, row.is_idle) == ("worker", PID, True)
    assert abs(row.ahead - DAY) < 5 * SECOND
    assert abs(row.seen_at - timezone.now()) < 5 * SECOND
    (sentence,) = said()
    assert sentence == (
        f"The clock of worker ({row.host}, process {PID}) is 24 hours ahead of PostgreSQL's. It does nothing until "
        "they agree: let both machines take their time from the network."
    )


@pytest.mark.django_db
def test_others_alarm_for_a_process_that_does_nothing_and_the_alarm_ends_with_it(client: Client) -> None:
    with own_clock(-DAY):
        presence.tell()
    row = ConsoleProcess.objects.get()
    user = make_user("Approver")
    user.is_superuser = user.is_staff = True
    user.save()
    client.force_login(user)

    tasks.watch()

    assert Alarm.objects.get(cleared_at=None).sentence == row.trouble
    assert said() == [row.trouble]  # once
    for address in ("/admin/", "/admin/doctor/"):
        assert "is 24 hours behind PostgreSQL" in client.get(address).content.decode()

    ConsoleProcess.objects.update(seen_at=timezone.now() - 31 * SECOND)  # it was killed
    watching.watch()

    assert not Alarm.objects.filter(cleared_at=None).exists()
    assert said() == []


@pytest.mark.django_db
def test_a_process_says_what_it_was_started_with_otherwise_and_nobody_can_read_it(settings: Any) -> None:
    other = another()
    settings.INVOICE_NINJA_API, settings.INVOICE_NINJA_TOKEN = "https://other.example/api/v1", "another-token"

    presence.tell()

    row = ConsoleProcess.objects.get(pid=PID)
    (sentence,) = said()
    assert sentence == (
        f"Restart the console: worker ({row.host}, process {PID}) was started with other settings (INVOICE_NINJA_API, "
        "INVOICE_NINJA_TOKEN) than web (elsewhere, process 7)."
    )
    assert not row.is_idle
    assert "another-token" not in str(row.prints) + str(other.prints)
    assert {len(value) for value in row.prints.values()} == {16}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value", "host", "is_said"),
    [
        ("SECRET_KEY", "another", "elsewhere", True),
        ("FIELD_KEY", "another", "elsewhere", True),
        ("WEBHOOK_SECRET", "another", "elsewhere", True),
        ("BILLING_TIMEZONE", "Europe/London", "elsewhere", True),
        ("REDIS_URL", "redis://by-another-name:6379/0", "elsewhere", False),
        ("REDIS_URL", "redis://by-another-name:6379/0", "here", True),
        ("PORT", 5001, "here", False),
    ],
)
def test_what_two_machines_name_otherwise_is_no_difference(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, host: str, is_said: bool
) -> None:
    monkeypatch.setattr(presence.socket, "gethostname", lambda: "here")
    another(host=host)
    setattr(settings, name, value)

    presence.tell()

    assert [f"({name})" in sentence for sentence in said()] == ([True] if is_said else [])


@pytest.mark.django_db
def test_who_has_run_for_longest_is_not_the_one_to_be_restarted(settings: Any) -> None:
    presence.tell()
    another(started_at=timezone.now(), prints={**settings_prints.prints(), "PUBLIC_URL": "other"})

    presence.tell()

    assert said() == []


@pytest.mark.django_db
def test_a_changed_file_of_settings_is_said_until_the_restart(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("INVOICE_NINJA_API=https://one.example")
    settings.ENV_FILE, settings.ENV_FILE_DIGEST = str(file), digest_of(file)
    file.touch()
    presence.tell()
    assert said() == []

    file.write_text("INVOICE_NINJA_API=https://two.example")
    presence.tell()

    assert said() == [f"Restart the console: {file} was changed after it was started, and it runs with the old one."]


# --- tables that are changed ------------------------------------------------------------------------------------------


class Elsewhere(threading.Thread):
    """Does `act` on a connection of its own."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self._act = act
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._act()
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_who_changes_the_tables_waits_until_nobody_works_and_nobody_begins() -> None:
    told: list[str] = []
    steps: list[str] = []
    assert fitness.begin() == ""  # a task that takes a while
    presence.tell()

    def change() -> None:
        with presence.nobody_works(told.append):
            steps.append("changed")

    changing = Elsewhere(change)
    until = time.monotonic() + 10
    while not fitness.begin():
        fitness.end()
        assert time.monotonic() < until
        time.sleep(0.01)
    presence.tell()
    time.sleep(0.5)
    assert steps == []
    assert fitness.seen().tables == "The tables are being changed by a newer version; that takes a moment."

    fitness.end()  # the task is done
    presence.tell()
    changing.join(timeout=10)

    assert (steps, changing.error) == (["changed"], None)
    assert [f"process {PID}" in sentence for sentence in told] == [True]
    assert fitness.begin() == ""
    fitness.end()


@pytest.mark.django_db(transaction=True)
def test_where_somebody_does_not_stop_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PATIENCE_SECONDS", 0.3)
    another()  # says no word that it rests
    sentence = r"The console still works: web \(elsewhere, process 7\)\."
    with pytest.raises(presence.StillAtWork, match=sentence), presence.nobody_works(lambda sentence: None):
        raise AssertionError("the tables were changed")
    assert fitness.begin() == ""  # nobody waits for ever
    fitness.end()


@pytest.mark.django_db(transaction=True)
def test_migrate_is_refused_where_somebody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PATIENCE_SECONDS", 0.3)
    another()

    with pytest.raises(CommandError, match=r"still works: web \(elsewhere, process 7\)\. Nothing was changed\."):
        call_command("migrate", "sync", verbosity=0)

    call_command("migrate", verbosity=0)  # nothing is to be changed: nobody is waited for
    call_command("migrate", "sync", verbosity=0, while_running=True)
    ConsoleProcess.objects.update(seen_at=timezone.now() - 31 * SECOND)  # it was stopped
    call_command("migrate", "sync", verbosity=0)
