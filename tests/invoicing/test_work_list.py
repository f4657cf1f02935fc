"""The start page shows the numbers of exactly the rows it links to, in few queries, to whom they concern."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing_console import clock
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunTrigger
from invoicing.month_plot import last_months
from invoicing.navigation import sidebar, waiting_counts
from invoicing.work_list import dashboard
from mappings.lookups import new_rule_set_version
from mappings.models import Client, RuleSet
from sync import attention, hooks
from sync.models import Difference, Heartbeat, RemoteRecord, TimeEntry, UpstreamPin, WebhookDelivery, WorkItem

pytestmark = pytest.mark.django_db

NBSP = "\u00a0"
NOW = dt.datetime(2026, 1, 12, 8, 14, tzinfo=dt.UTC)
TILES = (
    "Needs attention",
    "Drafts to review",
    "Approved, not sent",
    "Overdue",
    "Differences",
    "Unbilled",
    "Failed syncs",
    "Webhook coverage",
    "Next run",
)


@pytest.fixture(autouse=True)
def business_time() -> Iterator[None]:
    cache.clear()
    with clock.set_to(NOW):
        yield


@pytest.fixture
def rules() -> RuleSet:
    return new_rule_set_version(None, {"tax_decision": "tax", "tax_name": "VAT", "tax_rate": D(21)})


class Work:
    """Makes rows, each with an id of its own."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.number = 0
        self.run = InvoiceRun.objects.create(
            frequency="monthly",
            period_start=dt.date(2025, 12, 1),
            period_end=dt.date(2026, 1, 1),
            timezone="Europe/Brussels",
            trigger=RunTrigger.SCHEDULE,
            requested_at=NOW,
        )

    def client(self, currency: str = "EUR") -> Client:
        self.number += 1
        return Client.objects.create(ninja_id=f"client{self.number}", name=f"Client {self.number}", currency=currency)

    def entry(self, state: str, amount: str | None = "100", **fields: Any) -> TimeEntry:
        self.number += 1
        item = WorkItem.objects.create(
            kind="T", taiga_id=self.number, ref=self.number, subject="Work", is_dirty=False, **fields.pop("item", {})
        )
        priced = {} if amount is None else {"amount": D(amount), "rate": D(100), "billed_hours": D(1)}
        return TimeEntry.objects.create(
            **{
                "item": item,
                "state": state,
                "reason": "no_rate" if state == "held" else "",
                "client": fields.pop("client", None) or self.client(fields.get("currency", "EUR")),
                "currency": "" if amount is None else "EUR",
                "work_date": dt.date(2026, 1, 6),
                "state_since": timezone.now(),
                **priced,
                **fields,
            }
        )

    def invoice(self, state: str, net: str = "100", **fields: Any) -> Invoice:
        currency = fields.pop("currency", "EUR")
        tax = D(net) * 21 / 100
        return Invoice.objects.create(
            **{
                "run": self.run,
                "client": self.client(currency),
                "rule_set": self.rules,
                "currency": currency,
                "period_start": self.run.period_start,
                "period_end": self.run.period_end,
                "timezone": "Europe/Brussels",
                "state": state,
                "state_since": timezone.now(),
                "net": D(net),
                "tax_decision": "tax",
                "tax": tax,
                "gross": D(net) + tax,
                "product_key": "Consulting",
                "seal": "" if state in ("draft", "held", "rejected") else "seal",
                **fields,
            }
        )

    def line(self, invoice: Invoice, entry: TimeEntry, **fields: Any) -> InvoiceLine:
        return InvoiceLine.objects.create(
            invoice=invoice,
            entry=entry,
            notes="Task",
            raw_hours=D(1),
            billed_hours=D(1),
            rate=D(100),
            amount=entry.amount,
            **fields,
        )


@pytest.fixture
def work(rules: RuleSet) -> Work:
    return Work(rules)


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root")


def shown(user: User) -> dict[str, Any]:
    request = RequestFactory().get("/admin/")
    request.user = user
    context = dashboard(request, {})
    if context.get("tiles"):
        context["by_name"] = {tile.name: tile for tile in context["tiles"]}
    return context


def test_an_empty_console_says_zero_everywhere_and_when_it_looked(root: User) -> None:
    tiles = shown(root)["by_name"]

    assert tuple(tiles) == TILES
    assert [tiles[name].figure for name in TILES[:6]] == ["0"] * 6
    assert all(tiles[name].is_zero and not tiles[name].edge for name in TILES[:6])
    assert tiles["Failed syncs"].foot.startswith("checked ")
    assert tiles["Webhook coverage"].figure == "–"
    assert tiles["Next run"].unit == "no schedule yet"


