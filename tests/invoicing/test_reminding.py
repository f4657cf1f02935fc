"""One reminder by hand: asked for, checked again right before the call, mailed at most once, proven by message id."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing_console import states
from billing_console.errors import ClaimLost, NotAllowed
from billing_console.states import InvoiceState, ReminderState
from invoicing import payments, reminding, reminding_rules, sending
from invoicing.models import Invoice, Reminder, ReminderText
from sync.models import Transition, UpstreamCall, UpstreamGate
from tests.invoicing.world import make_user
from tests.outbound import created_invoice, fresh, states_of
from tests.standins import World

pytestmark = pytest.mark.django_db

GROSS = Decimal("408.38")  # 4.5 h × 75 and 21 %; due on 1 February
FEBRUARY = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)
EMAIL = {"method": "POST", "path": "/api/v1/emails"}


@pytest.fixture
def owed(world: World) -> Invoice:
    """Mailed on 2 January, nine days overdue now."""
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    world.go_to(FEBRUARY)
    payments.poll()
    row: Invoice = fresh(invoice)
    assert (row.state, row.balance) == (InvoiceState.SENT, GROSS)
    return row


def ask(invoice: Invoice, text: str = ReminderText.FIRST, balance: Decimal = GROSS) -> Reminder:
    return reminding.request_reminder(invoice, text=text, balance=balance, user=make_user("Approver"))


def reminders_there(world: World) -> list[tuple[str, str]]:
    """(address, text) of every reminder that left."""
    mails = world.ninja.state()["mails"]
    return [(mail["to"], mail["template"]) for mail in mails if mail["template"].startswith("reminder")]


def bulk(world: World, invoice: Invoice, action: str) -> None:
    world.api_ninja("POST", "/invoices/bulk", {"action": action, "ids": [invoice.remote.remote_id]})


def save(world: World, invoice: Invoice, **changes: str) -> None:
    """What Invoice Ninja's own schedule writes on the invoice."""
    with world.ninja.store.memory.transaction():
        world.ninja.store.save("invoices", invoice.remote.remote_id, **changes)


def worked() -> Reminder:
    reminding.remind_due()
    return Reminder.objects.latest("pk")


