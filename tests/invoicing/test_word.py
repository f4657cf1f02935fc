"""A person's word: billed is what is printed, and what somebody wrote stays with the work (billing-rules).

The table is that of the section *A person's word*; the stories are those in which an hour was billed twice, or lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import User
from billing_console import clock
from invoicing import adjusting, build, carrying, reconcile, review
from invoicing.models import Invoice, InvoiceLine, Meaning
from invoicing.run import refresh_run
from mappings.models import ProjectMapping
from sync import attention, attributes, entries, standing, supplements
from sync.models import Difference, TimeEntry, WorkItem
from tests.invoicing.world import (
    DECEMBER,
    IN_JANUARY,
    built,
    change_hours,
    make_client,
    make_project,
    make_user,
    make_work,
    month,
    on_screen,
    prove,
)
from tests.people import browser_of

pytestmark = pytest.mark.django_db
JANUARY = month(2026, 1)
WRONG, ON_PURPOSE = Meaning.TAIGA_IS_WRONG, Meaning.ON_PURPOSE


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def user() -> User:
    return make_user("Billing clerk", "ann")


def draft_of(hours: str, **rules: Any) -> tuple[TimeEntry, Invoice]:
    entry = make_work(make_project(make_client(**rules)), hours, ref=5)
    return entry, built().invoices.get()


def write(
    invoice: Invoice, hours: str, user: User, meaning: str, rate: str = "95", reason: str = "It was five."
) -> None:
    invoice.refresh_from_db()
    line = invoice.lines.get(is_voided=False, entry__isnull=False)
    what: dict[str, Any] = {"hours": D(hours), "rate": D(rate), "reason": reason, "meaning": meaning}
    adjusting.adjust_line(line, seen=on_screen(line), user=user, **what)


def issued(invoice: Invoice) -> None:
    """Approved: from here on nothing is priced again."""
    invoice.refresh_from_db()
    review.approve(invoice, revision=invoice.revision, user=None)


def add(invoice: Invoice, price: str, user: User) -> None:
    invoice.refresh_from_db()
    said: dict[str, Any] = {"text": "Instalment", "quantity": D(1), "price": D(price), "reason": "Contract"}
    adjusting.add_line(invoice, user=user, **said)


def close_again(entry: TimeEntry, hours: str) -> None:
    """Reopened, typed, closed: what a developer does who corrects his hours as he was asked to."""
    item = WorkItem.objects.get(pk=entry.item_id)
    item.closings += 1
    item.save(update_fields=["closings"])
    change_hours(entry, hours)


def cycles(entry: TimeEntry) -> list[tuple[str, str, D | None]]:
    rows = TimeEntry.objects.filter(item=entry.item_id, cycle__gt=1).order_by("cycle")
    return [(row.state, row.reason, row.billed_hours) for row in rows]


def asked(entry: TimeEntry) -> list[tuple[D, D, D]]:
    rows = Difference.objects.filter(item=entry.item_id, state="open")
    return [(row.billed_hours, row.hours_now, row.amount) for row in rows]


def balances() -> bool:
    return all(identity.is_true for period in (DECEMBER, JANUARY) for identity in reconcile.check(period)[:3])


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priced", "printed", "meaning", "later", "cycle", "difference"),
    [
        ("4", "5", WRONG, "5", [], []),
        ("4", "5", WRONG, "6", [("held", "said_otherwise", D("1.00"))], []),
        ("4", "5", WRONG, "4", [], [(D("5.00"), D("4.00"), D("-95.00"))]),
        ("6", "5", ON_PURPOSE, "6", [], []),
        ("6", "5", ON_PURPOSE, "7", [("held", "said_otherwise", D("1.00"))], []),
        ("6", "5", ON_PURPOSE, "5", [], []),
        ("6", "5", ON_PURPOSE, "4", [], [(D("5.00"), D("4.00"), D("-95.00"))]),
        ("4", "5", ON_PURPOSE, "4", [], []),
        ("4", "5", ON_PURPOSE, "5", [("held", "said_otherwise", D("1.00"))], []),
    ],
)
def test_what_taiga_says_later_is_measured_against_what_is_printed(  # noqa: PLR0917 -- a table
    priced: str, printed: str, meaning: str, later: str, cycle: list[Any], difference: list[Any], user: User
) -> None:
    entry, invoice = draft_of(priced)
    write(invoice, printed, user, meaning)
    issued(invoice)

    close_again(entry, later)

    assert (cycles(entry), asked(entry)) == (cycle, difference)
    assert balances()
    close_again(entry, later)  # and once more: nothing is asked twice, nothing is billed
    assert (cycles(entry), asked(entry)) == (cycle, difference)


@pytest.mark.parametrize(
    ("later", "difference"),
    [("5", []), ("6", [(D("5.00"), D("6.00"), D("95.00"))]), ("3", [(D("5.00"), D("3.00"), D("-190.00"))])],
)
def test_without_a_closing_the_difference_says_what_the_invoice_says(
    later: str, difference: list[Any], user: User
) -> None:
    entry, invoice = draft_of("4")
    write(invoice, "5", user, WRONG)
    issued(invoice)
    change_hours(entry, later)
    assert (cycles(entry), asked(entry)) == ([], difference)


def test_what_comes_after_a_persons_word_is_on_no_draft_until_it_was_confirmed(user: User) -> None:
    entry, invoice = draft_of("4")
    write(invoice, "5", user, WRONG)
    issued(invoice)
    close_again(entry, "6")
    cycle = TimeEntry.objects.get(item=entry.item_id, cycle=2)
    assert cycle.reason_sentence == (
        "ann wrote 5.00 h × 95 over 4.00 h × 95 of #5 (It was five). Taiga says 6 h now, which would bill 1.00 h. "
        "Confirm that, write it off, or correct it in Taiga."
    )
    run = built(JANUARY, is_early=True)
    assert list(run.invoices.all()) == []

    attention.confirm_entry(cycle, user=user)
    prove(cycle)
    refresh_run(run)
    build.build_due()
    assert run.invoices.get().net == D("95.00")
    close_again(entry, "7")  # another number asks again
    assert cycles(entry) == [("claimed", "", D("1.00"))]  # the draft is stale instead
    assert run.invoices.get().is_stale


def test_a_difference_that_a_person_bills_is_not_asked_a_second_time(user: User) -> None:
    entry, invoice = draft_of("4")
    write(invoice, "5", user, WRONG)
    issued(invoice)
    change_hours(entry, "6")
    row = Difference.objects.get(state="open")
    assert "ann had written 5.00 h × 95 over 4.00 h × 95: It was five." in row.sentence
    supplements.supplement(row, mark=row.mark, user=user, note="Bill it")
    assert cycles(entry) == [("ready", "", D("1.00"))]


def test_a_later_cycle_is_measured_anew_when_the_earlier_line_is_written_over(user: User) -> None:
    """Approved at 4, closed again at 5: one hour waits. The approval is taken back, and the line says five."""
    entry, invoice = draft_of("4")
    issued(invoice)
    close_again(entry, "5")
    assert cycles(entry) == [("ready", "", D("1.00"))]
    review.withdraw_approval(invoice, user=user, reason="it was five")
    write(invoice, "5", user, WRONG)
    assert cycles(entry) == [("below_minimum", "", D("0.00"))]


def test_what_a_person_wrote_at_another_rate_is_given_back_at_that_rate(user: User) -> None:
    entry, invoice = draft_of("4")
    write(invoice, "4", user, "", rate="50")
    issued(invoice)
    change_hours(entry, "3")
    assert asked(entry) == [(D("4.00"), D("3.00"), D("-50.00"))]


# --- put off and billed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["exclude", "hold", "reject"])
def test_what_was_agreed_survives_being_put_off(act: str, user: User) -> None:
    """Eight hours, written down to five: the next draft bills five, and says who agreed to that, and why."""
    entry, invoice = draft_of("8")
    make_work(ProjectMapping.objects.get(), "1", ref=6)
    run = invoice.run
    refresh_run(run)
    build.build_due()
    invoice.refresh_from_db()
    line = invoice.lines.get(ref=5)
    said: dict[str, Any] = {"hours": D(5), "rate": D(95), "reason": "client agreed", "meaning": ON_PURPOSE}
    adjusting.adjust_line(line, seen=on_screen(line), user=user, **said)
    invoice.refresh_from_db()
    review.edit_text(line, seen=on_screen(line), user=user, text="Migration", reason="shorter")
    invoice.refresh_from_db()
    if act == "reject":
        review.reject_draft(invoice, revision=invoice.revision, user=user, reason="later")
    else:
        put_off = review.exclude_line if act == "exclude" else review.hold_line
        put_off(line, seen=on_screen(line), user=user, reason="later")
    if act == "hold":
        entry.refresh_from_db()
        attention.release_entry(entry, user=user)

    later = built(JANUARY, is_early=True).invoices.get()

    new = later.lines.get(ref=5)
    assert (new.billed_hours, new.amount, new.original_hours, new.meaning) == (D(5), D(475), D(8), ON_PURPOSE)
    assert (new.adjusted_by, new.adjust_reason, new.notes) == (user, "client agreed", "Migration")
    assert new.original_notes == "Task #5: Implement payment gateway"
    assert balances()


def test_a_word_that_was_taken_back_does_not_come_back(user: User) -> None:
    _entry, invoice = draft_of("8")
    write(invoice, "5", user, ON_PURPOSE)
    write(invoice, "8", user, "")
    invoice.refresh_from_db()
    review.reject_draft(invoice, revision=invoice.revision, user=user, reason="later")
    assert built(JANUARY, is_early=True).invoices.get().net == D("760.00")


def test_a_change_in_taiga_while_it_is_put_off_is_asked(user: User) -> None:
    entry, invoice = draft_of("8")
    write(invoice, "5", user, ON_PURPOSE)
    invoice.refresh_from_db()
    review.reject_draft(invoice, revision=invoice.revision, user=user, reason="later")
    change_hours(entry, "9")
    entry.refresh_from_db()
    assert (entry.state, entry.reason) == ("held", "said_otherwise")
    change_hours(entry, "5")  # Taiga says now what the person had written
    entry.refresh_from_db()
    assert (entry.state, entry.billed_hours) == ("ready", D(5))
    prove(entry)
    line = built(JANUARY, is_early=True).invoices.get().lines.get()
    assert (line.amount, line.is_adjusted, line.dropped_sentence) == (D(475), False, "")


# --- lines by hand ------------------------------------------------------------------------------------------------


def test_an_instalment_outlives_the_rejection_and_makes_a_draft_alone(user: User) -> None:
    entry, invoice = draft_of("1")
    add(invoice, "4000", user)
    invoice.refresh_from_db()
    review.reject_draft(invoice, revision=invoice.revision, user=user, reason="wrong address")
    assert [(line.notes, line.amount) for line in carrying.waiting()] == [("Instalment", D(4000))]
    report = browser_of("viewer").get(reverse("admin:invoicing_report", args=["unbilled"])).content.decode()
    assert "By hand, for the next draft of Acme Corp" in report
    assert "4,000.00\xa0EUR · Instalment" in report
    entry.refresh_from_db()
    attention.hold_entry(entry, user=user, note="not yet")

    run = built(JANUARY, is_early=True)

    draft = run.invoices.get()
    assert [(line.notes, line.amount, line.adjusted_by) for line in draft.lines.all()] == [
        ("Instalment", D(4000), user)
    ]
    assert (draft.net, draft.gross, carrying.waiting().count()) == (D(4000), D(4840), 0)
    assert review.approve(draft, revision=draft.revision, user=user).state == "approved"
    assert balances()


def test_an_instalment_stays_when_the_only_task_is_reopened(user: User) -> None:
    entry, invoice = draft_of("1")
    add(invoice, "4000", user)
    item = WorkItem.objects.get(pk=entry.item_id)
    item.state = "open"
    item.save(update_fields=["state"])
    entries.evaluate(item)
    refresh_run(invoice.run)
    build.build_due()
    draft = Invoice.objects.get()
    assert (draft.state, draft.net, draft.is_stale) == ("draft", D(4000), False)


def test_a_line_by_hand_waits_once_and_joins_the_draft_of_its_client(user: User) -> None:
    _entry, invoice = draft_of("1")
    other = make_client("Other")
    make_work(make_project(other, "theirs"), "2", ref=9)
    add(invoice, "250", user)
    invoice.refresh_from_db()
    review.reject_draft(invoice, revision=invoice.revision, user=user, reason="x")
    run = built()
    assert {(row.client_id == other.pk, row.net) for row in run.invoices.filter(state="draft")} == {
        (True, D(190)), (False, D(345)),
    }  # fmt: skip
    refresh_run(run)
    build.build_due()
    assert InvoiceLine.objects.filter(entry__isnull=True, is_voided=False).count() == 1


# --- what is this line? -------------------------------------------------------------------------------------------


def test_the_entry_and_its_list_say_what_is_printed(user: User) -> None:
    entry, invoice = draft_of("0.25")
    write(invoice, "0.5", user, WRONG, rate="85")
    issued(invoice)
    page = browser_of("approver").get(reverse("admin:sync_timeentry_change", args=[entry.pk])).content.decode()
    text = " ".join(page.replace("\xa0", " ").split())
    for part in ("42.50 EUR", "before tax, as priced", "0.50 h × 85.00 EUR", "ann: It was five."):
        assert part in text
    address = reverse("admin:invoicing_invoice_change", args=[invoice.pk])
    assert f'<a href="{address}">' in text
    rows = browser_of("approver").get(reverse("admin:sync_timeentry_changelist")).content.decode().replace("\xa0", " ")
    assert "42.50 EUR" in rows
    assert "23.75 EUR" not in rows  # as it was priced


@pytest.mark.parametrize(("written", "amount"), [("2.5", "-237.50"), ("0.25", "-23.75")])
def test_to_the_wrong_client_all_that_is_printed_was_billed_whatever_was_meant_by_it(
    user: User, written: str, amount: str
) -> None:
    """0.50 h in Taiga, others written on purpose: the other client is billed for none of them, so all is given back."""
    entry, invoice = draft_of("0.5")
    write(invoice, written, user, ON_PURPOSE)
    issued(invoice)
    right = make_client("Hotel NV")
    entry.item.attributes = {**entry.item.attributes, attributes.CLIENT: right.ninja_id}
    entry.item.save()

    entries.evaluate(entry.item)

    difference = Difference.objects.get()
    assert (difference.payer_now, difference.hours_now, difference.amount) == (right, 0, D(amount))
    assert standing.measured(difference)[0].settled == D(written)
    Difference.objects.update(state="credited")
    assert standing.measured(Difference.objects.get())[0].settled == D(written)  # as it was before the credit
    anew = supplements.bill_after_credit(Difference.objects.get(), user=user, note="Hotel pays")
    assert anew is not None
    assert (anew.client, anew.billed_hours, anew.amount) == (right, D("0.50"), D("47.50"))
