"""A small world for the tests of invoicing: clients, projects, people, and work that is evaluated by the real code."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import User
from billing_console.states import EntryState, ItemState, RecordState
from invoicing import as_shown
from invoicing.models import InvoiceLine
from mappings.lookups import new_rule_set_version
from mappings.models import Client, NinjaProject, Person, ProjectMapping, Rate, RateLevel
from mappings.rules import Period, month
from sync import entries
from sync.models import ProjectSweep, RemoteRecord, TimeEntry, WorkItem

ZONE = "Europe/Brussels"
DECEMBER = month(2025, 12)
JANUARY = month(2026, 1)
IN_JANUARY = dt.datetime(2026, 1, 2, 9, 0, tzinfo=dt.UTC)
_numbers = itertools.count(1)


def make_client(name: str = "Acme Corp", *, currency: str = "EUR", **rules: Any) -> Client:
    """A client that Invoice Ninja knows, with one contact, 21 % VAT unless `rules` say otherwise."""
    number = next(_numbers)
    client = Client.objects.create(
        ninja_id=f"client{number}",
        name=name,
        currency=currency,
        is_known=True,
        contacts=[{"name": "Billing", "email": f"billing@client{number}.example", "send_email": True}],
    )
    taxes = {"tax_decision": "tax", "tax_name": "VAT", "tax_rate": Decimal(21)}
    new_rule_set_version(client, {"billing_timezone": ZONE, **taxes, **rules})
    return client


def make_project(client: Client, name: str = "Webshop", *, rate: str = "95") -> ProjectMapping:
    """A mapped project with a default rate, swept long after every period of the tests."""
    number = next(_numbers)
    mapping = ProjectMapping.objects.create(
        taiga_project_id=number,
        taiga_project_name=name,
        client=client,
        ninja_project=NinjaProject.objects.create(ninja_id=f"project{number}", client=client, name=name, is_known=True),
    )
    Rate.objects.create(level=RateLevel.PROJECT, project=mapping, amount=Decimal(rate), currency=client.currency)
    sweep_project(mapping, dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    return mapping


def sweep_project(mapping: ProjectMapping, at: dt.datetime, error: str = "") -> None:
    """Say that the last complete sweep of the project began `at` (business time)."""
    ProjectSweep.objects.update_or_create(
        project=mapping, defaults={"started_at": at, "counted_at": at, "finished_at": at, "error": error}
    )


def make_work(
    mapping: ProjectMapping,
    hours: str = "2.10",
    *,
    ref: int | None = None,
    subject: str = "Implement payment gateway",
    closed: dt.datetime | None = None,
    is_synced: bool = True,
    **attributes: Any,
) -> TimeEntry:
    """A closed, billable task and its evaluated entry, by default ready and proven in Invoice Ninja."""
    number = next(_numbers)
    item = WorkItem.objects.create(
        kind="T",
        taiga_id=number,
        taiga_project_id=mapping.taiga_project_id,
        project=mapping,
        ref=ref or number,
        subject=subject,
        state=ItemState.CLOSED,
        finished_at=closed or dt.datetime(2025, 12, 9, 12, 0, tzinfo=dt.UTC),
        closings=1,
        attributes={"billable": True, "hours": Decimal(hours), **attributes},
        assignee=Person.objects.get_or_create(
            taiga_user_id=7, defaults={"username": "alice", "full_name": "Alice Adams"}
        )[0],
        is_dirty=False,
    )
    entry = entries.evaluate(item)
    assert entry is not None
    if is_synced and entry.state == EntryState.READY:
        prove(entry)
    return entry


def change_hours(entry: TimeEntry, hours: str) -> TimeEntry | None:
    """Somebody typed other hours in Taiga and the console read them."""
    item = WorkItem.objects.get(pk=entry.item_id)
    item.attributes = {**item.attributes, "hours": Decimal(hours)}
    item.save(update_fields=["attributes"])
    return entries.evaluate(item)


def prove(entry: TimeEntry) -> None:
    """Invoice Ninja is proven to hold the entry's task as it is wanted now."""
    remote = RemoteRecord.objects.get(entry=entry)
    remote.state, remote.synced_revision = RecordState.SYNCED, remote.revision
    remote.remote_id = remote.remote_id or f"task{remote.pk}"
    remote.seen_at = timezone.now()
    remote.save()


def on_screen(line: InvoiceLine) -> as_shown.Words:
    """What the page of its draft shows of a line at this moment."""
    return as_shown.line(InvoiceLine.objects.select_related("invoice").get(pk=line.pk))


def make_user(group: str = "Administrator", name: str = "") -> User:
    """A person in one of the four groups."""
    user = User.objects.create_user(name or f"user{next(_numbers)}", password="x", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


def built(period: Period = DECEMBER, **kwargs: Any) -> Any:
    """Start the monthly run of `period`, build it, and return it."""
    from invoicing import build
    from invoicing.models import InvoiceRun, RunTrigger
    from invoicing.run import start_run

    run = start_run("monthly", period, timezone=ZONE, trigger=RunTrigger.PERSON, **kwargs)
    build.build_due()
    return InvoiceRun.objects.get(pk=run.pk)