def later(**changes: Any) -> None:
    """Pauses and leases are over."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Reminder.objects.update(not_before=None, lease_until=past, **changes)


@pytest.mark.parametrize("text", ReminderText.values)
def test_it_leaves_once_with_its_text_and_is_proven(world: World, owed: Invoice, text: str) -> None:
    reminder = ask(owed, text)
    assert reminders_there(world) == []  # asking is a row

    done = worked()

    assert reminders_there(world) == [("billing@acme.example", text)]
    assert (done.state, done.proven, done.unproven) == (ReminderState.SENT, ["billing@acme.example"], [])
    assert states_of(reminder) == ["pending", "sending", "sent"]
    assert done.sentence == "mailed to billing@acme.example, proven by message id"
    assert done.reminded_at == FEBRUARY
    assert reminding.remind_due() == 0
    assert len(reminders_there(world)) == 1
    assert fresh(owed).state == InvoiceState.SENT


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": "paid", "balance": 0}, "it is “Paid”, nothing is owed"),
        ({"state": "created"}, "it is “Created”, nothing is owed"),
        ({"state": "cancelled"}, "it is “Cancelled”, nothing is owed"),
        ({"balance": Decimal("100")}, "100.00 EUR is open by now. Look at it again."),
        ({"last_mail_on": dt.date(2026, 2, 4)}, "left on 4 Feb 2026. Another one may leave from 11 Feb 2026 on"),
        ({"reminded_on": [None, "2026-02-05", None, "2026-02-05"]}, "left on 5 Feb 2026"),
        ({"next_reminder_at": FEBRUARY + dt.timedelta(hours=23)}, "Invoice Ninja reminds of it by itself"),
        ({"next_reminder_at": FEBRUARY - dt.timedelta(hours=1)}, "Invoice Ninja reminds of it by itself"),
    ],
)
def test_what_is_not_owed_or_too_early_is_refused(world: World, owed: Invoice, changes: Any, why: str) -> None:
    Invoice.objects.update(**changes)

    with pytest.raises(NotAllowed) as refused:
        ask(owed)

    assert why in refused.value.sentence.replace("\u00a0", " ")
    assert not Reminder.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"last_mail_on": dt.date(2026, 2, 3)},
        {"reminded_on": ["2026-01-09", None, None, "2026-01-09"]},
        {"next_reminder_at": FEBRUARY + dt.timedelta(hours=25)},
        {"next_reminder_at": FEBRUARY - dt.timedelta(days=40)},  # planned once, and never seen to leave
    ],
)
def test_after_the_gap_it_may_leave(world: World, owed: Invoice, changes: Any) -> None:
    Invoice.objects.update(**changes)
    assert ask(owed).state == ReminderState.PENDING


def test_the_gap_is_a_setting_and_counts_our_own_reminders(world: World, owed: Invoice, settings: Any) -> None:
    ask(owed)
    worked()
    Invoice.objects.update(last_mail_on=None)
    with pytest.raises(NotAllowed, match="left on 10 Feb 2026"):
        ask(owed)

    settings.REMINDER_GAP_DAYS = 0
    assert ask(owed).state == ReminderState.PENDING


def test_a_second_click_finds_the_first(world: World, owed: Invoice) -> None:
    ask(owed)
    with pytest.raises(NotAllowed, match="is on its way, or waits for a decision"):
        ask(owed)
    worked()
    assert len(reminders_there(world)) == 1


def test_no_other_text_than_the_four(world: World, owed: Invoice) -> None:
    with pytest.raises(NotAllowed, match="Choose one"):
        ask(owed, "invoice")


# --- the state right before the call ------------------------------------------------------------------------------


def pays_all(world: World, invoice: Invoice) -> None:
    bulk(world, invoice, "mark_paid")


def pays_a_part(world: World, invoice: Invoice) -> None:
    part = {"invoice_id": invoice.remote.remote_id, "amount": 300}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 300, "invoices": [part]})


def is_cancelled(world: World, invoice: Invoice) -> None:
    bulk(world, invoice, "cancel")


def is_deleted(world: World, invoice: Invoice) -> None:
    bulk(world, invoice, "delete")


def was_reminded_by_the_schedule(world: World, invoice: Invoice) -> None:
    save(world, invoice, reminder1_sent="2026-02-10", reminder_last_sent="2026-02-10")


def was_mailed_by_hand(world: World, invoice: Invoice) -> None:
    body = {"entity": "invoice", "entity_id": invoice.remote.remote_id, "template": "email_template_invoice"}
    world.api_ninja("POST", "/emails", body)


def loses_its_address(world: World, invoice: Invoice) -> None:
    client = world.api_ninja("GET", "/clients/client_abc123")["data"]
    body = {"contacts": [{**client["contacts"][0], "email": ""}], "settings": {"currency_id": "3"}}
    world.api_ninja("PUT", "/clients/client_abc123", body)


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (pays_all, "is paid, cancelled or deleted in Invoice Ninja by now; nobody was reminded"),
        (is_cancelled, "is paid, cancelled or deleted"),
        (is_deleted, "is paid, cancelled or deleted"),
        (pays_a_part, "108.38 EUR of invoice 0001 is open by now; nobody was reminded"),
        (was_reminded_by_the_schedule, "The last mail about it left on 10 Feb 2026"),
        (was_mailed_by_hand, "The last mail about it left on 10 Feb 2026"),
        (loses_its_address, "has no e-mail address. Add it in Invoice Ninja, then try again"),
    ],
)
def test_the_debt_is_read_again_right_before_the_call(
    world: World, owed: Invoice, meanwhile: Callable[[World, Invoice], None], why: str
) -> None:
    ask(owed)
    meanwhile(world, owed)

    done = worked()

    assert done.state == ReminderState.REFUSED
    assert why in done.sentence.replace("\u00a0", " ")
    assert reminders_there(world) == []
    if meanwhile is pays_all:
        assert fresh(owed).state == InvoiceState.PAID  # what was just read is kept


# --- outcomes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reminded"),
    [
        ({"kind": "lost_answer"}, 1),
        ({"kind": "status", "status": 500, "after": True}, 1),
        ({"kind": "status", "status": 500}, 0),
        ({"kind": "refused"}, 0),
    ],
)
def test_an_unknown_outcome_is_proven_or_asks_a_person_and_is_never_repeated(
    world: World, owed: Invoice, fault: dict[str, Any], reminded: int
) -> None:
    ask(owed)
    world.fail("ninja", **EMAIL, **fault, count=1)

    assert worked().state == ReminderState.SENDING
    for _round in range(3):
        later()
        reminding.remind_due()
    assert len(reminders_there(world)) == reminded
    if reminded:
        assert worked().state == ReminderState.SENT
        return
    later(called_at=timezone.now() - dt.timedelta(hours=1))
    asking = worked()
    assert asking.state == ReminderState.ATTENTION
    assert "no proof that it left. Invoice Ninja has no new message id for billing@acme.example" in asking.sentence
    with pytest.raises(NotAllowed, match="waits for a decision"):
        ask(owed)
    later()
    assert reminding.remind_due() == 1  # it is only looked at
    assert fresh(asking).state == ReminderState.ATTENTION
    assert fresh(asking).not_before > timezone.now()
    assert reminders_there(world) == []


@pytest.mark.parametrize(("arrived", "state"), [(True, "sent"), (False, "refused")])
def test_a_person_decides_with_a_reason(world: World, owed: Invoice, arrived: bool, state: str) -> None:
    reminder = ask(owed)
    Reminder.objects.update(state=ReminderState.ATTENTION, reminded_at=FEBRUARY)
    user = make_user("Approver")
    with pytest.raises(NotAllowed, match="how you know"):
        reminding.decide(reminder, arrived=arrived, user=user, note=" ")

    assert reminding.decide(reminder, arrived=arrived, user=user, note="I called them") is arrived
    if not arrived:
        with pytest.raises(NotAllowed, match="said already"):
            reminding.decide(reminder, arrived=False, user=user, note="twice")
        reminding.remind_due()
    assert Transition.objects.filter(model="invoicing.reminder", row_id=reminder.pk).latest("pk").user == user

    assert (fresh(reminder).state, fresh(reminder).sentence) == (state, "I called them")
    with pytest.raises(NotAllowed, match="does not wait"):
        reminding.decide(reminder, arrived=arrived, user=user, note="again")
    if arrived:
        with pytest.raises(NotAllowed, match="left on 10 Feb"):
            ask(owed)
    else:
        assert ask(owed).state == ReminderState.PENDING


@pytest.mark.parametrize(
    "fault",
    [{"status": 400, "body": {"message": "Duplicate request"}}, {"status": 429}],
    ids=["duplicate", "throttled"],
)
def test_what_surely_was_not_done_waits_and_is_mailed_once(world: World, owed: Invoice, fault: dict[str, Any]) -> None:
    reminder = ask(owed)
    world.fail("ninja", kind="status", **EMAIL, **fault, count=1)

    waiting = worked()

    assert (waiting.state, waiting.called_at, waiting.reminded_at, waiting.mails) == (
        ReminderState.PENDING, None, None, [],
    )  # fmt: skip
    assert waiting.not_before > timezone.now() + dt.timedelta(seconds=1 if "body" in fault else -1)
    UpstreamGate.objects.update(resume_at=None)
    later()
    assert worked().state == ReminderState.SENT
    assert states_of(reminder) == ["pending", "sending", "pending", "sending", "sent"]
    assert len(reminders_there(world)) == 1


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "status", "status": 422, "body": {"errors": {"email_type": ["No."]}}}],
)
def test_what_surely_did_not_leave_is_said_and_not_repeated(world: World, owed: Invoice, fault: dict[str, Any]) -> None:
    ask(owed)
    world.fail("ninja", **EMAIL, **fault, count=1)

    assert worked().state == ReminderState.REFUSED
    later()
    assert reminding.remind_due() == 0
    assert reminders_there(world) == []


def test_a_server_that_cannot_be_read_is_asked_again_later(world: World, owed: Invoice) -> None:
    ask(owed)
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/invoices/", count=1)

    waiting = worked()

    assert (waiting.state, waiting.reminded_at) == (ReminderState.PENDING, None)
    assert "maintenance" in waiting.sentence
    later()
    assert worked().state == ReminderState.SENT
    assert len(reminders_there(world)) == 1


def test_a_fault_of_our_own_waits_with_a_sentence_and_reminds_once(
    world: World, owed: Invoice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.RETRY_BASE_SECONDS = 600
    ask(owed)

    def break_down(*args: Any, **more: Any) -> Any:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(reminding, "_step", break_down)
    waiting = worked()

    assert (waiting.state, waiting.lease_until) == (ReminderState.PENDING, None)
    assert waiting.sentence == "The console failed on this; its log says why. It is tried again by itself."
    assert any("nobody thought" in str(record.exc_info) for record in caplog.records)
    monkeypatch.undo()
    later()
    assert worked().state == ReminderState.SENT
    assert len(reminders_there(world)) == 1


def test_of_two_workers_one_calls(world: World, owed: Invoice) -> None:
    ask(owed)
    ours = reminding._claim_next()
    assert ours is not None
    assert reminding._claim_next() is None
    later()
    assert worked().state == ReminderState.SENT  # the other took over after the lease

    with pytest.raises(ClaimLost):
        reminding._step(ours)  # wakes with the row as it was

    assert len(reminders_there(world)) == 1
    assert worked().state == ReminderState.SENT


def test_a_sleeper_without_lease_enough_mails_nothing(world: World, owed: Invoice, settings: Any) -> None:
    ask(owed)
    settings.LEASE_SECONDS = settings.CALL_DEADLINE_SECONDS  # nothing is left once it is read
    assert worked().state == ReminderState.PENDING
    assert reminders_there(world) == []


def test_at_most_six_calls_for_one(world: World, owed: Invoice) -> None:
    ask(owed)
    known = UpstreamCall.objects.latest("pk").pk
    worked()
    calls = UpstreamCall.objects.filter(pk__gt=known)
    assert [(call.method, call.path.rpartition("/")[0]) for call in calls.order_by("pk")] == [
        ("GET", "/invoices"), ("GET", "/clients"), ("POST", "/activities"), ("POST", ""), ("GET", "/invoices"),
        ("POST", "/activities"),
    ]  # fmt: skip


# --- which text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by_schedule", "by_hand", "text"),
    [
        ([], [], "reminder1"),
        ([None, None, None, None], [], "reminder1"),
        (["2026-01-05", None, None, "2026-01-05"], [], "reminder2"),
        ([None, None, None, None], ["reminder1"], "reminder2"),
        (["2026-01-05", None, None, "2026-01-05"], ["reminder2"], "reminder3"),
        (["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-07"], [], "reminder_endless"),
    ],
)
def test_the_next_text_is_the_first_that_was_not_used(
    world: World, owed: Invoice, by_schedule: list[Any], by_hand: list[str], text: str
) -> None:
    Invoice.objects.update(reminded_on=by_schedule)
    for used in by_hand:
        Reminder.objects.create(invoice=owed, text=used, balance=GROSS, state=ReminderState.SENT)

    assert reminding_rules.next_text(fresh(owed)) == text


def test_the_poll_takes_over_what_the_schedule_did_and_plans(world: World, owed: Invoice) -> None:
    days = {"reminder1_sent": "2026-02-08", "reminder_last_sent": "2026-02-08"}
    save(world, owed, **days, next_send_date="2026-02-15 05:00:00")

    payments.poll()

    found = fresh(owed)
    assert found.reminded_on == ["2026-02-08", None, None, "2026-02-08"]
    assert found.next_reminder_at == dt.datetime(2026, 2, 15, 5, 0, tzinfo=dt.UTC)
    assert found.last_mail_on == dt.date(2026, 1, 2)


def test_every_state_has_its_arrows() -> None:
    assert set(states.REMINDER) == set(ReminderState.values)
