"""The corners: what people type, who pays, what is missing, and what is mended later without another click."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from invoicing.models import InvoiceRun
from mappings.lookups import new_rule_set_version
from mappings.models import ProjectMapping, Rate
from sandbox import scenario
from sandbox.scenario import API, MOBILE, WEBSITE
from sync import attention, discovery
from sync.models import RemoteRecord, TimeEntry, UpstreamCall
from tests.flow.steps import (
    JANUARY,
    Flow,
    amount_of,
    calls_since,
    client_of,
    december,
    fresh,
    item_of,
    january,
    mapping_of,
    person,
    record_of,
)


def set_currency(office: Flow, code: str, project: scenario.Project = MOBILE) -> None:
    """The office gives a client another currency in Invoice Ninja, and the console has read it."""
    currencies = office.ninja.get("/statics")["currencies"]
    number = next(row["id"] for row in currencies if row["code"] == code)
    there = office.ninja.get(f"/clients/{project.client_id}")["data"]
    body = {"name": there["name"], "contacts": there["contacts"], "settings": {"currency_id": number}}
    office.ninja.do("PUT", f"/clients/{project.client_id}", body)
    discovery.refresh_invoice_ninja()
    assert client_of(project).currency == code


# --- when ----------------------------------------------------------------------------------------------------------


def test_hours_typed_after_closing_free_the_entry_and_leave_its_day(office: Flow) -> None:
    task = office.close(None, at=december(31, 22, 59))
    office.work()
    assert (office.entry(task).reason, office.tasks()) == ("unreadable_hours", [])

    office.go_to(january(5))
    office.type(task, hours=2)
    office.work()

    entry = office.entry(task)
    assert (entry.state, entry.work_date.isoformat(), entry.amount) == ("ready", "2025-12-31", Decimal("190.00"))
    assert entry.typed_by == "alice"
    assert [draft.net for draft in office.bill(at=january(6))] == [Decimal("190.00")]


def test_a_first_closing_that_was_missed_gives_the_day_of_the_one_that_was_seen(office: Flow) -> None:
    task = office.close(2, at=december(1))
    office.go_to(december(3))
    office.move(task, "In progress")
    office.go_to(december(5))
    office.move(task, "Closed")

    office.work()  # the worker was down until now

    entry = office.entry(task)
    assert (entry.cycle, entry.work_date.isoformat(), fresh(entry).item.closings) == (1, "2025-12-05", 1)


def test_what_comes_late_is_billed_by_the_next_run_and_marked(office: Flow) -> None:
    office.closed(1, subject="In time")
    (draft,) = office.bill()
    office.approve(draft)
    late = office.close(2, subject="Forgotten", at=december(20))
    office.go_to(january(12))
    office.work()

    assert office.bill(at=january(12)) == []
    (draft,) = office.bill(JANUARY)
    line = draft.lines.get()
    assert (line.entry.item.taiga_id, line.is_late, draft.net) == (late, True, Decimal("190.00"))


# --- who pays ------------------------------------------------------------------------------------------------------


def test_a_client_that_nobody_knows_is_held_until_invoice_ninja_has_it(office: Flow) -> None:
    entry = office.closed(2, client="client_new001")
    assert (entry.state, entry.reason) == ("held", "unknown_client")

    office.running.ninja.seed({"clients": [{"id": "client_new001", "name": "New Corp", "currency": "EUR"}]})
    discovery.refresh_invoice_ninja()
    office.work()
    assert fresh(entry).reason == "brake_client"
    attention.confirm_entry(entry, user=person())
    office.work()

    entry = fresh(entry)
    assert (entry.state, str(entry.client)) == ("ready", "New Corp")
    assert office.task_there(entry)["client_id"] == "client_new001"


def test_a_rate_in_another_currency_is_held_until_there_is_one_in_the_clients(office: Flow) -> None:
    set_currency(office, "USD")
    entry = office.closed(2, project=MOBILE, who="")
    assert (entry.state, entry.reason) == ("held", "currency")
    assert "USD" in entry.reason_sentence

    Rate.objects.filter(level="project", project=mapping_of(MOBILE)).update(valid_to="2025-01-01")
    Rate.objects.create(
        level="project", project=mapping_of(MOBILE), amount=Decimal(100), currency="USD", valid_from="2025-01-01"
    )
    office.work()

    entry = fresh(entry)
    assert (entry.state, entry.currency, entry.amount) == ("ready", "USD", Decimal("200.00"))
    assert [(draft.currency, draft.gross) for draft in office.bill()] == [("USD", Decimal("242.00"))]


def test_no_rate_is_held_and_freed_by_adding_one(office: Flow) -> None:
    Rate.objects.filter(level="project", project=mapping_of(API)).delete()
    entry = office.closed(2, project=API, who="")
    assert (entry.state, entry.reason, office.tasks()) == ("held", "no_rate", [])

    Rate.objects.create(level="client", client=client_of(API), amount=Decimal(80), currency="EUR")
    office.work()

    assert (fresh(entry).state, fresh(entry).amount) == ("ready", Decimal("160.00"))
    assert [amount_of(task) for task in office.tasks()] == [Decimal("160.00")]
    assert office.values(entry.item.taiga_id)["status"] == "Invoiced"


def test_a_changed_rate_moves_what_is_unclaimed_and_nothing_else(office: Flow) -> None:
    billed = office.closed(2, project=API, who="", subject="Billed")
    office.bill()
    waiting = office.closed(2, project=API, who="", subject="Waiting", at=december(20))

    change = dt.date(2025, 12, 15)
    before = Rate.objects.get(level="project", project=mapping_of(API))
    before.valid_to = change
    before.save()
    Rate.objects.create(
        level="project", project=mapping_of(API), amount=Decimal(100), currency="EUR", valid_from=change
    )
    office.work()

    assert (fresh(billed).state, fresh(billed).amount) == ("claimed", Decimal("190.00"))
    assert amount_of(office.task_there(billed)) == Decimal("190.00")
    assert (fresh(waiting).state, amount_of(office.task_there(waiting))) == ("ready", Decimal("200.00"))


def test_an_unmapped_project_is_seen_and_billed_once_it_is_mapped(office: Flow, door: str, settings: Any) -> None:
    seed = scenario.taiga_seed(f"{door}/webhooks/taiga", settings.WEBHOOK_SECRET)["projects"][0]
    office.running.taiga.seed({"projects": [{**seed, "id": 44, "name": "Brand book"}]})
    brand = scenario.Project(44, "Brand book", *[""] * 4, 0, Decimal(0), Decimal(0))
    entry = office.closed(2, project=brand)
    assert (entry.state, entry.reason, entry.raw_hours, office.tasks()) == ("held", "unmapped_project", 2, [])

    ProjectMapping.objects.create(taiga_project_id=44, taiga_project_name="Brand book", client=client_of(WEBSITE))
    office.work()

    entry = fresh(entry)
    assert (entry.state, entry.amount, entry.project.taiga_project_id) == ("ready", Decimal("190.00"), 44)
    assert [(task["client_id"], task["project_id"]) for task in office.tasks()] == [(WEBSITE.client_id, "")]


def test_a_mapping_that_is_switched_off_holds_and_on_again_frees(office: Flow) -> None:
    entry = office.closed(2)
    mapping = mapping_of()
    for is_active, state in ((False, "held"), (True, "ready")):
        mapping.is_active = is_active
        mapping.save()
        office.work()
        assert fresh(entry).state == state
    assert len(office.tasks()) == 1


def test_a_project_that_cannot_be_swept_fails_alone_and_mends_itself(office: Flow) -> None:
    office.closed(1)
    office.closed(1, project=MOBILE, who="bob")
    office.running.taiga.faults.add(
        {"kind": "status", "status": 403, "path": f"/timeline/project/{MOBILE.taiga_id}", "count": None}
    )

    drafts = office.bill()

    run = InvoiceRun.objects.get()
    states = dict(run.clients.values_list("client__ninja_id", "state"))
    assert states == {WEBSITE.client_id: "built", MOBILE.client_id: "failed", API.client_id: "empty"}
    assert [draft.client.ninja_id for draft in drafts] == [WEBSITE.client_id]
    assert "Mobile App could not be swept" in run.clients.get(client__ninja_id=MOBILE.client_id).sentence

    office.running.taiga.faults.clear()
    office.sweep()
    assert {draft.client.ninja_id for draft in office.bill()} == {WEBSITE.client_id, MOBILE.client_id}


def test_an_archived_project_takes_no_status_but_loses_no_hours(office: Flow, settings: Any) -> None:
    settings.RETRY_BASE_SECONDS = 3600.0
    task = office.close(2)
    store = office.running.taiga.store
    with store.memory.transaction():
        store.projects.update(WEBSITE.taiga_id, archived_code="archived")
    office.work()

    status = RemoteRecord.objects.get(kind="status")
    assert (status.state, status.reason) == ("attention", "not_allowed")
    assert office.values(task) == {"billable": True, "hours": 2}
    assert [amount_of(row) for row in office.tasks()] == [Decimal("190.00")]

    with store.memory.transaction():
        store.projects.update(WEBSITE.taiga_id, archived_code=None)
    attention.try_again(status, user=person())
    office.work()
    assert office.values(task)["status"] == "Invoiced"
    assert [draft.net for draft in office.bill()] == [Decimal("190.00")]


# --- what is printed and paid --------------------------------------------------------------------------------------


def test_reserved_words_in_a_subject_are_printed_and_not_replaced(office: Flow) -> None:
    entry = office.closed(2, subject="Report :MONTH/2 of :YEAR")
    (draft,) = office.bill()
    invoice = office.approve(draft)

    assert invoice.state == "created"
    (line,) = office.invoice_there(invoice)["line_items"]
    ref = entry.item.ref
    assert line["notes"] == f"Task #{ref}: Report \N{RATIO}MONTH/2 of \N{RATIO}YEAR"
    assert office.task_there(entry)["description"] == line["notes"]


def test_a_client_in_yen_is_billed_without_decimals(office: Flow) -> None:
    set_currency(office, "JPY")
    Rate.objects.filter(level="project", project=mapping_of(MOBILE)).delete()
    Rate.objects.create(level="project", project=mapping_of(MOBILE), amount=Decimal(8501), currency="JPY")
    new_rule_set_version(client_of(MOBILE), {"tax_rate": Decimal(10)})
    entry = office.closed(1.1, project=MOBILE, who="")
    (draft,) = office.bill()
    invoice = office.approve(draft)

    assert (entry.billed_hours, entry.amount) == (Decimal("1.25"), Decimal(10626))  # 10,626.25 is rounded on the line
    assert (draft.net, draft.tax, draft.gross) == (10626, Decimal("1062.6"), 11689)
    there = office.invoice_there(invoice)
    assert (invoice.state, there["amount"], there["total_taxes"]) == ("created", 11689, Decimal("1062.6"))


def test_free_of_charge_is_asked_pushed_at_0_and_makes_no_invoice(office: Flow) -> None:
    entry = office.closed(2, rate=0)
    assert (entry.state, entry.reason) == ("held", "free_of_charge")

    attention.confirm_entry(entry, user=person())
    office.work()

    (task,) = office.tasks()
    assert (task["rate"], fresh(entry).amount, record_of(entry).state) == (0, Decimal("0.00"), "synced")
    assert office.bill() == []
    assert "0.00" in InvoiceRun.objects.get().clients.get(client=client_of()).sentence
    assert (fresh(entry).state, office.invoices()) == ("ready", [])


def test_more_than_a_day_on_one_item_asks_again_for_each_number(office: Flow) -> None:
    entry = office.closed(30)
    assert (entry.state, entry.reason) == ("held", "too_many_hours")
    attention.confirm_entry(entry, user=person())
    office.work()
    assert amount_of(office.task_there(entry)) == Decimal("2850.00")

    office.type(entry.item.taiga_id, hours=40)
    office.work()

    assert (fresh(entry).state, fresh(entry).reason) == ("held", "too_many_hours")
    assert amount_of(office.task_there(entry)) == Decimal("2850.00")


# --- before the console came ---------------------------------------------------------------------------------------


def test_not_billable_typed_by_a_person_wins_and_stays(office: Flow) -> None:
    entry = office.closed(2, status="Not Billable")

    assert (entry.state, office.tasks()) == ("void", [])
    assert office.values(entry.item.taiga_id) == {"billable": True, "hours": 2, "status": "Not Billable"}


@pytest.mark.parametrize("word", ["Invoiced", "invoiced"])
def test_invoiced_before_the_console_came_is_asked_once_and_left_alone(office: Flow, word: str) -> None:
    entry = office.closed(2, status=word)
    assert (entry.state, entry.reason) == ("held", "billed_elsewhere")

    attention.confirm_entry(entry, user=person())
    office.work()
    office.sweep()

    assert (fresh(entry).state, fresh(entry).raw_hours, office.tasks()) == ("excluded", 2, [])
    assert office.values(entry.item.taiga_id) == {"billable": True, "hours": 2, "status": word}
    written = UpstreamCall.objects.exclude(method="GET").exclude(path__contains="/auth")
    assert written.exclude(path__contains="csv_uuid").count() == 0


def test_invoiced_with_our_task_there_is_adopted(office: Flow) -> None:
    entry = office.closed(2)
    task = office.task_there(entry)
    wipe_what_we_know(entry)
    office.type(entry.item.taiga_id, hours=2.5)  # something happens to it after the backup was restored
    office.work()

    again = office.entry(entry.item.taiga_id)
    assert again.pk != entry.pk
    assert (again.state, record_of(again).remote_id) == ("ready", task["id"])
    assert [(row["id"], amount_of(row)) for row in office.tasks()] == [(task["id"], Decimal("237.50"))]


def wipe_what_we_know(entry: TimeEntry) -> None:
    """An older backup is restored: the console never saw this item."""
    item = entry.item
    TimeEntry.objects.filter(item=item).delete()
    RemoteRecord.objects.filter(item=item).delete()
    UpstreamCall.objects.filter(item=item).update(item=None)
    item_of(item.taiga_id).delete()


def test_nothing_is_asked_of_invoice_ninja_for_what_is_not_billable(office: Flow) -> None:
    office.closed(1, subject="Warm-up", billable=False)
    mark = UpstreamCall.objects.count()

    office.closed(2, billable=False)

    assert [call.split()[0] for call in calls_since(mark)] == ["GET", "GET"]
