"""An old copy of Invoice Ninja answers now and then: a replica that lags, a cache, a restored copy. Writes reach the
real one. Nothing is made twice, nothing of ours goes backwards, nobody is asked about what can be known.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing_console import clock
from billing_console.states import InvoiceState, RecordState
from invoicing import creating, credit_use, crediting, open_credits, payments, rereading, sending, twins
from invoicing.models import CreditUse, Invoice, OpenCredit, Payment, PollCursor, Twin
from sync import push, upstreams
from sync.models import Alarm, Heartbeat, RemoteRecord, TimeEntry
from tests.crash.rounds import add_entry
from tests.crash.test_arrows import ask_credit
from tests.crash.test_sleepers import ask_use
from tests.invoicing.test_payments import money_of, pay, polled
from tests.outbound import approved_invoice, created_invoice, fresh, sent_invoice, states_of
from tests.standins import World

MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
POST_INVOICE = {"method": "POST", "path": "/api/v1/invoices$"}


@pytest.fixture(autouse=True)
def patience(world: World, settings: Any) -> None:
    """Looks are a minute apart; `time_passes` says when it is over."""
    settings.LOOK_UP_AFTER_SECONDS = 60.0


def lag(world: World, path: str = "", **more: Any) -> None:
    """From now on reads are answered by what it holds now."""
    world.ninja.keep_copy()
    world.ninja.faults.add({"kind": "old_copy", "path": path, "count": None, **more})


def held(world: World, kind: str = "invoices") -> list[dict[str, Any]]:
    """What the server itself holds, whatever its copies say."""
    return [row for row in world.ninja.store[kind].all() if not row["is_deleted"]]


def caught_up(world: World) -> None:
    world.ninja.faults.clear()


def time_passes(*, by: dt.timedelta = HOUR) -> None:
    """For waits and for what was seen before; business time stands."""
    RemoteRecord.objects.exclude(not_before=None).update(not_before=timezone.now())
    for model in (Invoice, Payment):
        for row in model.objects.exclude(older_seen_at=None):
            model.objects.filter(pk=row.pk).update(older_seen_at=row.older_seen_at - by)


# --- made once -----------------------------------------------------------------------------------------------------


def test_an_invoice_whose_answer_was_lost_must_be_missing_twice_before_it_is_made_again(world: World) -> None:
    invoice = approved_invoice(world)
    lag(world)
    world.fail("ninja", kind="lost_answer", **POST_INVOICE)
    creating.create_due()
    assert fresh(invoice.remote).state == RecordState.IN_DOUBT

    creating.create_due()  # too early
    assert "looked for once more" not in fresh(invoice.remote).sentence
    time_passes()
    creating.create_due()  # the old copy has it not
    record = fresh(invoice.remote)
    assert (record.state, "looked for once more" in record.sentence) == (RecordState.IN_DOUBT, True)
    caught_up(world)
    time_passes()
    creating.create_due()

    assert fresh(invoice).state == InvoiceState.CREATED
    assert len(held(world)) == 1


def test_a_poll_that_sees_it_meanwhile_keeps_its_id_and_no_old_copy_can_deny_it(world: World) -> None:
    invoice = approved_invoice(world)
    world.ninja.keep_copy()
    world.fail("ninja", kind="lost_answer", **POST_INVOICE)
    creating.create_due()
    payments.poll()
    assert fresh(invoice.remote).remote_id == held(world)[0]["id"]
    world.ninja.faults.add({"kind": "old_copy", "count": None})

    for _round in range(4):
        time_passes()
        creating.create_due()
        assert len(held(world)) == 1
    caught_up(world)
    time_passes()
    creating.create_due()

    assert len(held(world)) == 1


def test_one_that_was_made_again_all_the_same_is_found_by_the_next_poll(world: World) -> None:
    """The old copy answers longer than both looks are apart, and other changes passed the poll's position by."""
    invoice = approved_invoice(world)
    lag(world)
    world.fail("ninja", kind="lost_answer", **POST_INVOICE)
    for _round in range(4):
        time_passes()
        creating.create_due()
    assert len(held(world)) == 2
    caught_up(world)
    world.go_to(clock.now() + 10 * MINUTE)
    PollCursor.objects.update_or_create(name="invoices", defaults={"seen_until": clock.now()})
    time_passes()
    creating.create_due()

    payments.poll()

    assert Twin.objects.filter(ended_at=None).count() == 1
    assert Alarm.objects.filter(cleared_at=None, key__startswith="twin-").count() == 1
    assert twins.LOOK_FOR_INVOICES > MINUTE
    assert fresh(invoice.remote).lost_at is not None