def test_held_and_ready_entries_by_currency(root: User, work: Work) -> None:
    work.entry("held", "120.50", state_since=timezone.now() - dt.timedelta(days=6))
    work.entry("held", None)
    work.entry("ready", "300", billed_hours=D("3.25"), work_date=dt.date(2026, 1, 1))
    work.entry("ready", "200.25", currency="USD", billed_hours=D("2"))
    work.entry("excluded", "999")

    tiles = shown(root)["by_name"]

    held, ready = tiles["Needs attention"], tiles["Unbilled"]
    assert (held.figure, held.unit, held.money) == ("2", "entries held", (f"120.50{NBSP}EUR",))
    assert (held.foot, held.edge) == ("oldest 6 days", "warning")
    assert (ready.figure, ready.unit) == ("2", "entries")
    assert ready.money == (f"5.25{NBSP}h · 300.00{NBSP}EUR", f"200.25{NBSP}USD")
    assert ready.foot == "oldest 11 days"


def test_invoices_net_until_sent_and_what_is_owed_after(root: User, work: Work) -> None:
    first = work.invoice("draft", "400", state_since=timezone.now() - dt.timedelta(days=3))
    work.invoice("draft", "50", currency="USD")
    work.invoice("approved", "300")
    work.invoice("created", "30", balance=D(0))
    work.invoice("sent", "200", due_date=dt.date(2026, 1, 11), balance=D("242"))
    work.invoice("partly_paid", "100", due_date=dt.date(2025, 12, 2), balance=D("21.00"))
    work.invoice("sent", "200", due_date=dt.date(2026, 1, 12), balance=D("242"))  # due today is not overdue
    work.invoice("paid", "900", due_date=dt.date(2025, 11, 1), balance=D(0))

    tiles = shown(root)["by_name"]

    assert (tiles["Drafts to review"].figure, tiles["Drafts to review"].money) == (
        "2",
        (f"400.00{NBSP}EUR", f"50.00{NBSP}USD"),
    )
    assert tiles["Drafts to review"].foot == "oldest 3 days"
    assert tiles["Drafts to review"].url == f"/admin/invoicing/invoice/{first.pk}/review/"
    assert (tiles["Approved, not sent"].figure, tiles["Approved, not sent"].money) == ("2", (f"330.00{NBSP}EUR",))
    overdue = tiles["Overdue"]
    assert (overdue.figure, overdue.money, overdue.foot) == ("2", (f"263.00{NBSP}EUR",), "oldest 41 days")
    assert overdue.edge == "danger"


def test_failed_syncs_coverage_and_the_next_run(root: User, work: Work) -> None:
    RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="TAIGA-T1-1", state="in_doubt")
    RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="TAIGA-T2-1", state="retry")
    for found_by, days in [("webhook", 1), ("webhook", 2), ("webhook", 3), ("sweep", 1), ("sweep", 8)]:
        work.entry("ready", item={"closed_seen_at": NOW - dt.timedelta(days=days), "closing_found_by": found_by})

    tiles = shown(root)["by_name"]

    assert (tiles["Failed syncs"].figure, tiles["Failed syncs"].edge) == ("1", "danger")
    coverage = tiles["Webhook coverage"]
    assert (coverage.figure, coverage.unit) == (f"75.0{NBSP}%", "3 of 4")
    assert coverage.foot == "1 by sweep, 7 days"
    run = tiles["Next run"]
    assert (run.figure, run.money, run.foot) == ("1 Feb 2026", ("bills 1–31 Jan 2026",), "in 20 days")


