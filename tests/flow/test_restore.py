"""A backup holds everything; a restore of yesterday's bills nothing twice, whatever both servers did since."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql

from billing_console import backup
from billing_console.states import EntryState, InvoiceState, Reason
from invoicing.models import CountedInvoice, Invoice
from sandbox.scenario import WEBSITE
from sync import attention, gate, push
from sync import tasks as sync_tasks
from sync.models import RemoteRecord, TimeEntry, UpstreamGate, WorkItem
from tests.flow.steps import Flow, december, hours_of, person, record_of


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    """No lock of another console, which a test beside this one starts."""
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "yesterday.backup"


def run(command: str, *args: Any) -> Any:
    out = StringIO()
    call_command(command, *map(str, args), "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_what_was_saved_comes_back(office: Flow, file: Path) -> None:
    entry = office.closed(2.1)
    rows = run("backup", file)["rows"]
    assert (rows["sync_timeentry"], rows["sync_workitem"]) == (1, 1)
    assert file.stat().st_mode & 0o777 == 0o600
    before = TimeEntry.objects.values().get()
    TimeEntry.objects.update(raw_hours=9)
    office.closed(1, subject="Later")

    run("restore", file, "--yes")

    assert TimeEntry.objects.values().get() == before
    # The sequences go on behind what came back.
    assert WorkItem.objects.create(kind="T", taiga_id=999).pk == entry.item_id + 1


def test_yesterdays_backup_bills_nothing_twice(office: Flow, file: Path) -> None:
    kept = office.closed(2, subject="Known yesterday", at=december(1))
    run("backup", file)
    office.type(kept.item.taiga_id, hours=3)
    lost = office.closed(1, subject="Closed today", at=december(2))
    office.work()
    lost_key = record_of(lost).our_key

    run("restore", file, "--yes")

    assert not gate.may_write("taiga")
    assert not gate.may_write("invoice_ninja")
    assert push.push_due() == 0
    for task in (sync_tasks.sweep_projects, sync_tasks.read_items, sync_tasks.read_items):
        task()  # reading goes on: the lost day is read again
    assert TimeEntry.objects.count() == 2
    run("reconcile", "--month", "2025-12")
    assert gate.may_write("invoice_ninja")
    office.work()

    assert {task["number"]: hours_of(task) for task in office.tasks()} == {record_of(kept).our_key: 3, lost_key: 1}
    assert set(RemoteRecord.objects.values_list("state", flat=True)) == {"synced"}
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.READY}


def test_an_invoice_that_the_backup_does_not_know_is_found_by_its_key(office: Flow, file: Path) -> None:
    office.closed(2)
    (draft,) = office.bill()
    run("backup", file)
    sent = office.send(office.approve(draft))
    assert sent.state == InvoiceState.SENT

    run("restore", file, "--yes")
    gate.reconciled()
    office.work()
    again = office.approve(Invoice.objects.get(pk=draft.pk))
    office.poll()

    (there,) = office.invoices()
    assert there["private_notes"] == again.key
    assert Invoice.objects.get().state == InvoiceState.SENT
    assert len(office.mails()) == 1


def test_an_invoice_of_ours_that_nobody_here_knows_keeps_the_month_from_balancing(office: Flow, file: Path) -> None:
    """Its draft was built after the backup: the database has no row of it, and its task looked as if made by hand."""
    entry = office.closed(2)
    run("backup", file)
    (draft,) = office.bill()
    sent = office.send(office.approve(draft))
    run("restore", file, "--yes")
    assert not Invoice.objects.exists()

    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", "--month", "2025-12", stdout=out, stderr=StringIO())

    sentence = f"invoice {sent.number} in Invoice Ninja bears our key and is unknown here"
    assert sentence in " ".join(out.getvalue().split())
    assert set(UpstreamGate.objects.values_list("until_reconciled", flat=True)) == {True}

    gate.reconciled()
    office.work()
    held = TimeEntry.objects.get(pk=entry.pk)
    assert (held.state, held.reason) == (EntryState.HELD, Reason.ON_UNKNOWN_INVOICE)
    record = record_of(held)
    assert record.state == "attention"
    assert record.sentence == (
        f"Task {record.our_key} is already on invoice {sent.number} in Invoice Ninja, which bears our key and which "
        "this database does not know: a backup older than it was restored. Restore a newer one; or exclude the entry; "
        "or cancel that invoice there and try again."
    )
    assert "by hand" not in held.reason_sentence
    assert office.task_there(held)["invoice_id"] == office.invoices()[0]["id"]

    office.ninja.do("POST", "/invoices/bulk", {"action": "delete", "ids": [office.invoices()[0]["id"]]})
    attention.release_entry(held, user=person())
    office.work()
    assert TimeEntry.objects.get(pk=entry.pk).state == EntryState.READY
    run("reconcile", "--month", "2025-12")


def test_another_consoles_invoice_is_no_difference(office: Flow) -> None:
    """It bears a key of the same form; the task of its line bears another prefix, or another console's mark."""
    office.closed(2)
    for number, mark in (("OTHER-T1-1", ""), ("TAIGA-T99-1", "console-0123456789ab")):
        body = {"client_id": WEBSITE.client_id, "number": number, "custom_value4": mark}
        task = office.ninja.do("POST", "/tasks", body)["data"]
        line = {"quantity": 1, "cost": 10, "task_id": task["id"]}
        notes = f"bc-{uuid.uuid4()};"
        office.ninja.do("POST", "/invoices", {**body, "line_items": [line], "private_notes": notes, "number": ""})

    run("reconcile", "--month", "2025-12")

    assert not CountedInvoice.objects.exclude(forgotten_key="").exists()
    assert CountedInvoice.objects.count() == 2


