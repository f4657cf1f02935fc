"""An invoice's worker is killed at every arrow: the next round ends in exactly one invoice, and at most one mail.

All other arrows of an invoice are one transaction without a call, done wholly or not at all.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing_console import clock, states
from billing_console.states import EntryState, InvoiceState
from invoicing import adopting, creating, ending, inviting, redating, sending
from invoicing.models import Deviation, Invoice, Sending
from sync import attention, discovery
from sync.models import TimeEntry
from tests.crash.conftest import Nursery, kill_when
from tests.crash.rounds import INVOICE, KILLED, MOMENTS, RECORD, approve_one, arrows_of, assert_one_invoice_each, sweep
from tests.invoicing.world import built, make_client, make_project, make_user, make_work
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

POST_INVOICE = {"method": "POST", "path": "/api/v1/invoices$"}
BULK = {"method": "POST", "path": "/api/v1/invoices/bulk"}
EMAIL = {"method": "POST", "path": "/api/v1/emails"}

# Arrows of an invoice that a server is asked for in between; all others are one transaction without a call.
BESIDE_CALLS = {("approved", "created"), ("sending", "sent"), ("sending", "attention")}


def test_what_is_asked_of_a_server_is_an_arrow() -> None:
    assert arrows_of(states.INVOICE) >= BESIDE_CALLS


# --- invoices -------------------------------------------------------------------------------------------------------


def test_a_creation_killed_while_the_server_works_ends_in_one_invoice(near: World, nursery: Nursery) -> None:
    approve_one(near, 0)
    near.fail("ninja", kind="delay", seconds=3, after=True, **POST_INVOICE)

    code = nursery.run("invoicing.creating.create_due", middle=kill_when(lambda: len(near.invoices()) == 1))

    assert code == KILLED
    sweep("invoice")
    assert_one_invoice_each(near)


def test_a_creation_killed_at_the_invoices_own_arrow_ends_in_one_invoice(near: World, nursery: Nursery) -> None:
    for number, moment in enumerate(MOMENTS):  # in the same transaction as the proof
        approve_one(near, number)
        die_at = (INVOICE, "approved", "created", moment)
        assert nursery.run("invoicing.creating.create_due", die_at=die_at) == KILLED
        sweep("invoice")
        assert_one_invoice_each(near)


def test_a_new_date_killed_at_every_moment_ends_in_one_invoice_with_that_date(near: World, nursery: Nursery) -> None:
    invoice = approve_one(near, 0)
    creating.create_due()
    later = dt.datetime(2026, 1, 10, 9, 0, tzinfo=dt.UTC)
    for number, moment in enumerate((*MOMENTS, "in the call")):
        later += dt.timedelta(days=1)
        with clock.set_to(later):
            redating.redate(fresh(invoice), seal=fresh(invoice).seal, user=make_user("Approver"))
        if moment in MOMENTS:
            die_at = (RECORD, "in_flight", "synced", moment)
            code = nursery.run("invoicing.creating.create_due", die_at=die_at)
        else:
            near.fail("ninja", kind="delay", seconds=3, after=True, method="PUT", path="/api/v1/invoices/")
            wanted = fresh(invoice).invoice_date.isoformat()
            is_there = kill_when(lambda wanted=wanted: near.invoices()[0]["date"] == wanted)
            code = nursery.run("invoicing.creating.create_due", middle=is_there)
        assert code == KILLED
        sweep("invoice")
        assert_one_invoice_each(near)
        row = fresh(invoice)
        assert near.invoices()[0]["date"] == f"2026-01-{11 + number}" == row.invoice_date.isoformat()
        assert (row.remote.state, row.remote.synced_revision) == ("synced", number + 2)


# --- edited by hand -------------------------------------------------------------------------------------------------


def edited(world: World, number: int) -> Invoice:
    """Created, then given 2 h at 80 by hand, and found so on the way to a mail."""
    invoice = ask(world, number)
    there = world.invoices()[-1]
    line = {**there["line_items"][0], "quantity": 2, "cost": 80}
    world.api_ninja("PUT", f"/invoices/{there['id']}", {"line_items": [line]})
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.ATTENTION
    return invoice


@pytest.mark.parametrize("answer", ["adopt", "overwrite"])
def test_an_answer_killed_at_its_arrow_is_given_wholly_or_not(near: World, nursery: Nursery, answer: str) -> None:
    for number, moment in enumerate(MOMENTS):
        invoice = edited(near, number)
        deviation = Deviation.objects.get(invoice=invoice, decision="")
        before = (fresh(invoice).seal, fresh(invoice).net)

        die_at = (INVOICE, "attention", "created", moment)
        assert nursery.run("tests.crash.acts.settle", deviation.pk, answer, die_at=die_at) == KILLED

        row, is_done = fresh(invoice), moment == "after"
        assert (row.state, row.remote.state) == (("created", "pending") if is_done else ("attention", "synced"))
        assert ((row.seal, row.net) != before) is (is_done and answer == "adopt")
        assert (fresh(deviation).decision != "") is is_done
        sweep("invoice")
    assert fresh(invoice).remote.state == "synced"
    assert near.invoices()[-1]["amount"] == (Decimal("193.6") if answer == "adopt" else Decimal("408.38"))
    assert near.mails() == []


def test_an_overwriting_killed_while_the_server_works_ends_as_sealed(near: World, nursery: Nursery) -> None:
    invoice = edited(near, 0)
    adopting.overwrite(Deviation.objects.get(), user=make_user("Approver"), reason="ours counts")
    near.fail("ninja", kind="delay", seconds=3, after=True, method="PUT", path="/api/v1/invoices/")

    is_there = kill_when(lambda: near.invoices()[0]["amount"] == Decimal("408.38"))
    assert nursery.run("invoicing.creating.create_due", middle=is_there) == KILLED

    sweep("invoice")
    row = fresh(invoice)
    assert (row.state, row.remote.state) == (InvoiceState.CREATED, "synced")
    assert_one_invoice_each(near)


# --- mails ----------------------------------------------------------------------------------------------------------


def sweep_sendings(*, patience: bool = True) -> None:
    """Leases and pauses are over; without `patience` also the time that a proof may take."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Sending.objects.exclude(lease_until=None).update(lease_until=past)
    Sending.objects.update(not_before=None)
    if not patience:
        Sending.objects.filter(finished_at=None).exclude(called_at=None).update(called_at=past - dt.timedelta(hours=1))
    sending.send_due()