def test_twelve_months_by_what_became_of_the_work(root: User, work: Work) -> None:
    for state, month, amount in [
        ("paid", 11, "500"),
        ("sent", 11, "300"),
        ("partly_paid", 12, "40"),
        ("draft", 12, "7"),
    ]:
        entry = work.entry("claimed" if state == "draft" else "invoiced", amount, work_date=dt.date(2025, month, 5))
        work.line(work.invoice(state), entry)
    # Was on a cancelled invoice, whose line is voided, and is billed again: it must count once.
    again = work.entry("invoiced", "60", work_date=dt.date(2025, 11, 6))
    work.line(work.invoice("cancelled"), again, is_voided=True)
    work.line(work.invoice("paid"), again)
    work.entry("ready", "9", work_date=dt.date(2026, 1, 3))
    work.entry("ready", "1", work_date=dt.date(2025, 1, 31))  # thirteen months ago
    work.entry("ready", "5", currency="USD")

    # Written over by a person, and added by hand: as it is printed.
    changed = work.line(work.invoice("paid"), work.entry("invoiced", "100", work_date=dt.date(2025, 11, 7)))
    InvoiceLine.objects.filter(pk=changed.pk).update(
        amount=70, original_amount=100, original_hours=1, original_rate=100
    )
    for state, amount in (("sent", "11"), ("rejected", "1000")):
        InvoiceLine.objects.create(
            invoice=work.invoice(state), notes="By hand", raw_hours=0, billed_hours=1, rate=D(amount), amount=D(amount),
            work_date=dt.date(2025, 11, 30),
        )  # fmt: skip

    context = shown(root)

    by_month = {row[0]: row[1:] for row in context["months"].rows[:12]}
    assert by_month["Nov 2025"] == ("630.00", "311.00", "0.00", f"941.00{NBSP}EUR")
    assert by_month["Dec 2025"] == ("0.00", "40.00", "7.00", f"47.00{NBSP}EUR")
    assert by_month["Jan 2026"] == ("0.00", "0.00", "9.00", f"9.00{NBSP}EUR")
    assert by_month["Feb 2025"] == ("0.00", "0.00", "0.00", f"0.00{NBSP}EUR")
    assert "Jan 2025" not in by_month
    assert context["months"].rows[-1] == ("Jan 2026", "0.00", "0.00", "5.00", f"5.00{NBSP}USD")
    assert context["plot"].title == "Twelve months by work date, EUR"
    assert context["drawn"].others == ("USD",)
    assert [bar.label for bar in context["plot"].bars][0::11] == ["Feb", "Jan"]


def test_the_companys_currency_is_drawn_however_large_the_numbers_of_another_are(root: User, work: Work) -> None:
    work.entry("ready", "100.00", work_date=dt.date(2026, 1, 3))
    work.entry("ready", "96000", currency="JPY")
    client = Browser()
    client.force_login(root)

    text = client.get(reverse("admin:index")).content.decode()
    asked = client.get(reverse("admin:index"), {"draw": "JPY"}).content.decode()
    strange = client.get(reverse("admin:index"), {"draw": "<b>"}).content.decode()

    assert "Twelve months by work date, EUR" in text
    assert 'href="?draw=JPY"' in text
    assert "Twelve months by work date, JPY" in asked
    assert 'href="?draw=EUR"' in asked
    assert "Twelve months by work date, EUR" in strange


def test_last_months_cross_the_year() -> None:
    months = last_months(dt.date(2026, 1, 31), 12)

    assert (months[0], months[-2], months[-1], len(months)) == (
        dt.date(2025, 2, 1),
        dt.date(2025, 12, 1),
        dt.date(2026, 1, 1),
        12,
    )


def test_the_machine_says_worst_first_and_puts_the_rest_on_one_line(root: User) -> None:
    for name in ("worker", "sweep", "taiga", "payments"):
        Heartbeat.objects.create(name=name, at=timezone.now())
    Heartbeat.objects.create(name="invoice_ninja", at=timezone.now() - dt.timedelta(hours=2))
    Heartbeat.objects.create(name="invoice_ninja_failed", at=timezone.now(), detail="The last call failed.")
    UpstreamPin.objects.create(
        server="invoice_ninja", base_url="https://in.example", is_paused=True, pause_reason="Another company answered."
    )
    for number, state in enumerate(["processed", "failed", "failed"]):
        WebhookDelivery.objects.create(
            fingerprint=str(number), raw_body=b"{}", received_at=timezone.now(), verdict="work_item", state=state
        )

    checks = shown(root)["checks"]

    assert [check.state for check in checks] == ["error", "error", "error", "ok"]
    assert checks[0].sentence == "Another company answered."
    assert checks[1].sentence == "2 deliveries from Taiga could not be processed."
    assert checks[2].sentence.startswith("Invoice Ninja has not answered since ")
    assert checks[2].sentence.endswith(" The last call failed.")
    assert checks[3].sentence.startswith("Worker and schedule ")


