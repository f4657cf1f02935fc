"""The three sides on the page of an entry: each as of when it was read, with names, and marked where it differs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing_console import formats
from billing_console.states import EntryState
from invoicing import payments, sending
from invoicing.models import Invoice
from sync import entry_page, hooks, push, task_readings, upstreams
from sync.models import Difference, Heartbeat, RemoteRecord, TimeEntry, WorkItem
from sync.three_sides import Cell, Row
from tests.outbound import approved_invoice, created_invoice, fresh
from tests.people import browser_of
from tests.standins import World


def sides(entry: TimeEntry) -> dict[str, Row]:
    rows = TimeEntry.objects.select_related("item__project", "client", "project", "rule_set", "remote_task")
    return {row.name: row for row in entry_page.context_of(rows.get(pk=entry.pk))["sides"]}


def marks(entry: TimeEntry) -> set[tuple[str, str]]:
    """What differs, as (thing, side)."""
    return {
        (name, side)
        for name, row in sides(entry).items()
        for side in ("taiga", "ours", "ninja")
        if getattr(row, side).differs
    }


def entry_of(invoice: Invoice) -> TimeEntry:
    return invoice.lines.get().entry


def test_an_entry_that_is_only_pushed_is_not_invoiced(world: World) -> None:
    entry = world.read(world.add_task("Spike", billable=True, hours=2))
    push.push_due()

    rows = sides(entry)

    two = formats.hours(Decimal(2))
    assert [rows["Hours"].taiga.words, rows["Hours"].ours.words, rows["Hours"].ninja.words] == ["2", two, two]
    assert rows["Status"].ninja.words == "not invoiced"
    assert marks(entry) == set()


@pytest.mark.parametrize(
    "time_log", ["not JSON", "7", "[7]", '[["a", 1]]', "[[0]]", "[[0, NaN]]", "[[0, 1e300]]", "[[0, null]]"]
)
def test_hours_that_cannot_be_read_are_said_and_marked(world: World, time_log: str) -> None:
    entry = world.read(world.add_task("Spike", billable=True, hours=2))
    push.push_due()
    record = RemoteRecord.objects.get(entry=entry)
    RemoteRecord.objects.filter(pk=record.pk).update(seen={**record.seen, "time_log": time_log})

    assert sides(entry)["Hours"].ninja == Cell("in a form we do not know", True)


def test_an_entry_on_an_invoice_says_so_with_its_number_and_status(world: World) -> None:
    invoice = created_invoice(world)
    entry = entry_of(invoice)
    assert sides(entry)["Status"].ninja.words == f"on invoice {invoice.number}: Created"

    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()

    row = sides(entry)["Status"]
    assert row.ninja.words == f"on invoice {invoice.number}: Sent"
    assert row.ours.words == f"Invoiced, on invoice {invoice.number}: Sent"
    assert marks(entry) == set()
    assert entry.remote_task.seen["invoice_id"] == fresh(invoice).remote.remote_id  # read when it was made


def test_each_side_says_as_of_when(world: World) -> None:
    invoice = created_invoice(world)
    entry = entry_of(invoice)
    now = timezone.now()
    WorkItem.objects.update(read_at=now - dt.timedelta(hours=5))
    RemoteRecord.objects.filter(kind="status").update(seen_at=now - dt.timedelta(hours=4))
    TimeEntry.objects.update(evaluated_at=now - dt.timedelta(hours=3))
    RemoteRecord.objects.exclude(kind="status").update(seen_at=now - dt.timedelta(hours=2))
    Heartbeat.objects.update_or_create(name="payments", defaults={"at": now - dt.timedelta(hours=1)})

    def said(hours: int) -> str:
        return formats.moment(now - dt.timedelta(hours=hours), "Europe/Brussels")

    row = sides(entry)["As of"]

    assert row.taiga.words == f"{said(5)}, status {said(4)}"
    assert row.ours.words == said(3)
    assert row.ninja.words == f"task {said(2)}, invoice {said(1)}"


def test_clients_have_names_on_all_sides_and_a_mark_where_another_one_is_named(world: World) -> None:
    entry = world.read(world.add_task("Spike", billable=True, hours=2))
    push.push_due()
    name = str(world.client)
    assert (sides(entry)["Client"].ours.words, sides(entry)["Client"].ninja.words) == (name, name)

    other = type(world.client).objects.create(ninja_id="other", name="Beacon Mobile", currency="EUR")
    record = RemoteRecord.objects.get(kind="task")
    RemoteRecord.objects.filter(pk=record.pk).update(seen={**record.seen, "client_id": other.ninja_id})
    item = entry.item
    WorkItem.objects.filter(pk=item.pk).update(attributes={**item.attributes, "client": "other"})

    row = sides(entry)["Client"]
    assert (row.taiga.words, row.ours.words, row.ninja.words) == ("Beacon Mobile", name, "Beacon Mobile")
    assert marks(entry) == {("Client", "taiga"), ("Client", "ninja")}


def test_what_taiga_says_since_it_was_priced_is_marked(world: World) -> None:
    entry = world.read(world.add_task("Spike", billable=True, hours=2))
    push.push_due()
    item = entry.item
    changed = {**item.attributes, "hours": Decimal("6.5"), "rate": Decimal("80")}
    WorkItem.objects.filter(pk=item.pk).update(attributes=changed, status_written="Invoiced", values={})

    assert marks(entry) == {("Hours", "taiga"), ("Rate", "taiga"), ("Status", "taiga")}


def test_hours_that_a_person_wrote_on_the_invoice_stand_beside_what_was_priced(world: World) -> None:
    invoice = approved_invoice(world)
    entry = entry_of(invoice)
    invoice.lines.update(billed_hours=Decimal("5"), rate=Decimal("70"))

    rows = sides(entry)

    priced = formats.hours(Decimal("4.5"))
    assert rows["Hours"].ours.words == f"{formats.hours(Decimal(5))} on the invoice, priced at {priced}"
    priced = formats.rate(Decimal(75), "EUR")
    assert rows["Rate"].ours.words == f"{formats.rate(Decimal(70), 'EUR')} on the invoice, priced at {priced}"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("foreign", "on an invoice that the console did not make (id other99), not on ours"),
        ("", "on no invoice any more"),
    ],
)
def test_a_task_that_left_our_invoice_is_marked(world: World, names: str, words: str) -> None:
    entry = entry_of(created_invoice(world))
    record = RemoteRecord.objects.get(kind="task")
    seen = {**record.seen, "invoice_id": "other99" if names else ""}
    RemoteRecord.objects.filter(pk=record.pk).update(seen=seen, seen_at=timezone.now() + dt.timedelta(seconds=1))

    row = sides(entry)["Status"]

    assert row.ninja.words == words
    assert marks(entry) == {("Status", "ninja")}


def test_a_task_on_an_invoice_while_none_of_ours_bills_it_is_marked(world: World) -> None:
    billed = created_invoice(world)
    remote_id = fresh(billed).remote.remote_id
    entry = world.read(world.add_task("Another", billable=True, hours=1))
    push.push_due()
    record = fresh(entry).remote_task
    RemoteRecord.objects.filter(pk=record.pk).update(seen={**record.seen, "invoice_id": remote_id})

    row = sides(entry)["Status"]

    assert row.ninja.words == f"on invoice {billed.number}, which does not bill it here"
    assert marks(entry) == {("Status", "ninja")}


def test_an_invoice_that_is_further_there_than_here_is_marked(world: World) -> None:
    invoice = created_invoice(world)
    Invoice.objects.filter(pk=invoice.pk).update(remote_status="5")

    assert sides(entry_of(invoice))["Status"].ninja.words == f"on invoice {invoice.number}: Cancelled"
    assert ("Status", "ninja") in marks(entry_of(invoice))


def test_what_was_read_of_a_task_before_its_invoice_was_made_says_nothing_about_it(world: World) -> None:
    invoice = created_invoice(world)
    record = RemoteRecord.objects.get(kind="task")
    before = timezone.now() - dt.timedelta(hours=9)
    RemoteRecord.objects.filter(pk=record.pk).update(seen={**record.seen, "invoice_id": ""}, seen_at=before)

    assert sides(entry_of(invoice))["Status"].ninja.words == f"on invoice {invoice.number}: Created"
    assert marks(entry_of(invoice)) == set()


def test_an_entry_in_a_draft_leads_to_its_review(world: World) -> None:
    invoice = approved_invoice(world)
    Invoice.objects.filter(pk=invoice.pk).update(state="draft", seal="")

    billed = hooks.billed_of(entry_of(invoice))

    assert billed is not None
    assert billed.url == reverse("admin:invoicing_invoice_review", args=[invoice.pk])
    assert (billed.name, billed.remote_id, billed.read_at) == ("a draft here", "", None)


def test_the_page_shows_it_at_a_constant_price(world: World) -> None:
    invoice = created_invoice(world, 1, 2, 3)
    entry = invoice.lines.order_by("pk")[0].entry
    assert entry.state == EntryState.INVOICED
    browser, url = browser_of("viewer"), reverse("admin:sync_timeentry_change", args=[entry.pk])
    browser.get(url)

    with CaptureQueriesContext(connection) as queries:
        page = browser.get(url).content.decode()

    assert f"on invoice {invoice.number}: Created" in page
    assert reverse("admin:invoicing_invoice_change", args=[invoice.pk]) in page
    assert len(queries) <= 22


def test_what_changed_after_billing_leads_to_its_difference(world: World) -> None:
    entry = entry_of(created_invoice(world, 4.5))
    url = reverse("admin:sync_timeentry_change", args=[entry.pk])
    assert "Settle the difference" not in browser_of("viewer").get(url).content.decode()
    world.set_values(entry.item.taiga_id, hours=3.5)
    world.read(entry.item.taiga_id)

    page = browser_of("viewer").get(url).content.decode()

    difference = Difference.objects.get(state="open")
    assert difference.sentence in page
    assert f'{reverse("admin:sync_difference_decide", args=[difference.pk])}">Settle the difference' in page


def test_readings_of_tasks_are_noted_in_two_statements_however_many(world: World) -> None:
    created_invoice(world, 1, 2, 3)
    RemoteRecord.objects.filter(kind="task").update(seen_at=None)
    tasks = list(upstreams.ninja_client().tasks(client_id=world.client.ninja_id))

    with CaptureQueriesContext(connection) as queries:
        task_readings.note(tasks)

    assert sum("sync_remoterecord" in query["sql"] for query in queries) == 2
    assert not RemoteRecord.objects.filter(kind="task", seen_at=None).exists()


def test_a_task_that_is_being_written_keeps_its_own_proof(world: World) -> None:
    created_invoice(world, 1)
    claim = {"state": "in_flight", "claim_id": "0" * 32, "lease_until": timezone.now(), "seen": {"kept": True}}
    RemoteRecord.objects.filter(kind="task").update(**claim)

    task_readings.note(list(upstreams.ninja_client().tasks(client_id=world.client.ninja_id)))

    assert RemoteRecord.objects.get(kind="task").seen == {"kept": True}