def ask(world: World, number: int) -> Invoice:
    invoice = approve_one(world, number)
    creating.create_due()
    row: Invoice = fresh(invoice)
    sending.request_sending(row, seal=row.seal, user=None)
    return row


def test_a_sending_killed_at_every_moment_ends_in_one_mail(near: World, nursery: Nursery) -> None:
    for number, moment in enumerate(MOMENTS):
        invoice = ask(near, number)
        die_at = (INVOICE, "sending", "sent", moment)
        assert nursery.run("invoicing.sending.send_due", die_at=die_at) == KILLED
        sweep_sendings()
        assert fresh(invoice).state == InvoiceState.SENT
        assert len(near.mails()) == number + 1


def test_a_sending_killed_while_the_server_mails_is_proven(near: World, nursery: Nursery) -> None:
    invoice = ask(near, 0)
    near.fail("ninja", kind="delay", seconds=3, after=True, **EMAIL)

    assert nursery.run("invoicing.sending.send_due", middle=kill_when(lambda: len(near.mails()) == 1)) == KILLED

    sweep_sendings()
    assert fresh(invoice).state == InvoiceState.SENT
    assert near.mails() == ["billing@acme.example"]


def test_a_sending_killed_while_it_waits_for_its_slot_was_never_called(near: World, nursery: Nursery) -> None:
    invoice = ask(near, 0)

    assert nursery.run("tests.crash.acts.die_waiting_for_a_slot", Sending.objects.get().pk) == KILLED

    assert Sending.objects.get().is_called is False
    sweep_sendings()
    assert fresh(invoice).state == InvoiceState.SENT
    assert near.mails() == ["billing@acme.example"]


def test_a_sending_killed_between_its_commit_and_the_call_asks_a_person(near: World, nursery: Nursery) -> None:
    invoice = ask(near, 0)
    row = Sending.objects.get()

    assert nursery.run("tests.crash.acts.commit_to_calling_and_die", row.pk) == KILLED

    sweep_sendings()
    assert fresh(invoice).state == InvoiceState.SENDING
    sweep_sendings(patience=False)
    assert fresh(invoice).state == InvoiceState.ATTENTION
    assert near.mails() == []


@pytest.mark.parametrize("to", ["sent", "created"])
def test_a_last_look_killed_at_its_arrow_is_taken_once_more(near: World, nursery: Nursery, to: str) -> None:
    near.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    for number, moment in enumerate(MOMENTS):
        invoice = ask(near, number)
        sending.send_due()
        sweep_sendings(patience=False)
        assert fresh(invoice).state == InvoiceState.ATTENTION
        if to == "sent":
            near.ninja.seed({"run_mail_queue": True})
        sending.decide(fresh(invoice), was_sent=False, user=make_user("Approver"), note="they have nothing")

        die_at = (INVOICE, "attention", to, moment)
        assert nursery.run("invoicing.sending.send_due", die_at=die_at) == KILLED
        sweep_sendings()

        assert fresh(invoice).state == to
        assert len(near.mails()) == number + 1