@pytest.mark.parametrize(
    ("tried_hours_ago", "why"), [(1, "Invoice 7 is odd."), (3, "Look whether the console's processes run.")]
)
def test_a_part_that_tried_since_and_could_not_says_why(root: User, tried_hours_ago: int, why: str) -> None:
    for name in ("worker", "sweep", "taiga", "invoice_ninja"):
        Heartbeat.objects.create(name=name, at=timezone.now())
    Heartbeat.objects.create(name="payments", at=timezone.now() - dt.timedelta(hours=2))
    tried = timezone.now() - dt.timedelta(hours=tried_hours_ago)
    Heartbeat.objects.create(name="payments_failed", at=tried, detail="Invoice 7 is odd.")

    (said,) = [check.sentence for check in shown(root)["checks"] if check.state == "error"]

    assert said.startswith("Payments read: silent since ")
    assert said.endswith(why)


def test_a_silent_worker_is_said_once(root: User) -> None:
    for name in ("worker", "sweep", "taiga", "invoice_ninja", "payments"):
        Heartbeat.objects.create(name=name, at=timezone.now() - dt.timedelta(hours=2))

    errors = [check.sentence for check in shown(root)["checks"] if check.state == "error"]

    assert len(errors) == 1
    assert errors[0].startswith("Worker and schedule: silent since ")


# --- who sees it, and at what price -------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["Viewer", "Billing clerk", "Approver", "Administrator"])
def test_every_group_sees_the_work_list(client: Browser, work: Work, group: str) -> None:
    person = User.objects.create_user("person", is_staff=True)
    person.groups.add(Group.objects.get(name=group))
    client.force_login(person)
    work.entry("held")

    response = client.get("/admin/")

    assert response.status_code == 200
    assert b"Needs attention" in response.content
    assert (b"/admin/accounts/user/" in response.content) == (group == "Administrator")


def test_who_is_in_no_group_is_told_what_to_do_and_no_number(client: Browser, work: Work) -> None:
    client.force_login(User.objects.create_user("person", is_staff=True))
    work.entry("held", "777")

    response = client.get("/admin/")

    assert b"You are in no group yet" in response.content
    assert b"777" not in response.content


def test_who_is_no_member_of_staff_is_sent_to_log_in(client: Browser) -> None:
    client.force_login(User.objects.create_user("outsider"))

    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"


def test_the_numbers_cost_nine_queries_for_1_and_for_30_rows(root: User, work: Work, django_assert_num_queries) -> None:
    def make(count: int) -> None:
        for _number in range(count):
            work.entry("held")
            work.entry("ready", item={"closed_seen_at": NOW, "closing_found_by": "webhook"})
            work.line(work.invoice("sent", balance=D(100), due_date=dt.date(2026, 1, 1)), work.entry("invoiced"))
            work.invoice("draft")

    make(1)
    with django_assert_num_queries(9):
        shown(root)
    make(29)
    with django_assert_num_queries(9):
        shown(root)


def test_the_whole_page_costs_the_same_for_1_and_for_30_rows(
    client: Browser, root: User, work: Work, django_assert_max_num_queries
) -> None:
    client.force_login(root)
    work.entry("held")
    client.get("/admin/")
    # Session, person, eight for the numbers, one for the sidebar, a few of the admins.
    with django_assert_max_num_queries(14) as one:
        client.get("/admin/")
    for _number in range(29):
        work.entry("held")
        work.invoice("draft")
    with django_assert_max_num_queries(len(one)):
        client.get("/admin/")


def test_waiting_counts_are_kept_for_half_a_minute(work: Work, django_assert_num_queries, settings) -> None:
    settings.WAITING_COUNT_SECONDS = 30
    work.entry("held")
    work.invoice("draft")
    with django_assert_num_queries(1):
        assert waiting_counts() == {"attention": 1, "drafts": 1, "differences": 0, "reminders": 0}
    work.entry("held")
    with django_assert_num_queries(0):
        assert waiting_counts()["attention"] == 1


def test_the_number_beside_needs_attention_is_of_everything_that_its_page_lists(work: Work) -> None:
    work.entry("held")
    for state, attempts in (("in_doubt", 1), ("attention", 1), ("retry", 5), ("retry", 4), ("synced", 9)):
        RemoteRecord.objects.create(
            server="invoice_ninja", kind="task", our_key=f"{state}{attempts}", state=state, attempts=attempts
        )
    for number, (attempts, error) in enumerate([(3, "403"), (2, "403"), (3, "")]):
        WorkItem.objects.create(kind="T", taiga_id=9000 + number, is_dirty=True, read_attempts=attempts, error=error)
    work.invoice("approved", attention_sentence="Its client was deleted.")
    work.invoice("attention", attention_sentence="There is no proof that it left.")
    work.invoice("sent", bounce_sentence="It came back.")
    ended = work.invoice("cancelled")
    work.line(ended, work.entry("invoiced"))
    work.line(work.invoice("cancelled"), work.entry("written_off"))  # decided

    listed = 1 + len(attention.stuck_writes()) + len(attention.unreadable_items()) + len(hooks.questions())

    assert waiting_counts()["attention"] == listed == 1 + 3 + 1 + 4