@pytest.mark.parametrize("share", [1, 2])
def test_what_the_server_has_just_made_is_never_made_again(world: World, share: int) -> None:
    """The answer to the POST names its id; a replica that lags does not show it when it is read back."""
    invoice = approved_invoice(world)
    lag(world, every=share)
    for _round in range(6):
        time_passes()
        creating.create_due()
        assert len(held(world)) == 1
        assert fresh(invoice).state in (InvoiceState.APPROVED, InvoiceState.CREATED)
    assert fresh(invoice.remote).remote_id == held(world)[0]["id"]
    caught_up(world)


def test_a_task_that_the_replica_does_not_show_yet_asks_nobody(world: World) -> None:
    entry = add_entry(world, "Replica")
    lag(world, path="/tasks")
    push.push_due()
    record = fresh(entry).remote_task
    assert (record.state, record.remote_id) == (RecordState.IN_DOUBT, held(world, "tasks")[0]["id"])
    caught_up(world)
    time_passes()

    push.push_due()

    assert fresh(record).state == RecordState.SYNCED
    assert "attention" not in states_of(record)
    assert len(held(world, "tasks")) == 1


def test_a_credit_that_the_replica_does_not_list_yet_is_made_once_and_asks_nobody(world: World) -> None:
    credit = ask_credit(world, 0)
    lag(world, path="/credits")
    crediting.write_due()
    assert fresh(credit.remote).state == RecordState.IN_DOUBT
    caught_up(world)
    time_passes()
    crediting.write_due()

    assert fresh(credit.remote).state == RecordState.SYNCED
    assert "attention" not in states_of(credit.remote)
    assert len(held(world, "credits")) == 1


def test_a_credit_whose_answer_was_lost_must_be_missing_twice(world: World) -> None:
    credit = ask_credit(world, 0)
    lag(world)
    world.fail("ninja", kind="lost_answer", method="POST", path="/api/v1/credits$")
    for _round in range(2):
        time_passes()
        crediting.write_due()
    assert fresh(credit.remote).state == RecordState.IN_DOUBT
    caught_up(world)
    time_passes()
    crediting.write_due()

    assert fresh(credit.remote).state == RecordState.SYNCED
    assert len(held(world, "credits")) == 1


def test_a_use_of_a_credit_that_the_replica_does_not_show_asks_nobody(world: World) -> None:
    ask_use(world, 0)
    lag(world, path="/payments")
    for _round in range(2):
        time_passes()
        credit_use.write_due()
    record = CreditUse.objects.get().remote
    assert record is not None
    assert record.state in (RecordState.IN_DOUBT, RecordState.RETRY)
    caught_up(world)
    for _round in range(2):
        time_passes()
        credit_use.write_due()

    assert fresh(record).state == RecordState.SYNCED
    assert "attention" not in states_of(record)
    assert len(held(world, "payments")) == 1


# --- nothing goes backwards ----------------------------------------------------------------------------------------


@pytest.fixture
def paid(world: World) -> Invoice:
    """Sent; the copy is of that time; then paid, and seen to be."""
    invoice = sent_invoice(world)
    world.ninja.keep_copy()
    world.go_to(clock.now() + HOUR)
    pay(world, invoice, "408.38")
    row = polled(invoice)
    assert row.state == InvoiceState.PAID
    world.go_to(clock.now() + HOUR)
    return row


def read_all_again() -> None:
    Heartbeat.objects.filter(name=rereading.HEARTBEAT).delete()
    rereading.read_due()


def older(world: World, path: str = "", **more: Any) -> None:
    world.ninja.faults.add({"kind": "old_copy", "path": path, "count": None, **more})