def test_a_refusal_killed_at_its_arrow_is_refused_once_more_and_mails_nothing(near: World, nursery: Nursery) -> None:
    client = near.api_ninja("GET", "/clients/client_abc123")["data"]
    contacts = [{**client["contacts"][0], "email": ""}]
    near.api_ninja("PUT", "/clients/client_abc123", {"contacts": contacts, "settings": {"currency_id": "3"}})
    for number, moment in enumerate(MOMENTS):
        invoice = ask(near, number)
        die_at = (INVOICE, "sending", "attention", moment)
        assert nursery.run("invoicing.sending.send_due", die_at=die_at) == KILLED
        sweep_sendings()
        assert fresh(invoice).state == InvoiceState.ATTENTION
    assert near.mails() == []


# --- every other arrow of an invoice --------------------------------------------------------------------------------


def test_every_other_arrow_of_an_invoice_is_done_wholly_or_not(nursery: Nursery, db: None) -> None:
    make_work(make_project(make_client()), "1")
    built()
    (invoice,) = Invoice.objects.all()
    for source, target in sorted(arrows_of(states.INVOICE) - BESIDE_CALLS):
        for moment in MOMENTS:
            Invoice.objects.filter(pk=invoice.pk).update(state=source, note="", seal="a" * 64)
            trail = len(states_of(invoice))

            die_at = (INVOICE, source, target, moment)
            assert nursery.run("tests.crash.acts.move_invoice", invoice.pk, target, die_at=die_at) == KILLED

            row = fresh(invoice)
            is_done = moment == "after"
            assert (row.state, row.note) == ((target, "moved") if is_done else (source, ""))
            assert len(states_of(invoice)) == trail + is_done


# --- the end of an invoice ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sent", [False, True])
def test_an_end_killed_at_every_moment_ends_in_one_dead_invoice_and_free_hours(
    near: World, nursery: Nursery, is_sent: bool
) -> None:
    for number, moment in enumerate((*MOMENTS, "in the call")):
        invoice = approve_one(near, number)
        creating.create_due()
        if is_sent:
            remote_id = fresh(invoice).remote.remote_id
            near.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [remote_id]})
            Invoice.objects.filter(pk=invoice.pk).update(state=InvoiceState.SENT)
        ending.request_end(fresh(invoice), seal=invoice.seal, user=make_user("Approver"), note="wrong client")
        if moment in MOMENTS:
            die_at = (RECORD, "in_flight", "synced", moment)
            code = nursery.run("invoicing.creating.create_due", die_at=die_at)
        else:
            near.fail("ninja", kind="delay", seconds=3, after=True, **BULK)
            has_ended = kill_when(lambda: has_died(near.invoices()[-1]))
            code = nursery.run("invoicing.creating.create_due", middle=has_ended)
        assert code == KILLED
        sweep("invoice")
        assert [has_died(row) for row in near.invoices()] == [True] * (number + 1)
        assert fresh(invoice).state == InvoiceState.CANCELLED
        entry = TimeEntry.objects.latest("pk")
        assert entry.state == EntryState.READY
        sweep("task")
        assert {task["invoice_id"] for task in near.tasks()} == {""}
        attention.write_off_entry(entry, user=make_user("Approver"), note="so that the next month is one of its own")


def has_died(row: dict[str, Any]) -> bool:
    return bool(row["is_deleted"]) or row["status_id"] == "5"


# --- the receivers of an invoice ------------------------------------------------------------------------------------


def test_a_change_of_receivers_killed_at_every_moment_invites_exactly_who_wants_mail(
    near: World, nursery: Nursery
) -> None:
    client = near.api_ninja("GET", "/clients/client_abc123")["data"]["contacts"]
    settings = {"settings": {"currency_id": "3"}}
    for number, moment in enumerate((*MOMENTS, "in the call")):
        invoice = approve_one(near, number)
        creating.create_due()
        new = {"first_name": f"Ben {number}", "email": f"ben{number}@acme.example"}
        contacts = [*({**one, "send_email": False} for one in client), new]
        client = near.api_ninja("PUT", "/clients/client_abc123", {"contacts": contacts, **settings})["data"]["contacts"]
        discovery.refresh_invoice_ninja()
        wanted = [contact["id"] for contact in client if contact["send_email"]]
        inviting.request_invitations(fresh(invoice), contacts=wanted, user=make_user("Approver"))
        if moment in MOMENTS:
            die_at = (RECORD, "in_flight", "synced", moment)
            code = nursery.run("invoicing.creating.create_due", die_at=die_at)
        else:
            near.fail("ninja", kind="delay", seconds=3, after=True, method="PUT", path="/api/v1/invoices/")
            is_done = kill_when(lambda wanted=wanted: invited(near) == wanted)  # type: ignore[misc]
            code = nursery.run("invoicing.creating.create_due", middle=is_done)
        assert code == KILLED
        sweep("invoice")
        assert invited(near) == wanted
        assert fresh(invoice).state == InvoiceState.CREATED
        assert [one["contact"] for one in fresh(invoice).invitations] == wanted
    assert len(near.invoices()) == 3


def invited(world: World) -> list[str]:
    return sorted(one["client_contact_id"] for one in world.invoices()[-1]["invitations"])