@pytest.mark.parametrize("reason", ["next_run", "reopened"])
def test_what_needs_nobody_is_not_counted_as_waiting(client: Browser, root: User, work: Work, reason: str) -> None:
    client.force_login(root)
    calm = work.entry("held", reason=reason, amount="70")
    work.entry("held", reason=reason, held_by_person=True, amount="20")  # until somebody releases it
    work.entry("held", reason="no_rate", amount="3")

    tile = shown(root)["by_name"]["Needs attention"]
    page = client.get("/admin/sync/attention/")

    assert (tile.figure, tile.money) == ("2", (f"23.00{NBSP}EUR",))
    assert waiting_counts()["attention"] == 2
    assert sum(group.count for group in page.context["groups"]) == 2
    assert [row.entry for group in page.context["calm"] for row in group.rows] == [calm]
    assert b"1 entry waits and needs nobody" in page.content


def test_open_differences_have_a_tile_with_what_is_to_bill_and_to_give_back(root: User, work: Work) -> None:
    for state, amount, currency in [
        ("open", "143", "EUR"),
        ("open", "7", "EUR"),
        ("open", "-50", "EUR"),
        ("open", "-900", "JPY"),
        ("credited", "-321.75", "EUR"),
        ("supplemented", "60", "EUR"),
    ]:
        entry = work.entry("invoiced")
        Difference.objects.create(
            item=entry.item,
            entry=entry,
            state=state,
            billed_hours=D(1),
            hours_now=D(2),
            amount=D(amount),
            currency=currency,
            noticed_at=timezone.now() - dt.timedelta(days=3),
        )

    tile = shown(root)["by_name"]["Differences"]

    assert (tile.figure, tile.edge, tile.foot) == ("4", "warning", "oldest 3 days")
    assert tile.money == (
        f"150.00{NBSP}EUR to bill",
        f"50.00{NBSP}EUR to give back",
        f"900{NBSP}JPY to give back",
    )


def test_the_sidebar_has_only_pages_that_exist_and_that_the_person_may_open(root: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = root
    viewer = RequestFactory().get("/admin/")
    viewer.user = User.objects.create_user("viewer", is_staff=True)
    viewer.user.groups.add(Group.objects.get(name="Viewer"))

    groups = sidebar(request)

    assert [str(group["title"]) for group in groups][0] == "Today"
    assert all(item["link"].startswith("/admin/") for group in groups for item in group["items"])
    open_to_viewer = {
        str(item["title"]) for group in sidebar(viewer) for item in group["items"] if item["permission"](viewer)
    }
    assert "Work list" in open_to_viewer
    assert not {"Users", "Schedules"} & open_to_viewer


def test_a_tile_opens_exactly_the_rows_that_it_counts(client: Browser, root: User, work: Work) -> None:
    client.force_login(root)
    draft = work.invoice("draft")
    for state in ("approved", "created", "sending", "attention", "rejected", "paid"):
        work.invoice(state)
    for due_on, balance in [("2026-01-11", "5"), ("2026-01-11", "0"), ("2026-01-12", "5")]:
        work.invoice("sent", due_date=dt.date.fromisoformat(due_on), balance=D(balance))
    for state in ("ready", "ready", "held", "claimed", "void"):
        work.entry(state)
    for number, state in enumerate(["in_doubt", "attention", "attention", "retry", "synced"]):
        RemoteRecord.objects.create(server="taiga", kind="status", our_key=str(number), state=state)
    tiles = shown(root)["by_name"]

    for name, count in [("Approved, not sent", 4), ("Overdue", 1), ("Unbilled", 2), ("Failed syncs", 3)]:
        assert tiles[name].figure == str(count), name
        listed = client.get(tiles[name].url).context["cl"]
        assert listed.result_count == count, name
    assert tiles["Drafts to review"].url == f"/admin/invoicing/invoice/{draft.pk}/review/"
    assert tiles["Needs attention"].url == "/admin/sync/attention/"
    for name in TILES:
        assert client.get(tiles[name].url).status_code == 200, name
