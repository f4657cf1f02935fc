"""Differences settled, invoices ended, credits made and used: what both stand-ins hold afterwards, once a click."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from billing_console.errors import IllegalTransition, NotAllowed, StaleRevision
from invoicing import (
    adjusting,
    carrying,
    creating,
    credit_offer,
    credit_use,
    crediting,
    ending,
    payments,
    reconcile,
    releasing,
    repricing,
    review,
    sending,
    supplementing,
)
from invoicing.models import Credit, Invoice, InvoiceLine, InvoiceRun, Meaning
from invoicing.releasing import Again
from mappings.lookups import new_rule_set_version
from mappings.models import Client, Rate, RuleSet
from mappings.rules import month
from sync import attention, decisions, push, settled, supplements, writeback
from sync.models import Difference, RemoteRecord, TimeEntry, UpstreamCall
from tests.invoicing.world import built, make_user, on_screen, sweep_project
from tests.outbound import JANUARY_2, created_invoice, drain_all, fresh, make_due
from tests.standins import World

NOTE = "agreed with the client"


@pytest.fixture
def user(db: None) -> User:
    return make_user("Approver")


def work() -> None:
    drain_all()
    crediting.write_due()
    payments.poll()
    drain_all()


def sent(world: World, *hours: Any) -> Invoice:
    """A sent invoice with an entry for each of `hours`, at 75.00, 21 % VAT."""
    invoice = created_invoice(world, *hours)
    sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)
    drain_all()
    payments.poll()  # what it owes
    assert fresh(invoice).state == "sent"
    return fresh(invoice)


def change(world: World, entry: TimeEntry, **values: Any) -> Difference:
    """Somebody types other values in Taiga; returns the open Difference."""
    world.set_values(entry.item.taiga_id, **values)
    world.read(entry.item.taiga_id)
    return Difference.objects.get(item=entry.item, state="open")


def residues() -> list[Any]:
    return [one.residue for one in reconcile.check(month(2025, 12)) if not one.is_true]


def credits_there(world: World) -> list[dict[str, Any]]:
    return list(world.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"])


def credit(difference: Difference, user: User, *, is_to_use: bool = False) -> Credit:
    found, why = credit_offer.offer(difference)
    assert found is not None, why
    gross = str(found.gross)
    return crediting.request_credit(
        difference, mark=difference.mark, gross=gross, user=user, note=NOTE, is_to_use=is_to_use
    )


# --- more: the next cycle, or a write-off ----------------------------------------------------------------------------


def test_a_supplement_is_the_next_cycle_and_nothing_bills_it_twice(world: World, user: User) -> None:
    invoice = sent(world, 2)
    entry = TimeEntry.objects.get()
    difference = change(world, entry, hours=3)
    offered, _why = supplements.preview(difference)
    assert (offered.cycle, offered.amount, TimeEntry.objects.count()) == (2, Decimal("75.00"), 1)

    with pytest.raises(NotAllowed):
        supplements.supplement(difference, mark=difference.mark, user=user, note=" ")
    with pytest.raises(StaleRevision):
        supplements.supplement(difference, mark="older", user=user, note=NOTE)
    cycle = supplements.supplement(difference, mark=difference.mark, user=user, note=NOTE)
    with pytest.raises(IllegalTransition, match="decided already"):
        supplements.supplement(difference, mark=difference.mark, user=user, note=NOTE)

    work()
    assert (cycle.cycle, fresh(cycle).state, cycle.billed_hours, cycle.amount) == (2, "ready", 1, Decimal("75.00"))
    assert [row["number"][-2:] for row in world.tasks()] == ["-1", "-2"]
    assert (fresh(difference).state, fresh(difference).reason) == ("supplemented", NOTE)
    assert fresh(invoice).gross == Decimal("181.50")
    world.read(entry.item.taiga_id)
    assert Difference.objects.filter(state="open").count() == 0
    assert TimeEntry.objects.count() == 2
    assert residues() == []


def test_billed_at_once_is_a_supplement_of_the_same_period(world: World, user: User) -> None:
    sent(world, 2)
    difference = change(world, TimeEntry.objects.get(), hours=3)

    supplementing.bill_at_once(difference, mark=difference.mark, user=user, note=NOTE)

    run = InvoiceRun.objects.get(sequence=2)
    first = InvoiceRun.objects.get(sequence=1)
    assert (run.period_start, run.period_end, run.reason) == (first.period_start, first.period_end, NOTE)
    assert TimeEntry.objects.get(cycle=2).state == "ready"


def test_hours_written_off_are_a_cycle_of_their_own_and_what_comes_later_is_billed(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    difference = change(world, entry, hours=3)

    given = supplements.write_off(difference, mark=difference.mark, user=user, note=NOTE)

    assert (given.state, given.amount, given.remote_task_id) == ("written_off", Decimal("75.00"), None)
    assert fresh(difference).state == "written_off"
    work()
    assert len(world.tasks()) == 1
    assert residues() == []
    later = change(world, entry, hours=3.5)
    assert (later.billed_hours, later.hours_now, later.amount) == (3, Decimal("3.5"), Decimal("37.50"))
    # Some of what was given away is gone: nobody was billed for it, so nothing is asked.
    world.set_values(entry.item.taiga_id, hours=2.5)
    world.read(entry.item.taiga_id)
    assert (fresh(later).state, Difference.objects.filter(state="open").count()) == ("closed", 0)
    assert residues() == []
    # An hour that was billed is gone too: that one is given back.
    fewer = change(world, entry, hours=1)
    assert (fewer.hours_now, fewer.amount) == (1, Decimal("-75.00"))
    assert residues() == []


def test_an_ignored_difference_leaves_everything(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    difference = change(world, entry, hours=1)
    before = world.tasks(), world.invoices()

    decisions.ignore_difference(difference, user=user, note=NOTE, mark=difference.mark)
    with pytest.raises(IllegalTransition):
        decisions.ignore_difference(difference, user=user, note=NOTE)

    work()
    world.read(entry.item.taiga_id)
    assert (world.tasks(), world.invoices(), credits_there(world)) == (*before, [])
    assert [row.state for row in Difference.objects.all()] == ["ignored"]


# --- less: a credit --------------------------------------------------------------------------------------------------


def test_a_credit_is_made_once_taxed_as_its_invoice_and_set_against_it(world: World, user: User) -> None:
    invoice = sent(world, 2)
    entry = TimeEntry.objects.get()
    difference = change(world, entry, hours=1)

    made = credit(difference, user, is_to_use=True)
    with pytest.raises(IllegalTransition, match="decided already"):
        crediting.request_credit(difference, mark=difference.mark, gross="90.75", user=user, note=NOTE)
    work()
    work()

    (there,) = credits_there(world)
    assert there["private_notes"] == made.key
    assert (there["amount"], there["total_taxes"], there["balance"]) == (Decimal("90.75"), Decimal("15.75"), 0)
    assert there["line_items"][0]["notes"].endswith("(1.00 h less)")
    assert {row["task_id"] for row in there["line_items"]} == {""}
    (paid,) = world.api_ninja("GET", "/payments")["data"]
    assert paid["amount"] == 0
    row = fresh(made)
    assert (row.net, row.tax, row.gross, row.used) == tuple(map(Decimal, ("75.00", "15.75", "90.75", "90.75")))
    assert (row.number, row.tax_name, row.made_by) == (there["number"], "VAT", user)
    assert (fresh(invoice).state, fresh(invoice).balance) == ("partly_paid", Decimal("90.75"))
    assert fresh(difference).state == "credited"
    assert {task["invoice_id"] for task in world.tasks()} == {fresh(invoice).remote.remote_id}
    assert world.named_values(entry.item.taiga_id)["Invoice Status"] == "Invoiced"
    with pytest.raises(NotAllowed, match="already"):
        credit_use.request_use(row)
    assert residues() == []
    names = {term.name: term.amounts for term in reconcile.check(month(2025, 12))[3].right}
    assert names["of it settled by credits, gross"] == {"EUR": Decimal("90.75")}
    assert names["of it open, gross"] == {"EUR": Decimal("90.75")}
    assert names["of it paid, gross"] == {}


def test_hours_that_come_back_after_a_credit_are_billed_again(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    credit(change(world, entry, hours=1), user)
    work()
    world.read(entry.item.taiga_id)
    assert not Difference.objects.filter(state="open").exists()

    difference = change(world, entry, hours=2)  # as at first
    assert (difference.billed_hours, difference.hours_now, difference.amount) == (1, 2, Decimal("75.00"))
    cycle = supplements.supplement(difference, mark=difference.mark, user=user, note=NOTE)
    assert (cycle.cycle, cycle.billed_hours, cycle.amount) == (2, 1, Decimal("75.00"))
    work()
    assert residues() == []


def hotel(world: World) -> Client:
    body = {"name": "Hotel NV", "contacts": [{"email": "books@hotel.example", "send_email": True}]}
    there = world.api_ninja("POST", "/clients", body)["data"]
    client = Client.objects.create(ninja_id=there["id"], name="Hotel NV", currency="EUR", is_known=True)
    rules = {"billing_timezone": "Europe/Brussels", "tax_decision": "tax", "tax_name": "VAT", "tax_rate": Decimal(21)}
    new_rule_set_version(client, rules)
    return client


def test_billed_to_the_wrong_client_it_is_credited_and_billed_to_the_right_one_by_one_decision(
    world: World, user: User
) -> None:
    sent(world, 8)
    entry, right = TimeEntry.objects.get(), hotel(world)
    difference = change(world, entry, client=right.ninja_id)
    assert (difference.hours_now, difference.amount, difference.payer_now) == (0, -600, right)
    anew = supplements.preview_after_credit(difference)
    assert anew is not None
    assert (anew.client, anew.billed_hours, anew.amount) == (right, 8, 600)
    assert Difference.objects.get().state == "open"  # only looked at
    found, _why = credit_offer.offer(difference)
    assert found is not None
    what: dict[str, Any] = {"mark": difference.mark, "gross": str(found.gross), "user": user, "note": NOTE}
    with pytest.raises(StaleRevision):
        crediting.request_credit(difference, billed="599.00", **what)
    assert Credit.objects.count() == 0

    crediting.request_credit(difference, billed=str(anew.amount), is_to_use=True, **what)
    work()

    first, second = TimeEntry.objects.order_by("cycle")
    assert (first.client == right, first.state) == (False, "invoiced")
    assert second.reason_sentence == ""
    assert (second.client, second.state, second.billed_hours, second.amount) == (right, "ready", 8, 600)
    assert [Decimal(str(row["amount"])) for row in credits_there(world)] == [726]
    with pytest.raises(IllegalTransition):
        crediting.request_credit(fresh(difference), billed="", **what)
    # Closed again, and again: nothing more is billed, nothing is asked.
    for _turn in range(2):
        world.set_status(entry.item.taiga_id, "New")
        world.read(entry.item.taiga_id)
        world.set_status(entry.item.taiga_id, "Closed")
        world.read(entry.item.taiga_id)
    assert TimeEntry.objects.count() == 2
    assert not Difference.objects.filter(state="open").exists()
    assert residues() == []


def test_a_second_credit_gives_back_only_the_rest(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    credit(change(world, entry, hours=1.5), user)
    second = credit(change(world, entry, billable=False), user)
    work()
    assert second.net == Decimal("112.50")
    # 45.38 + 136.13: the tax of each document is one rounding of its own net (7.875 and 23.625), a cent more in all.
    assert [Decimal(str(row["amount"])) for row in credits_there(world)] == [Decimal("45.38"), Decimal("136.13")]
    assert residues() == []


def test_a_lower_rate_is_credited_and_a_higher_one_is_not_billed_by_a_cycle(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    lower = change(world, entry, rate=60)
    made = credit(lower, user)
    assert (made.net, made.lines[0]["hours"], made.lines[0]["rate"]) == (Decimal("30.00"), "2.00", "15.000")
    work()
    higher = change(world, entry, rate=80)
    assert higher.amount == Decimal("40.00")  # 2 h × (80 − 60)
    assert supplements.preview(higher)[0] is None
    assert credit_offer.offer(higher)[0] is None


def test_what_was_written_down_on_the_line_is_not_credited(world: World, user: User) -> None:
    sent(world, 2)
    InvoiceLine.objects.update(billed_hours=Decimal("1.50"), amount=Decimal("112.50"))
    found, _why = credit_offer.offer(change(world, TimeEntry.objects.get(), hours=1))
    assert found is not None
    assert found.net == Decimal("37.50")


def test_an_account_without_credits_asks_and_the_credit_can_be_given_up(world: World, user: User) -> None:
    sent(world, 2)
    entry = TimeEntry.objects.get()
    difference = change(world, entry, hours=1)
    world.fail("ninja", kind="status", status=401, body={"message": "This action is unauthorized."}, method="POST",
               path="/api/v1/credits$")  # fmt: skip
    made = credit(difference, user)
    work()
    assert (made.remote.our_key, fresh(made.remote).reason) == (made.key, "no_credits")
    assert "Switch on the module Credits" in fresh(made.remote).sentence

    crediting.give_up(made, user=user, note="by hand then")
    with pytest.raises(NotAllowed):
        crediting.give_up(made, user=user, note="again")

    assert (fresh(made).is_given_up, fresh(made.remote).state) == (True, "dropped")
    assert (fresh(difference).state, fresh(difference).amount) == ("open", Decimal("-75.00"))
    work()
    assert credits_there(world) == []
    credit(fresh(difference), user)
    work()
    assert len(credits_there(world)) == 1


def test_a_refused_use_waits_for_a_person_and_the_credit_stays(world: World, user: User) -> None:
    invoice = sent(world, 2)
    difference = change(world, TimeEntry.objects.get(), hours=1)
    made = credit(difference, user)
    work()
    there = credits_there(world)[0]
    body = {"client_id": there["client_id"], "amount": 0, "date": "2026-01-03"}
    use = [{"credit_id": there["id"], "amount": 50}], [{"invoice_id": fresh(invoice).remote.remote_id, "amount": 50}]
    world.api_ninja("POST", "/payments", {**body, "credits": use[0], "invoices": use[1]})
    credit_use.request_use(fresh(made), user=user)
    work()
    record = made.uses.get().remote
    assert (record.state, record.reason) == ("attention", "differs_there")
    assert len(world.api_ninja("GET", "/payments")["data"]) == 1


def unused(world: World, user: User) -> Credit:
    """A credit that Invoice Ninja has, of a mailed invoice, and whose use is wanted now."""
    sent(world, 2)
    made = credit(change(world, TimeEntry.objects.get(), hours=1), user)
    work()
    credit_use.request_use(fresh(made), user=user)
    return fresh(made)


def test_the_use_of_a_credit_mails_nobody(world: World, user: User) -> None:
    made = unused(world, user)
    mails, (invitation,) = len(world.mails()), world.invoices()[0]["invitations"]

    work()

    assert fresh(made).used == Decimal("90.75")
    assert len(world.mails()) == mails
    assert world.invoices()[0]["invitations"][0]["message_id"] == invitation["message_id"]


def test_a_repeated_use_is_refused_by_its_key_and_recognised_as_done(world: World, user: User) -> None:
    made = unused(world, user)
    credit_use.write_due()
    RemoteRecord.objects.filter(pk=made.uses.get().remote_id).update(
        state="retry", not_before=None, seen={}, synced_revision=0
    )
    pages = {"total": 0, "count": 0, "per_page": 500, "current_page": 1, "total_pages": 1, "links": {}}
    nothing = {"data": [], "meta": {"pagination": pages}}  # as a server answers whose list lags behind
    world.fail("ninja", kind="status", status=200, body=nothing, method="GET", path="/api/v1/payments", count=1)
    world.ninja.store.guard.clear()  # more than a second later

    credit_use.write_due()

    assert fresh(made.uses.get().remote).state == "synced"
    assert UpstreamCall.objects.filter(method="POST", path="/payments", status=422).count() == 1
    assert len(world.api_ninja("GET", "/payments")["data"]) == 1


def test_a_use_whose_payment_was_deleted_asks_and_is_found_when_made_by_hand(world: World, user: User) -> None:
    made = unused(world, user)
    credit_use.write_due()
    wanted, (payment,) = made.uses.get().remote.desired, world.api_ninja("GET", "/payments")["data"]
    world.api_ninja("DELETE", f"/payments/{payment['id']}")
    RemoteRecord.objects.filter(pk=made.uses.get().remote_id).update(
        state="retry", not_before=None, seen={}, synced_revision=0
    )
    world.ninja.store.guard.clear()  # more than a second later

    credit_use.write_due()
    record = fresh(made.uses.get().remote)
    assert (record.state, record.reason) == ("attention", "use_gone")
    assert "somebody deleted it there" in record.sentence

    part = Decimal(wanted["amount"])
    body = {"client_id": wanted["client_id"], "amount": 0, "date": wanted["date"]}
    with world.ninja.store.memory.transaction():
        world.ninja.store.save("credits", wanted["credit_id"], balance=90.75, paid_to_date=0, status_id="2")
    parts = {"credits": [{"credit_id": wanted["credit_id"], "amount": part}]}
    parts |= {"invoices": [{"invoice_id": wanted["invoice_id"], "amount": part}]}
    world.api_ninja("POST", "/payments", {**body, **parts})
    attention.try_again(record, user=user)
    credit_use.write_due()
    assert fresh(made.uses.get().remote).state == "synced"


def test_two_uses_at_the_same_moment_are_both_made(world: World, user: User) -> None:
    made = unused(world, user)
    body = {"message": "Duplicate request"}
    world.fail("ninja", kind="status", status=400, body=body, method="POST", path="/api/v1/payments$", count=1)
    credit_use.write_due()
    assert fresh(made.uses.get().remote).state == "retry"  # nobody is asked
    make_due(made.uses.get().remote)

    credit_use.write_due()

    assert (fresh(made.uses.get().remote).state, len(world.api_ninja("GET", "/payments")["data"])) == ("synced", 1)


@pytest.mark.parametrize("fault", [{"kind": "lost_answer"}, {"kind": "status", "status": 500}])
def test_a_credit_with_an_unknown_outcome_is_looked_up(world: World, user: User, fault: dict[str, Any]) -> None:
    sent(world, 2)
    made = credit(change(world, TimeEntry.objects.get(), hours=1), user, is_to_use=True)
    world.fail("ninja", method="POST", path="/api/v1/credits$", **fault)
    crediting.write_due()
    assert fresh(made.remote).state == "in_doubt"
    world.fail("ninja", method="POST", path="/api/v1/payments$", **fault)
    for _round in range(4):
        for record in RemoteRecord.objects.filter(state__in=("in_doubt", "retry")):
            make_due(record)
        work()
    assert len(credits_there(world)) == 1
    assert len(world.api_ninja("GET", "/payments")["data"]) == 1
    assert fresh(made).used == Decimal("90.75")


# --- an invoice that must not exist ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sent", [False, True])
def test_cancelled_here_its_hours_are_free_and_billed_anew(world: World, user: User, is_sent: bool) -> None:
    invoice = sent(world, 2, 3) if is_sent else created_invoice(world, 2, 3)
    with pytest.raises(NotAllowed, match="Say why"):
        ending.request_end(invoice, seal=invoice.seal, user=user, note=" ")
    with pytest.raises(NotAllowed, match="changed since"):
        ending.request_end(invoice, seal="x", user=user, note=NOTE)

    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE)
    with pytest.raises(NotAllowed, match="just being cancelled"):
        ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE)
    if not is_sent:
        with pytest.raises(NotAllowed):
            sending.request_sending(fresh(invoice), seal=invoice.seal, user=user)
    creating.create_due()

    (there,) = world.invoices()
    assert (there["is_deleted"], there["status_id"]) == ((False, "5") if is_sent else (True, "1"))
    assert (fresh(invoice).state, fresh(invoice).note) == ("cancelled", NOTE)
    entries = TimeEntry.objects.order_by("pk")
    assert {entry.state for entry in entries} == {"ready"}
    lines = list(InvoiceLine.objects.filter(invoice=invoice))
    assert {(line.is_voided, line.void_reason, line.voided_by) for line in lines} == {(True, NOTE, user)}
    assert all(line.freed_at for line in lines)
    # Nothing bills them before their tasks are proven free.
    assert {record.state for record in RemoteRecord.objects.filter(kind="task")} == {"pending"}
    push.push_due()
    writeback.write_due()
    assert {task["invoice_id"] for task in world.tasks()} == {""}
    assert [Decimal(str(task["rate"])) for task in world.tasks()] == [75, 75]
    assert {record.state for record in RemoteRecord.objects.all()} == {"synced"}
    assert residues() == []
    for entry in entries:
        assert world.named_values(entry.item.taiga_id)["Invoice Status"] == "Invoiced"


def test_what_was_paid_meanwhile_is_not_cancelled_and_can_be_kept(world: World, user: User) -> None:
    invoice = sent(world, 2)
    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE)
    body = {"client_id": invoice.client.ninja_id, "amount": 50, "date": "2026-01-03"}
    remote_id = invoice.remote.remote_id
    world.api_ninja("POST", "/payments", {**body, "invoices": [{"invoice_id": remote_id, "amount": 50}]})
    creating.create_due()
    assert fresh(invoice.remote).reason == "paid_there"
    assert world.invoices()[0]["status_id"] == "3"

    ending.keep(fresh(invoice), user=user, note="it is right after all")
    with pytest.raises(NotAllowed):
        ending.keep(fresh(invoice), user=user, note="again")
    work()
    assert (fresh(invoice).state, fresh(invoice.remote).state) == ("partly_paid", "synced")
    with pytest.raises(NotAllowed, match="Money came in"):
        ending.request_end(fresh(invoice), seal=invoice.seal, user=user, note=NOTE)
    assert {entry.state for entry in TimeEntry.objects.all()} == {"invoiced"}


def test_a_draft_that_was_sent_by_hand_meanwhile_is_asked_about_before_it_is_cancelled(
    world: World, user: User
) -> None:
    invoice = created_invoice(world, 2)
    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE)
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [fresh(invoice).remote.remote_id]})
    creating.create_due()
    record = fresh(invoice).remote
    assert (record.reason, world.invoices()[0]["status_id"]) == ("sent_there", "2")
    attention.try_again(record, user=user)
    creating.create_due()
    assert (world.invoices()[0]["status_id"], fresh(invoice).state) == ("5", "cancelled")


def test_what_was_credited_is_neither_cancelled_nor_set_free(world: World, user: User) -> None:
    invoice = sent(world, 2)
    credit(change(world, TimeEntry.objects.get(), hours=1), user)
    work()
    with pytest.raises(NotAllowed, match="was credited"):
        ending.request_end(fresh(invoice), seal=invoice.seal, user=user, note=NOTE)
    world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [fresh(invoice).remote.remote_id]})
    work()
    with pytest.raises(NotAllowed, match="was credited"):
        releasing.release(fresh(invoice), user=user, note=NOTE)


def written_over(world: World, user: User) -> Invoice:
    """Two lines of work, the first written down, and one by hand: 4 × 75.00 − 75.00 + 522.50, created there."""
    for hours in (2, 3):
        world.read(world.add_task(f"Work of {hours} h", billable=True, hours=hours))
    drain_all()
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    draft = built(month(2025, 12)).invoices.get()
    line = draft.lines.get(billed_hours=2)
    figures: dict[str, Any] = {"hours": Decimal(1), "rate": Decimal(75), "meaning": Meaning.ON_PURPOSE}
    draft = adjusting.adjust_line(line, seen=on_screen(line), user=user, reason="as agreed", **figures)
    extra: dict[str, Any] = {
        "text": "Flat part",
        "quantity": Decimal(1),
        "price": Decimal("522.5"),
        "reason": "contract",
    }
    draft = adjusting.add_line(draft, user=user, **extra)
    assert draft.net == Decimal("822.5")
    review.approve(draft, revision=draft.revision, user=user)
    creating.create_due()
    assert fresh(draft).state == "created"
    return fresh(draft)


def printed(invoice: Invoice) -> list[tuple[Any, ...]]:
    rows = InvoiceLine.objects.filter(invoice=invoice).order_by("position", "pk")
    return [
        (
            row.entry_id,
            row.notes,
            row.billed_hours,
            row.rate,
            row.amount,
            row.original_hours,
            row.meaning,
            row.adjust_reason,
        )
        for row in rows
    ]


def test_billed_again_it_is_a_copy_to_the_cent_whatever_the_rules_say_now(world: World, user: User) -> None:
    invoice = written_over(world, user)
    RuleSet.objects.update(rounding="hour", min_billable_hours=5)
    Rate.objects.update(amount=200)
    ending.request_end(invoice, seal=invoice.seal, user=user, note="wrong PO number", again=Again.COPY)
    creating.create_due()

    copy = Invoice.objects.get(state="draft")
    assert printed(copy) == printed(invoice)
    assert (copy.net, copy.tax, copy.gross) == (invoice.net, invoice.tax, invoice.gross)
    assert (copy.run, copy.run.state, copy.is_stale) == (invoice.run, "in_review", False)
    assert {row.state for row in TimeEntry.objects.all()} == {"claimed"}
    with pytest.raises(NotAllowed, match="being written to Invoice Ninja"):  # its tasks are still on the ended one
        review.approve(copy, revision=copy.revision, user=user)
    drain_all()
    assert {task["invoice_id"] for task in world.tasks()} == {""}
    review.approve(fresh(copy), revision=fresh(copy).revision, user=user)
    drain_all()
    living = [row for row in world.invoices() if not row["is_deleted"]]
    assert [Decimal(str(row["amount"])) for row in living] == [invoice.gross]
    assert residues() == []


def test_a_copy_of_a_sent_invoice_takes_its_tasks_off_the_cancelled_one(world: World, user: User) -> None:
    """Cancelling leaves the tasks linked; the entries are claimed by the copy already when they are set free."""
    invoice = sent(world, 2, 3)
    ending.request_end(invoice, seal=invoice.seal, user=user, note="wrong address", again=Again.COPY)
    drain_all()
    assert {task["invoice_id"] for task in world.tasks()} == {""}
    copy = Invoice.objects.get(state="draft")
    review.approve(copy, revision=copy.revision, user=user)
    drain_all()
    assert fresh(copy).state == "created"
    assert {task["invoice_id"] for task in world.tasks()} == {fresh(copy).remote.remote_id}


def test_a_copy_of_what_taiga_changed_since_is_stale(world: World, user: User) -> None:
    invoice = created_invoice(world, 2)
    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE, again=Again.COPY)
    entry = TimeEntry.objects.get()
    world.set_values(entry.item.taiga_id, hours=3)
    world.read(entry.item.taiga_id)
    creating.create_due()
    copy = Invoice.objects.get(state="draft")
    assert (copy.net, copy.is_stale) == (Decimal(150), True)
    assert "hours 2 → 3" in copy.stale_sentence


def test_priced_anew_the_lines_by_hand_wait_for_the_next_draft(world: World, user: User) -> None:
    invoice = written_over(world, user)
    now = repricing.amounts_now(invoice.lines.filter(is_voided=False))
    assert sum(row.amount for row in now.values()) == Decimal("822.5")
    RuleSet.objects.update(min_billable_hours=4)
    now = repricing.amounts_now(invoice.lines.filter(is_voided=False))
    assert sorted((row.amount, row.why) for row in now.values()) == [
        (Decimal(0), "Billed otherwise before?"), (Decimal(300), ""), (Decimal("522.5"), ""),
    ]  # fmt: skip
    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE)
    creating.create_due()
    assert [line.amount for line in carrying.waiting()] == [Decimal("522.5")]
    assert sorted((row.state, row.amount) for row in TimeEntry.objects.all()) == [("held", 300), ("ready", 300)]


def test_a_write_off_books_what_was_on_the_invoice(world: World, user: User) -> None:
    invoice = written_over(world, user)
    RuleSet.objects.update(min_billable_hours=5)
    ending.request_end(invoice, seal=invoice.seal, user=user, note=NOTE, again=Again.WRITE_OFF)
    creating.create_due()
    drain_all()
    entries = TimeEntry.objects.order_by("amount")
    assert [(row.state, row.amount) for row in entries] == [("written_off", 75), ("written_off", 225)]
    assert (carrying.waiting().count(), residues()) == (0, [])


def test_hours_of_an_invoice_cancelled_by_hand_can_be_written_off(world: World, user: User) -> None:
    invoice = sent(world, 2)
    world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [fresh(invoice).remote.remote_id]})
    work()
    (question,) = releasing.questions()
    assert str(invoice.pk) in question.url
    assert releasing.release(fresh(invoice), user=user, note=NOTE, again=Again.WRITE_OFF) == 1
    work()
    (task,) = world.tasks()
    assert (TimeEntry.objects.get().state, task["invoice_id"], bool(task["archived_at"])) == ("written_off", "", True)
    assert "Invoice Status" not in world.named_values(TimeEntry.objects.get().item.taiga_id)
    assert residues() == []


def test_a_task_of_an_invoice_that_lives_again_is_not_taken_off_it(world: World, user: User) -> None:
    invoice = sent(world, 2)
    remote_id = fresh(invoice).remote.remote_id
    world.api_ninja("POST", "/invoices/bulk", {"action": "delete", "ids": [remote_id]})
    work()
    releasing.release(fresh(invoice), user=user, note=NOTE)
    world.api_ninja("POST", "/invoices/bulk", {"action": "restore", "ids": [remote_id]})
    task = world.tasks()[0]
    body = {"time_log": task["time_log"], "number": task["number"], "client_id": task["client_id"]}
    world.api_ninja("PUT", f"/tasks/{task['id']}", {**body, "invoice_id": remote_id})
    push.push_due()
    record = RemoteRecord.objects.get(kind="task")
    assert (record.state, record.reason) == ("attention", "lives_again")
    assert world.tasks()[0]["invoice_id"] == remote_id


def test_pieces_of_several_cycles_are_given_back_newest_first() -> None:
    pieces = [settled.Piece(1, Decimal("2.00"), Decimal(95), Decimal("190.00")),
              settled.Piece(2, Decimal("0.50"), Decimal(110), Decimal("55.00"))]  # fmt: skip
    found = settled.deltas(pieces, Decimal("1.00"), None, "EUR")
    assert [(part.entry_id, part.hours, part.amount) for part in found] == [
        (2, Decimal("-0.50"), Decimal("-55.00")),
        (1, Decimal("-1.00"), Decimal("-95.00")),
    ]
    assert settled.total(settled.deltas(pieces, Decimal(0), None, "EUR")) == Decimal("-245.00")
    assert settled.total(settled.deltas(pieces, Decimal("2.50"), Decimal(100), "EUR")) == Decimal("5.00")
    assert settled.total(settled.deltas(pieces, Decimal("3.00"), None, "EUR")) == Decimal("55.00")


@pytest.mark.parametrize(
    ("when", "steps"),
    [
        ("pushed", ["Invoiced", "Invoiced", "Invoiced", "Invoiced", "Invoiced"]),
        ("approved", ["Invoiced", "Invoiced", "Invoiced", "Pending Invoice", "Invoiced"]),
        ("sent", ["Pending Invoice", "Invoiced", "Invoiced", "Pending Invoice", "Pending Invoice"]),
    ],
)
def test_taigas_status_follows_each_step_and_back(world: World, user: User, when: str, steps: list[str]) -> None:
    RuleSet.objects.update(taiga_invoiced_when=when)
    invoice = created_invoice(world, 2, 3)
    drain_all()
    kept, credited = TimeEntry.objects.order_by("pk")

    def status(entry: TimeEntry) -> Any:
        return world.named_values(entry.item.taiga_id)["Invoice Status"]

    seen = [status(kept)]
    sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)
    drain_all()
    payments.poll()
    seen.append(status(kept))
    difference = change(world, credited, billable=False)
    decisions.ignore_difference(difference, user=user, note=NOTE)
    drain_all()
    seen.append(status(credited))  # on an invoice, whatever became of the tick
    ending.request_end(fresh(invoice), seal=invoice.seal, user=user, note=NOTE)
    work()
    seen.append(status(kept))
    assert "Invoice Status" not in world.named_values(credited.item.taiga_id)  # not billable: not ours any more
    built(month(2025, 12))
    draft = Invoice.objects.get(state="draft")
    review.approve(draft, revision=draft.revision, user=user)
    work()
    seen.append(status(kept))
    assert seen == steps
    assert residues() == []
