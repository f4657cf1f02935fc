"""A fault that forgets what a person said is a red verdict: each is done by hand, in our rows or in Invoice Ninja.

The five are those by which an hour was billed twice, or money was lost, while all eight identities held.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from invoicing import adjusting, creating, crediting, ending, payments, readings, review, sending
from invoicing.models import Became, Invoice, InvoiceLine, Meaning
from invoicing.releasing import Again
from invoicing.verdict import Proof, Verdict, prove
from mappings.rules import month
from sync.models import Difference, TimeEntry
from tests.invoicing.world import built, make_user, on_screen, sweep_project
from tests.outbound import JANUARY_2, drain_all, fresh
from tests.standins import World

pytestmark = pytest.mark.django_db
DECEMBER = month(2025, 12)
WHY = "as agreed"


@pytest.fixture
def user(db: None) -> User:
    return make_user("Approver", "ann")


def read() -> Proof:
    assert readings.read_now().sentence == ""
    return prove(DECEMBER)


def differences(proof: Proof) -> dict[str, list[str]]:
    return {
        row.name: [*row.residue, *(leftover.sentence for leftover in row.leftovers)]
        for row in proof.identities
        if not row.is_true
    }


def drafted(world: World, user: User) -> Invoice:
    """Two tasks on a draft, the first written down from 4 to 3 h on purpose; an instalment of 4,000.00 beside them."""
    for hours in (4, 2):
        world.read(world.add_task(f"Work of {hours} h", billable=True, hours=hours))
    drain_all()
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    draft = built(DECEMBER).invoices.get()
    said: dict[str, Any] = {"hours": Decimal(3), "rate": Decimal(75), "reason": WHY, "meaning": Meaning.ON_PURPOSE}
    line = draft.lines.get(billed_hours=4)
    draft = adjusting.adjust_line(line, seen=on_screen(line), user=user, **said)
    what: dict[str, Any] = {"text": "Instalment", "quantity": Decimal(1), "price": Decimal(4000), "reason": WHY}
    return adjusting.add_line(draft, user=user, **what)


def sent(world: World, user: User) -> Invoice:
    draft = drafted(world, user)
    review.approve(draft, revision=draft.revision, user=user)
    creating.create_due()
    row = fresh(draft)
    sending.request_sending(row, seal=row.seal, user=None)
    drain_all()
    payments.poll()
    return fresh(draft)


def rejected(world: World, user: User) -> Invoice:
    draft = drafted(world, user)
    review.reject_draft(draft, revision=draft.revision, user=user, reason="later")
    return draft


def billed_again_after_being_put_off(world: World, user: User) -> Invoice:
    rejected(world, user)
    return built(DECEMBER).invoices.get(state="draft")


def credited(world: World, user: User) -> Invoice:
    """The first task was billed to the wrong client: credited whole, while it is open in Taiga; then closed again."""
    invoice = sent(world, user)
    entry = TimeEntry.objects.get(item__subject="Work of 4 h")
    world.set_values(entry.item.taiga_id, client="client_xyz789")
    world.read(entry.item.taiga_id)
    row = Difference.objects.get(state="open")
    facts: dict[str, Any] = {"mark": row.mark, "gross": "272.250", "user": user, "note": WHY}
    from invoicing.credit_offer import offer
    from sync import supplements

    later = supplements.preview_after_credit(row)
    offered, _why = offer(row)
    assert offered is not None
    assert later is not None
    crediting.request_credit(row, **facts | {"gross": str(offered.gross)}, billed=str(later.amount))
    crediting.write_due()
    drain_all()
    return invoice


# --- what is done to them -------------------------------------------------------------------------------------------


def forget_the_adjustment_here(world: World, invoice: Invoice) -> None:
    line = invoice.lines.get(original_hours=4, is_voided=False)
    first = {"billed_hours": 4, "amount": 300, "original_hours": None, "original_rate": None, "original_amount": None}
    InvoiceLine.objects.filter(pk=line.pk).update(**first, meaning="", adjusted_at=None)


def forget_the_adjustment_there(world: World, invoice: Invoice) -> None:
    lines = [dict(line) for line in world.invoices()[-1]["line_items"]]
    lines[0]["quantity"] = 4
    world.ninja.store.guard.clear()
    world.api_ninja("PUT", f"/invoices/{fresh(invoice).remote.remote_id}", {"line_items": lines})


def bill_the_put_off_hour_whole(world: World, invoice: Invoice) -> None:
    forget_the_adjustment_here(world, invoice)
    Invoice.objects.filter(pk=invoice.pk).update(net=Decimal(300 + 150 + 4000))


def lose_the_line_by_hand_here(world: World, invoice: Invoice) -> None:
    InvoiceLine.objects.filter(invoice=invoice, entry=None).delete()


def lose_the_line_by_hand_there(world: World, invoice: Invoice) -> None:
    lines = [line for line in world.invoices()[-1]["line_items"] if line["task_id"]]
    world.api_ninja("PUT", f"/invoices/{fresh(invoice).remote.remote_id}", {"line_items": lines})


def let_the_instalment_go(world: World, invoice: Invoice) -> None:
    InvoiceLine.objects.filter(invoice=invoice, entry=None).update(is_waiting=False)


def lose_the_wrong_clients_hours(world: World, invoice: Invoice) -> None:
    TimeEntry.objects.filter(cycle=2).delete()


Start = Callable[[World, User], Invoice]
Act = Callable[[World, Invoice], None]


@pytest.mark.parametrize(
    ("start", "act", "says"),
    [
        (sent, forget_the_adjustment_here, "its lines come to"),
        (sent, forget_the_adjustment_there, "in Invoice Ninja"),
        (drafted, forget_the_adjustment_here, "its lines to"),
        (credited, lose_the_wrong_clients_hours, "were credited, and nothing bills them or asks about them"),
        (sent, lose_the_line_by_hand_here, "its lines come to"),
        (sent, lose_the_line_by_hand_there, "in Invoice Ninja"),
        (drafted, lose_the_line_by_hand_here, "its lines to"),
        (billed_again_after_being_put_off, bill_the_put_off_hour_whole, "the line says the first figures again"),
        (rejected, let_the_instalment_go, "added by hand, is on no invoice and waits for none"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_forgotten_is_a_red_verdict(world: World, user: User, start: Start, act: Act, says: str) -> None:
    invoice = start(world, user)
    assert differences(read()) == {}

    act(world, invoice)

    proof = read()
    assert proof.verdict is Verdict.DIFFERS
    assert says in str(differences(proof))


# --- the classes ----------------------------------------------------------------------------------------------------


def amounts_of(name: str) -> list[dict[str, Decimal]]:
    money = prove(DECEMBER).identities[2]
    return [term.amounts for term in (*money.of_left, *money.right) if term.name == name]


def test_what_is_waived_on_purpose_is_a_class_of_its_own(world: World, user: User) -> None:
    drafted(world, user)
    assert amounts_of("waived or added on purpose") == [{"EUR": Decimal(-75)}]


def test_a_line_by_hand_that_waits_is_unbilled_and_one_that_is_written_off_is_written_off(
    world: World, user: User
) -> None:
    invoice = sent(world, user)
    ending.request_end(invoice, seal=invoice.seal, user=user, note=WHY, again=Again.ANEW)
    drain_all()
    assert amounts_of("unbilled") == [{"EUR": Decimal(450 + 4000)}]
    assert differences(read()) == {}
    later = built(DECEMBER).invoices.get(state="draft")
    assert InvoiceLine.objects.get(invoice=invoice, entry=None).became == Became.CARRIED
    review.approve(later, revision=later.revision, user=user)
    creating.create_due()
    later = fresh(later)
    ending.request_end(later, seal=later.seal, user=user, note=WHY, again=Again.WRITE_OFF)
    drain_all()
    assert amounts_of("written off") == [{"EUR": Decimal(225 + 150 + 4000)}]
    assert differences(read()) == {}


def test_what_was_credited_stands_as_such_until_it_is_billed_again(world: World, user: User) -> None:
    invoice = sent(world, user)
    entry = TimeEntry.objects.get(item__subject="Work of 4 h")
    world.set_values(entry.item.taiga_id, billable=False)
    world.read(entry.item.taiga_id)
    row = Difference.objects.get(state="open")
    crediting.request_credit(row, mark=row.mark, gross="272.25", user=user, note=WHY)
    crediting.write_due()
    world.set_values(entry.item.taiga_id, billable=True)
    world.set_status(entry.item.taiga_id, "In progress")
    world.read(entry.item.taiga_id)
    assert invoice.lines.filter(is_voided=False).count() == 3
    assert amounts_of("of it credited, not billed again") == [{"EUR": Decimal(300)}]
    assert differences(read()) == {}
    world.set_status(entry.item.taiga_id, "Closed")
    world.read(entry.item.taiga_id)
    assert amounts_of("of it credited, not billed again") == []


def test_a_word_that_was_taken_back_is_not_forgotten(world: World, user: User) -> None:
    draft = billed_again_after_being_put_off(world, user)
    line = draft.lines.get(original_hours=4)
    said: dict[str, Any] = {"hours": Decimal(4), "rate": Decimal(75), "reason": "after all", "meaning": ""}
    adjusting.adjust_line(line, seen=on_screen(line), user=user, **said)
    assert differences(read()) == {}