def test_no_payment_is_taken_back_for_an_older_answer_and_it_is_said(world: World, paid: Invoice) -> None:
    Invoice.objects.filter(pk=paid.pk).update(remote_status="3")  # so that it is read by its id
    older(world)

    polled(paid)
    read_all_again()

    assert money_of(fresh(paid)) == ("paid", Decimal("408.38"), Decimal(0))
    assert [row.amount for row in Payment.objects.filter(is_deleted=False)] == [Decimal("408.38")]
    alarm = Alarm.objects.get(cleared_at=None)
    assert "as it was at 2 Jan 2026 10:00, although we have seen it as of 2 Jan 2026 11:00" in alarm.sentence
    assert fresh(paid).older_seen_at is not None

    caught_up(world)
    polled(paid)
    assert fresh(paid).older_seen_at is None
    Heartbeat.objects.filter(name="old_copy").update(at=timezone.now() - 2 * HOUR)
    polled(paid)
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_payment_that_was_given_back_does_not_come_back_from_an_older_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    invoice = sent_invoice(world)
    payment = pay(world, invoice, "408.38")
    polled(invoice)
    world.ninja.keep_copy()
    world.go_to(clock.now() + HOUR)
    world.api_ninja("DELETE", f"/payments/{payment}")
    assert polled(invoice).state == InvoiceState.SENT
    world.go_to(clock.now() + HOUR)
    older(world)

    read_all_again()

    assert money_of(fresh(invoice)) == ("sent", Decimal(0), Decimal("408.38"))
    assert Payment.objects.get().is_deleted
    assert "payments as they were before a change" in caplog.text
    caught_up(world)
    read_all_again()
    assert Payment.objects.get().older_seen_at is None


def test_an_older_backup_that_was_restored_there_counts_after_six_hours(world: World, paid: Invoice) -> None:
    older(world)
    Invoice.objects.filter(pk=paid.pk).update(remote_status="3")
    polled(paid)
    time_passes(by=5 * HOUR)
    assert polled(paid).state == InvoiceState.PAID

    time_passes(by=HOUR)

    assert money_of(polled(paid)) == ("sent", Decimal(0), Decimal("408.38"))


def test_one_newer_answer_in_between_begins_anew(world: World, paid: Invoice) -> None:
    older(world)
    Invoice.objects.filter(pk=paid.pk).update(remote_status="3")
    polled(paid)
    time_passes(by=7 * HOUR)
    caught_up(world)
    polled(paid)
    older(world)
    Invoice.objects.filter(pk=paid.pk).update(remote_status="3")

    assert polled(paid).state == InvoiceState.PAID


def test_nothing_is_mailed_or_asked_after_an_older_answer(world: World) -> None:
    """It was changed there and seen to be; what the old copy shows is not compared with anything."""
    invoice = created_invoice(world)
    world.ninja.keep_copy()
    world.go_to(clock.now() + HOUR)
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"po_number": ""})
    payments.poll()
    older(world, path=f"/invoices/{invoice.remote.remote_id}")
    sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)

    sending.send_due()

    assert world.mails() == []
    assert fresh(invoice).state == InvoiceState.SENDING
    assert "answered with an older state" in fresh(invoice).sendings.get().sentence
    caught_up(world)
    invoice.sendings.update(not_before=None)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 1


# --- absence -------------------------------------------------------------------------------------------------------


def test_an_open_credit_that_an_older_list_lacks_is_asked_for_by_its_id(world: World) -> None:
    invoice = sent_invoice(world)
    world.ninja.keep_copy()
    line = {"product_key": "", "notes": "Goodwill", "quantity": 1, "cost": 50}
    body = {"client_id": "client_abc123", "line_items": [line]}
    credit = world.api_ninja("POST", "/credits", body)["data"]["id"]
    world.api_ninja("POST", "/credits/bulk", {"action": "mark_sent", "ids": [credit]})
    ninja = upstreams.ninja_client()
    open_credits.read(ninja)
    assert OpenCredit.objects.get().ninja_id == credit
    older(world, path=r"/credits\?")

    open_credits.read(ninja)

    assert OpenCredit.objects.get().balance == 50
    assert invoice.pk


def test_a_client_that_an_older_list_lacks_is_asked_for_by_its_id(world: World) -> None:
    entry = add_entry(world, "New client")
    world.mapping.client.is_known = False
    world.mapping.client.save()

    push.push_due()

    assert TimeEntry.objects.get(pk=entry.pk).remote_task.state == RecordState.SYNCED


def test_what_is_gone_for_good_asks_a_person_when_it_is_missing_twice(world: World) -> None:
    invoice = created_invoice(world)
    with world.ninja.store.memory.transaction():
        world.ninja.store["invoices"].delete(invoice.remote.remote_id)
    RemoteRecord.objects.filter(pk=invoice.remote_id).update(state="pending", revision=2, attempts=0)

    creating.create_due(limit=1)
    assert fresh(invoice.remote).state == RecordState.RETRY
    time_passes()
    creating.create_due(limit=1)

    record = fresh(invoice.remote)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "gone_there")
    assert "is not there any more" in record.sentence