def manage(*arguments: str, database: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on the database at this address."""
    environ = {**os.environ, "DATABASE_URL": database}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_an_empty_database_gets_its_tables_first(office: Flow, file: Path) -> None:
    office.closed(2)
    run("backup", file)
    name = f"empty_{connection.settings_dict['NAME']}"
    here = os.environ["DATABASE_URL"]
    empty = urlsplit(here)._replace(path=f"/{name}").geturl()
    with psycopg.connect(here, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            done = manage("restore", str(file), database=empty)
            with psycopg.connect(empty) as restored:
                row = restored.execute("SELECT count(*) FROM sync_timeentry").fetchone()
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert done.stdout.startswith("The database is empty: its tables are made first.")
    assert row == (1,)


def test_a_month_that_does_not_balance_keeps_the_pause(office: Flow, file: Path) -> None:
    office.closed(2)
    run("backup", file)
    run("restore", file, "--yes")
    TimeEntry.objects.update(amount=1)
    WorkItem.objects.update(attributes={"hours": 7, "billable": True})

    with pytest.raises(SystemExit):
        call_command("reconcile", "--month", "2025-12", stdout=StringIO(), stderr=StringIO())

    assert set(UpstreamGate.objects.values_list("until_reconciled", flat=True)) == {True}


def test_a_full_database_is_not_replaced_without_asking(
    office: Flow, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.closed(2)
    run("backup", file)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(CommandError, match="--yes"):
        run("restore", file)
    assert gate.may_write("taiga")


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda path: path.write_bytes(b"nothing"), "is no backup of the console"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: rewrite(path, drop="sync_workitem.copy"), "damaged"),
        (lambda path: rewrite(path, change="sync_workitem.copy"), "damaged"),
        (lambda path: rewrite(path, manifest={"migrations": []}), "another version"),
        (lambda path: rewrite(path, manifest={"format": 99}), "cannot read"),
    ],
    ids=["no archive", "missing", "table gone", "table changed", "other version", "other form"],
)
def test_a_file_that_is_not_right_changes_nothing(office: Flow, file: Path, harm: Any, sentence: str) -> None:
    office.closed(2)
    run("backup", file)
    harm(file)

    with pytest.raises(CommandError, match=sentence):
        run("restore", file, "--yes")

    assert TimeEntry.objects.count() == 1
    assert gate.may_write("taiga")


def rewrite(path: Path, drop: str = "", change: str = "", manifest: dict[str, Any] | None = None) -> None:
    """The same archive without an entry, with another content of one, or with other facts in its manifest."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if name != drop}
    if change:
        entries[change] = entries[change].replace(b"Fix header", b"Fix footer")
    entries[backup.MANIFEST] = json.dumps({**json.loads(entries[backup.MANIFEST]), **(manifest or {})}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_a_folder_that_is_not_there_is_one_sentence(office: Flow, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        run("backup", tmp_path / "nowhere" / "file")
