"""A backup holds everything; a restore of yesterday's bills nothing twice, whatever both servers did since."""

from __future__ import annotations

import json
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing_console import backup
from billing_console.states import EntryState, InvoiceState
from invoicing.models import Invoice
from sync import gate, push
from sync import tasks as sync_tasks
from sync.models import RemoteRecord, TimeEntry, UpstreamGate, WorkItem
from tests.flow.steps import Flow, december, hours_of, record_of


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
