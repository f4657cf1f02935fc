"""Both servers as they list themselves, beside our own rows: what differs is named, and looking changes nothing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing_console.errors import NotAllowed
from invoicing import against_readings, payments, readings, sending
from invoicing.models import (
    CountedInvoice,
    CountedItem,
    CountedLine,
    Invoice,
    InvoiceLine,
    Payment,
    Reading,
)
from invoicing.reading_rows import shares_of
from invoicing.verdict import Verdict, prove
from mappings.models import TaigaProject
from sandbox import scenario
from sandbox.scenario import MOBILE
from sync import sweep, work_items
from sync.clients.ninja_rows import NinjaAllocation, NinjaId, NinjaPayment
from sync.models import TimeEntry, UpstreamCall, WorkItem
from tests.invoicing.world import DECEMBER
from tests.outbound import created_invoice, pass_by_all_changes
from tests.people import browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db
NAMES = ("taiga", "lines", "invoices", "payments")


@pytest.fixture
def sent(world: World) -> Invoice:
    """4.5 h and 2.1 → 2.25 h at 75: 506.25, with 21 % 612.56; mailed and polled."""
    invoice = created_invoice(world, 4.5, 2.1)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()
    return Invoice.objects.get(pk=invoice.pk)


def compared(**kwargs: Any) -> dict[str, Any]:
    reading = readings.latest()
    assert reading is not None
    return dict(zip(NAMES, against_readings.check_reading(reading, DECEMBER, **kwargs), strict=True))


def left_over() -> dict[str, tuple[tuple[str, ...], list[str]]]:
    """Residue and rows of each identity that does not hold, after a new reading."""
    assert readings.read_now().sentence == ""
    return {
        name: (identity.residue, [row.sentence.replace("\u00a0", " ") for row in identity.leftovers])
        for name, identity in compared().items()
        if not identity.is_true
    }


def rewrite(world: World, invoice: Invoice, **changes: Any) -> None:
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", changes)


def test_the_whole_way_balances_from_taigas_list_to_the_payments(world: World, sent: Invoice) -> None:
    part = {"invoice_id": sent.remote.remote_id, "amount": 300}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 300, "invoices": [part]})

    assert left_over() == {}

    found = compared()
    assert {name: (row.left.count, row.left.hours, row.left.amounts) for name, row in found.items()} == {
        "taiga": (2, Decimal("6.6"), {}),
        "lines": (2, Decimal(0), {"EUR": Decimal("506.25")}),
        "invoices": (1, Decimal(0), {"EUR": Decimal("506.25")}),
        "payments": (1, Decimal(0), {"EUR": Decimal("612.56")}),
    }
    assert [(term.name, term.amounts) for term in found["payments"].right] == [
        ("paid", {"EUR": Decimal(300)}), ("settled by credits", {}), ("open", {"EUR": Decimal("312.56")}),
    ]  # fmt: skip
    reading = readings.latest()
    assert reading is not None
    assert (reading.items, reading.invoices) == (2, 1)


def test_looking_calls_no_write_and_changes_no_row_of_ours(world: World, sent: Invoice) -> None:
    ours = [list(model.objects.order_by("pk").values()) for model in (WorkItem, TimeEntry, InvoiceLine)]
    known = UpstreamCall.objects.latest("pk").pk

    readings.read_now()
    compared()

    calls = UpstreamCall.objects.filter(pk__gt=known).exclude(path="/auth")
    assert {(call.method, call.path.rpartition("/")[2]) for call in calls if call.method != "GET"} <= {
        ("POST", "regenerate_tasks_csv_uuid"),  # made once, where there is none
        ("POST", "regenerate_issues_csv_uuid"),
    }
    assert [list(model.objects.order_by("pk").values()) for model in (WorkItem, TimeEntry, InvoiceLine)] == ours


def hours_typed_silently(world: World, invoice: Invoice) -> None:
    world.set_values(WorkItem.objects.get(subject="Task 1").taiga_id, hours=5)


def closed_and_never_told(world: World, invoice: Invoice) -> None:
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    world.add_task("Nobody told", billable=True, hours=3)


def deleted_in_taiga(world: World, invoice: Invoice) -> None:
    world.api_taiga("DELETE", f"/tasks/{WorkItem.objects.get(subject='Task 1').taiga_id}")


def reopened_silently(world: World, invoice: Invoice) -> None:
    world.set_status(WorkItem.objects.get(subject="Task 1").taiga_id, "In progress")


def a_cent_more_on_a_line(world: World, invoice: Invoice) -> None:
    lines = world.invoices()[0]["line_items"]
    rewrite(world, invoice, line_items=[{**lines[0], "cost": 75.01}, *lines[1:]])


def a_line_taken_off(world: World, invoice: Invoice) -> None:
    rewrite(world, invoice, line_items=world.invoices()[0]["line_items"][:1])


def billed_again_by_hand(world: World, invoice: Invoice) -> None:
    line = {"quantity": 1, "cost": 1, "type_id": "2", "notes": "again", "task_id": world.tasks()[0]["id"]}
    world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "number": "HAND-1", "line_items": [line]})


def a_payment_unknown_here(world: World, invoice: Invoice) -> None:
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [invoice.remote.remote_id]})
    payments.poll()
    Payment.objects.update(is_deleted=True)
    pass_by_all_changes(world)


@pytest.mark.parametrize(
    ("act", "wrong"),
    [
        (
            hours_typed_silently,
            {"taiga": (("-0.500000 h",), ["#{ref} Task 1: Taiga lists 5, the console read 4.50 h"])},
        ),
        (
            closed_and_never_told,
            {"taiga": (("-3.000000 h",), ["#{new} Nobody told is closed in Taiga and was never read here"])},
        ),
        (deleted_in_taiga, {"taiga": (("+4.500000 h",), ["#{ref} Task 1: not in Taiga's list"])}),
        (reopened_silently, {"taiga": (("1 row differs",), ["#{ref} Task 1: open in Taiga, closed here"])}),
        (
            a_cent_more_on_a_line,
            {
                "lines": (("EUR -0.05",), ["{line}: 337.55 EUR in Invoice Ninja, 337.50 EUR here"]),
                "invoices": (
                    ("EUR -0.05",),
                    [
                        "{invoice}: net 506.30 EUR and tax 106.32 EUR in Invoice Ninja, 506.25 EUR and 106.31 EUR here"
                    ],
                ),
            },
        ),
    ],
)  # fmt: skip
def test_what_differs_is_named(world: World, sent: Invoice, act: Any, wrong: Any) -> None:
    act(world, sent)
    item = WorkItem.objects.get(subject="Task 1")
    line = InvoiceLine.objects.get(entry__item=item)
    new = world.api_taiga("GET", f"/tasks?project={world.mapping.taiga_project_id}&page_size=1000")[-1]["ref"]
    words = {"ref": item.ref, "new": new, "invoice": f"{sent} {sent.number}", "line": f"{sent} {sent.number}, {line}"}

    found = left_over()

    assert found == {
        name: (residue, [sentence.format(**words) for sentence in rows]) for name, (residue, rows) in wrong.items()
    }


@pytest.mark.parametrize(
    ("act", "residue", "sentence"),
    [
        (a_line_taken_off, {"lines": "EUR +168.75", "invoices": "EUR +168.75"}, "no such line in Invoice Ninja"),
        (billed_again_by_hand, {"lines": "1 row differs"}, "also on invoice HAND-1 in Invoice Ninja"),
        (a_payment_unknown_here, {"payments": "1 row differs"}, "612.56 EUR paid in Invoice Ninja, 0.00 EUR here"),
    ],
)
def test_what_differs_in_invoice_ninja_is_a_list(
    world: World, sent: Invoice, act: Any, residue: dict[str, str], sentence: str
) -> None:
    act(world, sent)

    found = left_over()

    assert {name: rows[0] for name, (rows, _sentences) in found.items()} == residue
    assert any(row.endswith(sentence) for _residue, rows in found.values() for row in rows)
    assert all(row.url for identity in compared().values() for row in identity.leftovers)


def shown(name: str, **query: Any) -> list[list[str]]:
    answer = browser_of("viewer").get(f"/admin/invoicing/reports/{name}/", query)
    return [[cell["text"].replace("\u00a0", " ") for cell in row] for row in answer.context["rows"]]


def test_what_both_servers_list_can_be_opened(world: World, sent: Invoice) -> None:
    billed_again_by_hand(world, sent)
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    world.add_task("Nobody told", billable="perhaps", hours="two")
    readings.read_now()

    assert [row[1:] for row in shown("taiga-list", start="2025-12-01", end="2025-12-31")] == [
        ["Task", "Acme Corp", "30 Dec 2025", "cannot be read", "two", "–", "no"],
        ["Task", "Acme Corp", "1 Dec 2025", "yes", "4.5", "4.50 h", "yes"],
        ["Task", "Acme Corp", "1 Dec 2025", "yes", "2.1", "2.10 h", "yes"],
    ]
    assert shown("taiga-list", start="2026-01-01") == []
    lines = [[row[0], row[1], row[4], row[5]] for row in shown("invoice-ninja-list", start="", client="")]
    assert lines == [
        ["HAND-1", "Draft", "1", "1.00"],
        [sent.number, "Sent", "4.50", "337.50 EUR"],
        [sent.number, "Sent", "2.25", "168.75 EUR"],
    ]
    page = browser_of("viewer").get("/admin/invoicing/reconcile/", {"start": "2025-12-01", "end": "2025-12-31"})
    urls = {row["name"]: row["url"] for identity in page.context["identities"][4:] for row in identity["rows"]}
    assert urls["as Taiga lists it"] == "/admin/invoicing/reports/taiga-list/?start=2025-12-01&end=2025-12-31"
    assert all(browser_of("viewer").get(url).status_code == 200 for url in urls.values() if url)


def test_a_cancelled_invoice_is_a_term_of_its_own(world: World, sent: Invoice) -> None:
    world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [sent.remote.remote_id]})
    payments.poll()

    assert left_over() == {}

    assert [(term.name, term.count, term.amounts) for term in compared()["lines"].right] == [
        ("on living invoices in Invoice Ninja", 0, {}),
        ("on cancelled invoices", 2, {"EUR": Decimal("506.25")}),
    ]


def test_what_is_unknown_has_no_person_yet(world: World, sent: Invoice) -> None:
    closed_and_never_told(world, sent)
    readings.read_now()

    assert not compared()["taiga"].is_true
    assert compared(strangers=None)["taiga"].is_true


def test_without_the_right_to_the_csv_the_values_are_asked_one_by_one(world: World, sent: Invoice) -> None:
    world.fail("taiga", kind="status", status=403, path="/tasks/csv", count=None)

    assert left_over() == {}

    assert CountedItem.objects.filter(hours=Decimal("2.1")).count() == 1


def test_without_the_csv_the_hours_of_what_was_reopened_are_asked_for_too(world: World, sent: Invoice) -> None:
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    task = world.add_task("Reopened", billable=True, hours=0.35)
    world.read(task)
    world.set_status(task, "In progress")
    world.read(task)
    world.fail("taiga", kind="status", status=403, path="/tasks/csv", count=None)

    assert left_over() == {}
    assert compared()["taiga"].left.hours == Decimal("6.95")

    world.set_values(task, billable=True, hours=1)

    assert left_over() == {
        "taiga": (("-0.650000 h",), [f"#{world.item(task).ref} Reopened: Taiga lists 1, the console read 0.35 h"])
    }


def internal(world: World, subject: str, hours: Any, *, is_read: bool = True, **values: Any) -> int:
    """Closed billable work in a project that nobody pays for, with our attributes; returns its Taiga id."""
    project = {"project": MOBILE.taiga_id, "subject": subject}
    statuses = world.api_taiga("GET", f"/task-statuses?project={MOBILE.taiga_id}")
    story = world.api_taiga("GET", f"/userstories?project={MOBILE.taiga_id}")[0]["id"]
    closed = next(row["id"] for row in statuses if row["name"] == "Closed")
    task = int(world.api_taiga("POST", "/tasks", {**project, "status": closed, "user_story": story})["id"])
    type_internal(world, task, hours, **values)
    if is_read:
        world.read(task)
    return task


def type_internal(world: World, task: int, hours: Any, *, billable: bool = True) -> None:
    names = world.api_taiga("GET", f"/task-custom-attributes?project={MOBILE.taiga_id}")
    ids = {row["name"]: str(row["id"]) for row in names}
    values = {ids[scenario.BILLABLE]: billable, ids[scenario.HOURS]: hours}
    path = f"/tasks/custom-attributes-values/{task}"
    world.api_taiga("PATCH", path, {"attributes_values": values, "version": world.values(task)["version"]})


@pytest.fixture
def with_internal(world: World, sent: Invoice) -> Invoice:
    """Beside it 1.5 h and 7 h of internal work that is billable, and 0.5 h that is not."""
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    internal(world, "Company website", 1.5)
    internal(world, "Holiday planner", 7)
    internal(world, "Cooking", 0.5, billable=False)
    return sent


def test_nobody_pays_is_a_class_on_both_sides_and_the_month_balances(world: World, with_internal: Invoice) -> None:
    assert left_over() == {}

    proof = prove(DECEMBER)
    assert proof.verdict is Verdict.BALANCES
    found = compared()["taiga"]
    assert [(term.name, term.count, term.hours) for term in found.of_left] == [
        ("with a payer", 2, Decimal("6.6")),
        ("nobody pays", 3, Decimal(9)),
    ]
    assert [(term.name, term.count, term.hours) for term in found.right] == [
        ("as Taiga lists it", 2, Decimal("6.6")),
        ("nobody pays", 3, Decimal(9)),
        ("no longer in Taiga's lists", 0, Decimal(0)),
        ("in projects that nobody pays for and our Taiga user may not see", 0, Decimal(0)),
    ]
    call_command("reconcile", "--month=2025-12")  # exit code 0


def test_the_rows_of_nobody_pays_can_be_opened_on_both_sides(world: World, with_internal: Invoice) -> None:
    TaigaProject.objects.create(taiga_id=MOBILE.taiga_id, name="Internal")
    readings.read_now()
    page = browser_of("viewer").get("/admin/invoicing/reconcile/", {"start": "2025-12-01", "end": "2025-12-31"})
    rows = [row for row in page.context["identities"][4]["rows"] if row["name"] == "nobody pays"]
    ours, theirs = (row["url"] for row in rows)

    listed = browser_of("viewer").get(ours)

    assert sorted(str(entry.item.subject) for entry in listed.context["cl"].queryset) == [
        "Company website", "Cooking", "Holiday planner",
    ]  # fmt: skip
    assert theirs == "/admin/invoicing/reports/taiga-list-nobody/?start=2025-12-01&end=2025-12-31"
    assert sorted(row[1:] for row in shown("taiga-list-nobody", start="2025-12-01", end="2025-12-31")) == [
        ["Task", "–", "30 Dec 2025", "no", "0.5", "0.50 h", "yes"],
        ["Task", "–", "30 Dec 2025", "yes", "1.5", "1.50 h", "yes"],
        ["Task", "–", "30 Dec 2025", "yes", "7", "7.00 h", "yes"],
    ]
    answer = browser_of("viewer").get(theirs)
    assert {row[0]["sub"] for row in answer.context["rows"]} == {"Internal"}
    assert len(shown("taiga-list", start="2025-12-01", end="2025-12-31")) == 2


def missing_here(world: World) -> None:
    internal(world, "Never read", 3, is_read=False)


def missing_there(world: World) -> None:
    world.api_taiga("DELETE", f"/tasks/{WorkItem.objects.get(subject='Holiday planner').taiga_id}")


def hours_differ(world: World) -> None:
    type_internal(world, WorkItem.objects.get(subject="Holiday planner").taiga_id, 6)


@pytest.mark.parametrize(
    ("mutate", "residue", "sentence"),
    [
        (missing_here, "-3.000000 h", "Never read is closed in Taiga and was never read here"),
        (missing_there, "+7.000000 h", "Holiday planner: not in Taiga's list"),
        (hours_differ, "+1.000000 h", "Holiday planner: Taiga lists 6, the console read 7.00 h"),
    ],
)
def test_an_internal_item_that_one_side_lacks_is_a_red_verdict_until_it_is_compared(
    world: World, with_internal: Invoice, mutate: Any, residue: str, sentence: str
) -> None:
    mutate(world)

    found = left_over()

    assert found.keys() == {"taiga"}
    assert found["taiga"][0] == (residue,)
    assert [row.partition(" ")[2] for row in found["taiga"][1]] == [sentence]
    assert prove(DECEMBER).verdict is Verdict.DIFFERS

    sweep.sweep_all()  # once a day the project is compared as a whole
    work_items.read_due()

    assert left_over() == {}
    assert prove(DECEMBER).verdict is Verdict.BALANCES


def test_an_internal_project_that_our_user_may_not_see_is_said_to_be_that(world: World, with_internal: Invoice) -> None:
    world.fail("taiga", kind="status", status=403, path=f"/projects/{MOBILE.taiga_id}", count=None)

    assert left_over() == {}

    (hidden,) = [term for term in compared()["taiga"].right if "may not see" in term.name]
    assert (hidden.count, hidden.hours) == (3, Decimal(9))


def test_an_item_that_came_after_it_was_listed_is_found_in_the_list(world: World, sent: Invoice) -> None:
    closed_and_never_told(world, sent)
    readings.read_now()
    assert not compared()["taiga"].is_true

    rows = world.api_taiga("GET", f"/tasks?project={world.mapping.taiga_project_id}&page_size=1000")
    world.read(max(row["id"] for row in rows))

    assert compared()["taiga"].is_true


@pytest.mark.parametrize("server", ["taiga", "ninja"])
def test_a_failed_reading_says_why_and_leaves_the_one_before(world: World, sent: Invoice, server: str) -> None:
    first = readings.read_now()
    kept = CountedItem.objects.count(), CountedInvoice.objects.count(), CountedLine.objects.count()
    path = "/api/v1/projects" if server == "taiga" else "/api/v1/payments"
    world.fail(server, kind="status", status=503, method="GET", path=path, count=9)

    second = readings.read_now()

    assert second.sentence
    assert readings.latest() == first
    assert (CountedItem.objects.count(), CountedInvoice.objects.count(), CountedLine.objects.count()) == kept


def test_the_next_reading_takes_the_place_of_the_last(world: World, sent: Invoice) -> None:
    readings.read_now()
    second = readings.read_now()

    assert set(CountedItem.objects.values_list("reading", flat=True)) == {second.pk}
    assert set(CountedLine.objects.values_list("reading", flat=True)) == {second.pk}


def test_one_reading_at_a_time_and_a_dead_one_is_taken_over(world: World, sent: Invoice) -> None:
    assert readings.ask_for_one()
    assert not readings.ask_for_one()
    Reading.objects.update(claim_id="12345678123456781234567812345678", lease_until=timezone.now() + dt.timedelta(60))
    with pytest.raises(NotAllowed, match="just being read"):
        readings.read_now()
    assert readings.read_due() == 0

    Reading.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))

    assert readings.read_due() == 1
    assert readings.latest() is not None


def test_a_reader_that_slept_past_its_lease_changes_nothing(world: World, sent: Invoice) -> None:
    readings.ask_for_one()
    asleep = readings._claim()
    assert asleep is not None
    Reading.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    readings.read_due()
    kept = CountedItem.objects.count()

    readings._finish(asleep)
    with pytest.raises(readings.ClaimLost):
        readings._renew(asleep)

    assert CountedItem.objects.count() == kept


def test_the_command_fails_for_what_the_servers_say(
    world: World, sent: Invoice, capsys: pytest.CaptureFixture[str]
) -> None:
    a_cent_more_on_a_line(world, sent)

    with pytest.raises(SystemExit) as exit_code:
        call_command("reconcile", "--month=2025-12")

    assert exit_code.value.code == 1
    said = capsys.readouterr().out
    assert "✗ Lines in Invoice Ninja" in said
    assert "337.55 EUR in Invoice Ninja, 337.50 EUR here" in said.replace("\u00a0", " ")


def test_it_compares_many_entries_with_as_many_queries_as_one(world: World, sent: Invoice) -> None:
    readings.read_now()
    with CaptureQueriesContext(connection) as one:
        compared()
    for number in range(20):
        world.read(world.add_task(f"More {number}", billable=True, hours=1))
    readings.read_now()
    with CaptureQueriesContext(connection) as many:
        compared()
    assert len(many) == len(one)


def share(invoice: str = "", credit: str = "", amount: str = "0", refunded: str = "0") -> NinjaAllocation:
    return NinjaAllocation(NinjaId(invoice), NinjaId(credit), Decimal(amount), Decimal(refunded))


@pytest.mark.parametrize(
    ("shares", "status", "is_deleted", "expected"),
    [
        ([share("a", amount="100")], "4", False, {"a": ("100", "0")}),
        ([share("a", amount="100", refunded="30")], "5", False, {"a": ("70", "0")}),
        ([share("a", amount="100")], "4", True, {}),
        ([share("a", amount="100")], "3", False, {}),
        ([share("a", amount="75"), share(credit="c", amount="75")], "4", False, {"a": ("0", "75")}),
        ([share("a", amount="100"), share(credit="c", amount="75")], "4", False, {"a": ("25", "75")}),
        ([share("a", amount="60"), share("b", amount="40")], "4", False, {"a": ("60", "0"), "b": ("40", "0")}),
    ],
)
def test_what_a_payment_brings_an_invoice(shares: Any, status: str, is_deleted: bool, expected: Any) -> None:
    facts = dict.fromkeys(NinjaPayment.__dataclass_fields__, None)
    row = NinjaPayment(**{**facts, "allocations": tuple(shares), "status_id": status, "is_deleted": is_deleted})  # type: ignore[arg-type]

    assert shares_of(row) == {key: (Decimal(money), Decimal(credit)) for key, (money, credit) in expected.items()}
