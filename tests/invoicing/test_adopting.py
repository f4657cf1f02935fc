"""An invoice edited by hand in Invoice Ninja: taken over, or written again; exactly what the person saw, once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import NotAllowed
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import adopting, content, creating, payments, reconcile, sending
from invoicing.models import Deviation, Invoice, InvoiceLine, Meaning
from mappings.models import Company
from mappings.rules import month
from sync.models import RemoteRecord, TimeEntry, Transition
from tests.invoicing.world import built, make_user, sweep_project
from tests.outbound import approved_invoice, created_invoice, fresh, states_of
from tests.standins import World

Lines = list[dict[str, Any]]


def edit(world: World, **changes: Any) -> None:
    """Somebody edits the (last) invoice by hand in Invoice Ninja, in a later second."""
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    world.api_ninja("PUT", f"/invoices/{world.invoices()[-1]['id']}", changes)


def lines_there(world: World) -> Lines:
    return list(world.invoices()[-1]["line_items"])


def found(world: World, invoice: Invoice) -> Deviation:
    """A mail is asked for, and refused because of the edit."""
    sending.request_sending(fresh(invoice), seal=fresh(invoice).seal, user=make_user("Approver"))
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.ATTENTION
    return Deviation.objects.get(decision="")


def adopt(deviation: Deviation, reason: str = "agreed on the phone", meaning: str = Meaning.ON_PURPOSE) -> Invoice:
    return adopting.adopt(deviation, user=make_user("Approver"), reason=reason, meaning=meaning)


def send(world: World, invoice: Invoice) -> None:
    row = fresh(invoice)
    sending.request_sending(row, seal=row.seal, user=None)
    sending.send_due()


def check_books() -> None:
    """Whatever a person took over, worked = billed to the cent."""
    residues = [identity.residue for identity in reconcile.check(month(2025, 12))]
    assert residues == [(), (), (), ()]


# --- taking over ----------------------------------------------------------------------------------------------------


def test_other_hours_and_text_are_taken_over_compared_and_mailed_once(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.0)
    first, second = lines_there(world)
    edit(world, line_items=[{**first, "quantity": 4, "notes": "Payment gateway"}, second])
    deviation = found(world, invoice)

    adopt(deviation)

    row = fresh(invoice)
    assert (row.state, row.net, row.tax, row.gross) == ("created", Decimal(450), Decimal("94.5"), Decimal("544.5"))
    assert row.seal == content.seal_of(row) != invoice.seal
    line = row.lines.order_by("position")[0]
    assert (line.notes, line.original_notes) == ("Payment gateway", "Task #2: Task 1")
    assert (line.billed_hours, line.amount, line.edit_reason) == (
        Decimal("4.00"), Decimal(300), "taken over from Invoice Ninja: agreed on the phone",
    )  # fmt: skip
    with pytest.raises(NotAllowed, match="just being changed"):
        sending.request_sending(row, seal=row.seal, user=None)

    before = world.invoices()
    creating.create_due()
    assert world.invoices() == before  # nothing was written there
    check_books()
    send(world, invoice)
    assert fresh(invoice).state == InvoiceState.SENT
    assert world.mails() == ["billing@acme.example"]


def test_who_took_over_what_and_why_is_kept(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, line_items=[{**lines_there(world)[0], "quantity": 4}])
    deviation = adopt_and_get(found(world, invoice))

    assert (deviation.decision, deviation.reason) == ("adopted", "agreed on the phone")
    assert (deviation.ours["net"], deviation.theirs["net"]) == ("337.5", "300")
    step = Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk).latest("id")
    assert (step.from_state, step.to_state, step.user) == ("attention", "created", deviation.decided_by)
    assert step.why == ("taken over from Invoice Ninja: agreed on the phone (before tax 337.500, now 300.000 EUR)")


def adopt_and_get(deviation: Deviation) -> Deviation:
    adopt(deviation)
    row: Deviation = fresh(deviation)
    return row


def test_the_newest_answer_says_what_other_hours_mean(world: World) -> None:
    invoice = created_invoice(world)
    for hours, meaning in ((4, Meaning.ON_PURPOSE), (5, Meaning.TAIGA_IS_WRONG)):
        edit(world, line_items=[{**lines_there(world)[0], "quantity": hours}])
        adopt(found(world, invoice), meaning=meaning)
        creating.create_due()
        assert fresh(invoice).lines.get().meaning == meaning


def test_a_line_added_by_hand_becomes_a_line_without_work(world: World) -> None:
    invoice = created_invoice(world)
    hosting = {"notes": "Hosting", "quantity": 1, "cost": 50, "product_key": "Hosting", "type_id": "1"}
    edit(world, line_items=[hosting, *lines_there(world)])

    adopt(found(world, invoice))
    creating.create_due()

    row = fresh(invoice)
    assert [(line.notes, line.entry_id is None, line.amount) for line in row.lines.order_by("position")] == [
        ("Hosting", True, Decimal(50)), ("Task #2: Task 1", False, Decimal("337.5")),
    ]  # fmt: skip
    assert (row.net, row.remote.state) == (Decimal("387.5"), "synced")
    check_books()


def test_work_whose_line_is_gone_waits_for_the_next_run_and_is_billed_there(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.0)
    edit(world, line_items=lines_there(world)[:1])

    adopt(found(world, invoice))
    creating.create_due()

    gone = TimeEntry.objects.get(lines__is_voided=True)
    assert (gone.state, gone.reason) == (EntryState.HELD, "next_run")
    assert gone.reason_note == "taken over from Invoice Ninja: agreed on the phone"
    assert states_of(gone)[-3:] == ["invoiced", "ready", "held"]
    assert fresh(invoice).net == Decimal("337.5")
    check_books()
    send(world, invoice)
    assert world.mails() == ["billing@acme.example"]
    world.go_to(dt.datetime(2026, 2, 2, 9, 0, tzinfo=dt.UTC))
    sweep_project(world.mapping, dt.datetime(2026, 2, 2, tzinfo=dt.UTC))
    (draft,) = built(month(2026, 1)).invoices.all()
    assert [(line.entry, line.amount, line.is_late) for line in draft.lines.all()] == [(gone, Decimal(150), True)]


def test_dates_terms_and_tax_are_taken_over(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, date="2026-01-05", due_date="2026-01-20", terms="Two weeks", tax_name1="", tax_rate1=0)

    adopt(found(world, invoice))
    creating.create_due()

    row = fresh(invoice)
    assert (row.invoice_date, row.due_date, row.payment_days) == (dt.date(2026, 1, 5), dt.date(2026, 1, 20), 15)
    assert (row.terms, row.tax_decision, row.tax_rate, row.tax) == ("Two weeks", "no_tax", 0, 0)
    assert (row.gross, row.remote.state) == (Decimal("337.5"), "synced")


def test_what_was_sent_by_hand_with_other_hours_is_sent_and_can_be_taken_over(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, line_items=[{**lines_there(world)[0], "quantity": 4}])
    mail = {"action": "email", "ids": [invoice.remote.remote_id], "email_type": "invoice"}
    world.api_ninja("POST", "/invoices/bulk", mail)
    payments.poll()
    assert fresh(invoice).state == InvoiceState.SENT
    deviation = Deviation.objects.get(decision="")
    assert adopting.choice(deviation).against_overwriting == [
        "It is sent: the client has what stands in Invoice Ninja."
    ]

    adopt(deviation)
    creating.create_due()

    row = fresh(invoice)
    assert (row.state, row.net, row.remote.state) == (InvoiceState.SENT, Decimal(300), "synced")
    check_books()
    assert len(world.mails()) == 1


def test_what_differs_at_its_creation_is_taken_over_as_well(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", kind="delay", seconds=0, method="POST", path="/api/v1/invoices$")
    client = world.api_ninja("GET", "/clients/client_abc123")["data"]
    assert client["public_notes"] == ""
    world.fail("ninja", kind="lost_answer", method="POST", path="/api/v1/invoices$", count=1)
    creating.create_due()
    edit(world, line_items=[{**lines_there(world)[0], "quantity": 4}])
    creating.create_due()
    assert (fresh(invoice).state, fresh(invoice).remote.state) == ("approved", "attention")

    adopt(Deviation.objects.get(decision=""))
    creating.create_due()

    row = fresh(invoice)
    assert (row.state, row.net) == (InvoiceState.CREATED, Decimal(300))
    assert TimeEntry.objects.get().state == EntryState.INVOICED
    assert len(world.invoices()) == 1


# --- what cannot be taken over --------------------------------------------------------------------------------------


def hostile(world: World, case: str) -> dict[str, Any]:
    line = lines_there(world)[0]
    if case == "own task":
        world.read(world.add_task("Other work", billable=True, hours=1))
        from sync import push

        push.push_due()
        other = next(task for task in world.tasks() if "Other work" in task["description"])
        return {"line_items": [line, {**line, "task_id": other["id"], "notes": "Other"}]}
    return {
        "discount": {"discount": 10, "is_amount_discount": True},
        "fine hours": {"line_items": [{**line, "quantity": 1.125}]},
        "twice": {"line_items": [line, line]},
        "no text": {"line_items": [{**line, "notes": ""}]},
        "no due date": {"due_date": ""},
        "nothing": {"line_items": []},
        "line tax": {"line_items": [{**line, "tax_name1": "X", "tax_rate1": 5}]},
    }[case]


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("discount", "Its total does not follow from its lines"),
        ("line tax", "Its total does not follow from its lines"),
        ("fine hours", "Line 1 has more decimals than are printed"),
        ("twice", "A task stands on it twice"),
        ("no text", "Line 1 has no text"),
        ("no due date", "It needs an invoice date and a due date"),
        ("nothing", "Nothing is left to bill"),
        ("own task", "TAIGA-T2-1 was put on it by hand"),
    ],
)
def test_what_our_lines_cannot_say_is_refused_with_its_sentence_and_overwritten(
    world: World, case: str, sentence: str
) -> None:
    invoice = created_invoice(world)
    edit(world, **hostile(world, case))
    deviation = found(world, invoice)
    rows = list(InvoiceLine.objects.values())

    with pytest.raises(NotAllowed, match=sentence):
        adopt(deviation)

    assert list(InvoiceLine.objects.values()) == rows
    adopting.overwrite(deviation, user=make_user("Approver"), reason="ours counts")
    creating.create_due()
    row = fresh(invoice)
    assert (row.state, row.remote.state, row.remote.sentence) == ("created", "synced", "")
    assert world.invoices()[-1]["amount"] == Decimal("408.38")
    send(world, invoice)
    assert world.mails() == ["billing@acme.example"]


def test_a_task_that_another_invoice_took_is_neither_adopted_nor_taken_back(world: World) -> None:
    invoice = created_invoice(world)
    ours, task = world.invoices()[0], world.tasks()[0]
    line = {"task_id": task["id"], "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
    world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})
    RemoteRecord.objects.filter(pk=invoice.remote_id).update(state="pending", revision=2)
    creating.create_due()
    deviation = Deviation.objects.get(decision="")
    assert deviation.stolen == [task["number"]]

    for act in (adopting.adopt, adopting.overwrite):
        with pytest.raises(NotAllowed, match=r"TAIGA-T1-1 is on another invoice in Invoice Ninja\."):
            act(deviation, user=make_user("Approver"), reason="x")

    assert world.tasks()[0]["invoice_id"] != ours["id"]


# --- writing ours again ---------------------------------------------------------------------------------------------


def test_ours_is_written_again_completely_and_only_over_what_was_seen(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.0)
    before = world.invoices()[0]
    edit(world, line_items=lines_there(world)[:1], footer="x", due_date="2026-03-01", discount=5)
    deviation = found(world, invoice)

    adopting.overwrite(deviation, user=make_user("Approver"), reason="ours counts")
    creating.create_due()

    row, after = fresh(invoice), world.invoices()[0]
    assert (row.state, row.remote.state, row.seal) == ("created", "synced", invoice.seal)
    for name in ("amount", "total_taxes", "due_date", "discount", "terms"):
        assert after[name] == before[name], name
    assert {task["invoice_id"] for task in world.tasks()} == {after["id"]}
    assert (fresh(deviation).decision, fresh(deviation).reason) == ("overwritten", "ours counts")
    send(world, invoice)
    assert world.mails() == ["billing@acme.example"]


def test_what_was_typed_after_the_look_is_not_overwritten(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, due_date="2026-03-01")
    first = found(world, invoice)
    adopting.overwrite(first, user=make_user("Approver"), reason="ours counts")
    edit(world, due_date="2026-04-01")

    creating.create_due()

    row = fresh(invoice)
    assert (row.remote.state, row.remote.reason) == (RecordState.ATTENTION, "differs_there")
    assert world.invoices()[0]["due_date"] == "2026-04-01"
    second = Deviation.objects.get(decision="")
    assert second.theirs["due_date"] == "2026-04-01"
    adopting.overwrite(second, user=make_user("Approver"), reason="ours counts still")
    creating.create_due()
    assert world.invoices()[0]["due_date"] == "2026-02-01"


def test_what_was_typed_after_the_look_is_not_taken_over_unseen(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, due_date="2026-03-01")
    adopt(found(world, invoice))
    edit(world, due_date="2026-04-01")

    creating.create_due()

    assert fresh(invoice).remote.state == RecordState.ATTENTION
    assert (fresh(invoice).due_date, world.invoices()[0]["due_date"]) == (dt.date(2026, 3, 1), "2026-04-01")


@pytest.mark.parametrize("second", ["adopt", "overwrite"])
@pytest.mark.parametrize("first", ["adopt", "overwrite"])
def test_the_second_click_changes_nothing_and_says_so(world: World, first: str, second: str) -> None:
    invoice = created_invoice(world)
    edit(world, due_date="2026-03-01")
    deviation = found(world, invoice)
    acts = {"adopt": adopting.adopt, "overwrite": adopting.overwrite}
    acts[first](deviation, user=make_user("Approver"), reason="once")
    before = fresh(invoice).revision, fresh(invoice).remote.revision

    with pytest.raises(NotAllowed, match="This was settled already"):
        acts[second](deviation, user=make_user("Approver"), reason="twice")

    assert (fresh(invoice).revision, fresh(invoice).remote.revision) == before


def test_neither_is_done_without_a_reason_or_while_it_is_written(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, due_date="2026-03-01")
    deviation = found(world, invoice)
    with pytest.raises(NotAllowed, match="Say why"):
        adopt(deviation, reason=" ")
    RemoteRecord.objects.filter(pk=invoice.remote_id).update(state="pending")
    with pytest.raises(NotAllowed, match="just being written"):
        adopt(deviation)
    Invoice.objects.filter(pk=invoice.pk).update(seal="x" * 64)
    with pytest.raises(NotAllowed, match="changed here since"):
        adopt(deviation)


# --- noticing -------------------------------------------------------------------------------------------------------


def test_the_poll_notices_an_edit_and_its_end(world: World) -> None:
    created_invoice(world)
    edit(world, due_date="2026-03-01")
    payments.poll()
    first = Deviation.objects.get()
    payments.poll()
    assert Deviation.objects.get() == first  # the same again is no news

    edit(world, due_date="2026-02-01")
    payments.poll()

    assert Deviation.objects.get().decision == "gone"


def test_another_edit_is_another_question(world: World) -> None:
    created_invoice(world)
    for day in ("2026-03-01", "2026-03-02"):
        edit(world, due_date=day)
        payments.poll()
    rows = Deviation.objects.order_by("id")
    assert [(row.decision, row.theirs["due_date"]) for row in rows] == [("gone", "2026-03-01"), ("", "2026-03-02")]


def test_of_a_paid_invoice_it_is_only_a_note(world: World) -> None:
    invoice = created_invoice(world)
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [invoice.remote.remote_id]})
    edit(world, due_date="2026-03-01")
    payments.poll()
    choice = adopting.choice(Deviation.objects.get(decision=""))
    assert "Money came in" in choice.against_adopting[0]
    assert choice.against_overwriting


def test_with_four_eyes_another_approver_takes_it_over(world: World) -> None:
    """An approved invoice is raised in Invoice Ninja: who finds it right alone can only propose it."""
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    invoice = created_invoice(world)
    edit(world, line_items=[{**lines_there(world)[0], "quantity": 40}])
    deviation, ann, bob = found(world, invoice), make_user("Approver"), make_user("Approver")
    with pytest.raises(NotAllowed, match="another approver must take it over"):
        adopting.adopt(deviation, user=ann, reason="agreed", meaning=Meaning.ON_PURPOSE)
    adopting.propose(deviation, user=ann, reason="agreed")
    for attempt in (adopting.propose, adopting.adopt):
        with pytest.raises(NotAllowed, match="another approver must take it over"):
            attempt(fresh(deviation), user=ann, reason="again")
    assert (fresh(invoice).net, fresh(deviation).decision) == (invoice.net, "")
    adopting.adopt(fresh(deviation), user=bob, reason="seen", meaning=Meaning.ON_PURPOSE)
    assert (fresh(invoice).net, fresh(deviation).decided_by) == (Decimal(3000), bob)


def test_a_later_cycle_is_measured_against_what_was_taken_over(world: World) -> None:
    """Four hours created, five in Taiga: one hour waits. Then the invoice says five: nothing is left to bill."""
    invoice = created_invoice(world, 4)
    entry = TimeEntry.objects.get()
    task = entry.item.taiga_id
    world.set_status(task, "In progress")
    world.read(task)
    world.set_values(task, hours=5)
    world.set_status(task, "Closed")
    later = world.read(task)
    assert (later.cycle, later.state, later.billed_hours) == (2, EntryState.READY, Decimal(1))
    (line,) = lines_there(world)
    edit(world, line_items=[{**line, "quantity": 5}])

    adopt(found(world, invoice), meaning=Meaning.TAIGA_IS_WRONG)

    later.refresh_from_db()
    assert (later.state, later.billed_hours) == (EntryState.BELOW_MINIMUM, Decimal(0))
