"""A month of work that waits to be billed: the first task of each client priced by the console, then copied in SQL."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from billing_console.states import EntryState, ItemState, RecordState
from mappings.lookups import new_rule_set_version
from mappings.models import Client, Person, ProjectMapping, Rate, RateLevel
from mappings.rules import month
from sync import entries
from sync.models import ProjectSweep, RemoteRecord, TimeEntry, WorkItem

ZONE = "Europe/Brussels"
DECEMBER = month(2025, 12)
IN_JANUARY = dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC)
MOST_TASKS = 100_000  # of one client
_TABLES = {
    "sync_workitem": {"id": "id + n * %(step)s", "taiga_id": "taiga_id + n", "ref": "1 + n"},
    "sync_remoterecord": {
        "id": "id + n * %(step)s",
        "our_key": "our_key || '-' || n",
        "remote_id": "remote_id || '-' || n",
        "item_id": "item_id + n * %(step)s",
    },
    "sync_timeentry": {
        "id": "id + n * %(step)s",
        "item_id": "item_id + n * %(step)s",
        "remote_task_id": "remote_task_id + n * %(step)s",
        "work_date": "work_date + (n %% 28)::int",
    },
}


def fill(clients: int, each: int, *, first: int = 0) -> None:
    """So many clients, each with one project and `each` ready entries of December whose tasks are in Invoice Ninja.

    `first` numbers the first of them, to fill more beside what is there.
    """
    if not first:
        taxes = {"tax_decision": "tax", "tax_name": "VAT", "tax_rate": Decimal(21)}
        new_rule_set_version(None, {"billing_timezone": ZONE, **taxes})
    person, _is_new = Person.objects.get_or_create(
        taiga_user_id=1, defaults={"username": "alice", "full_name": "Alice Adams"}
    )
    before = _last_ids()
    for number in range(first, first + clients):
        _make_first(number, person)
    _copy(each, before)
    if TimeEntry.objects.filter(state=EntryState.READY, pk__gt=before["sync_timeentry"]).count() != clients * each:
        raise RuntimeError("the month is not what was asked for")


def _make_first(number: int, person: Person) -> None:
    client = Client.objects.create(
        ninja_id=f"client{number}", name=f"Client {number:04}", currency="EUR", is_known=True, contacts=[]
    )
    mapping = ProjectMapping.objects.create(
        taiga_project_id=number + 1, taiga_project_name=f"Project {number % 7}", client=client
    )
    Rate.objects.create(level=RateLevel.PROJECT, project=mapping, amount=Decimal(95), currency="EUR")
    swept = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    ProjectSweep.objects.create(project=mapping, started_at=swept, counted_at=swept, finished_at=swept)
    item = WorkItem.objects.create(
        kind="T",
        taiga_id=number * MOST_TASKS + 1,
        taiga_project_id=mapping.taiga_project_id,
        project=mapping,
        ref=1,
        subject="Implement the payment gateway",
        state=ItemState.CLOSED,
        finished_at=dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC),
        closings=1,
        attributes={"billable": True, "hours": Decimal("2.1")},
        assignee=person,
        is_dirty=False,
    )
    entry = entries.evaluate(item)
    if entry is None or entry.state != EntryState.READY:
        raise RuntimeError(f"the first entry of {client} is not ready")
    RemoteRecord.objects.filter(entry=entry).update(
        state=RecordState.SYNCED, synced_revision=1, remote_id=f"task{number}", seen_at=timezone.now()
    )


def _last_ids() -> dict[str, int]:
    with connection.cursor() as cursor:
        found = {}
        for table in _TABLES:
            cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")
            found[table] = cursor.fetchone()[0]
    return found


def _copy(each: int, before: dict[str, int]) -> None:
    """The first item of each new client, its entry and its record `each` times over, in one statement a table."""
    steps = _last_ids()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for table, changed in _TABLES.items():
            columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
            values = ", ".join(changed.get(name, f'"{name}"') for name in columns)
            names = ", ".join(f'"{name}"' for name in columns)
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, generate_series(1, %(more)s) n "
                "WHERE id > %(before)s",
                {"step": max(steps.values()), "more": each - 1, "before": before[table]},
            )
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
    tidy()


def bill_nothing() -> None:
    """Everything is ready again: no run, no draft, no trail."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            "TRUNCATE invoicing_invoiceline, invoicing_invoice, invoicing_runclient, invoicing_invoicerun CASCADE"
        )
        cursor.execute("TRUNCATE sync_transition")
        cursor.execute("UPDATE sync_timeentry SET state = 'ready' WHERE state <> 'ready'")
    tidy("sync_timeentry")


def tidy(*tables: str) -> None:
    """What autovacuum would have done by the end of the month."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(tables or _TABLES)}")
