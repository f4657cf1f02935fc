"""What happens after the fact beside the decision table's own cells: several cycles, and money that came in."""

from __future__ import annotations

from decimal import Decimal

from invoicing.models import Payment
from sandbox.scenario import MOBILE
from sync.models import Difference, TimeEntry
from tests.flow.steps import (
    JANUARY,
    Flow,
    fresh,
    january,
    open_difference,
)


def test_the_next_run_bills_the_next_cycle_of_what_was_closed_again(office: Flow) -> None:
    entry = office.closed(2)
    (draft,) = office.bill()
    office.approve(draft)
    office.reopen(entry.item.taiga_id, at=january(5))
    office.close_again(entry.item.taiga_id, at=january(6), hours=2.1)
    assert office.entry(entry.item.taiga_id).amount == Decimal("23.75")  # 2.25 h in all, not 2.00 + 0.25 rounded anew
    office.reopen(entry.item.taiga_id, at=january(7))
    office.close_again(entry.item.taiga_id, at=january(8), hours=2.3)

    (draft,) = office.bill(JANUARY)
    assert (draft.net, draft.lines.get().billed_hours) == (Decimal("47.50"), Decimal("0.50"))
    assert [task["number"][-2:] for task in office.tasks()] == ["-1", "-2"]


def test_an_open_difference_closes_when_taiga_says_again_what_was_billed(office: Flow) -> None:
    entry = office.closed(2)
    (draft,) = office.bill()
    office.approve(draft)

    office.type(entry.item.taiga_id, hours=3)
    office.work()
    assert open_difference(entry) is not None
    office.type(entry.item.taiga_id, hours=2)
    office.work()

    assert [row.state for row in Difference.objects.all()] == ["closed"]


def test_cancelled_there_is_cancelled_here_but_not_where_money_came_in(office: Flow) -> None:
    office.closed(2)
    office.closed(2, project=MOBILE, who="bob", subject="Push notifications")
    unpaid, paid = (office.send(office.approve(draft)) for draft in office.bill())
    office.pay(paid, Decimal("100.00"))
    office.poll()
    for invoice in (unpaid, paid):
        office.act("cancel", invoice)
    office.poll()

    assert (fresh(unpaid).state, fresh(unpaid).attention_sentence) == ("cancelled", "")
    assert fresh(paid).state == "partly_paid"
    assert "was cancelled in Invoice Ninja after 100.00\xa0EUR came in" in fresh(paid).attention_sentence
    assert [(row.invoice_id, row.amount) for row in Payment.objects.all()] == [(paid.pk, Decimal("100.00"))]
    # Nothing is billed again by itself: releasing the entries is a person's decision.
    assert {entry.state for entry in TimeEntry.objects.all()} == {"invoiced"}
    assert office.bill() == []
