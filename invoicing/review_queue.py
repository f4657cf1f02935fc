"""The order in which the drafts of a run are reviewed: by client, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from billing_console.states import InvoiceState
from invoicing.models import Invoice
from invoicing.run import UNAPPROVED


@dataclass(frozen=True)
class Place:
    """Where a draft stands among those of its run that wait; ids are None at the ends."""

    position: int
    count: int
    previous_id: int | None
    next_id: int | None
    next_draft_id: int | None


def place_of(invoice: Invoice) -> Place:
    """The place of `invoice` among the drafts of its run: one query. It counts itself also when it was approved."""
    rows = Invoice.objects.filter(run=invoice.run_id).order_by("client__name", "pk").values_list("pk", "state")
    queue = [(pk, state) for pk, state in rows if state in UNAPPROVED or pk == invoice.pk]
    ids = [pk for pk, _state in queue]
    at = ids.index(invoice.pk)
    # What comes behind first, then from the start: "and next" goes on until no draft is left.
    behind = [pk for pk, state in (*queue[at + 1 :], *queue[:at]) if state == InvoiceState.DRAFT]
    return Place(
        position=at + 1,
        count=len(ids),
        previous_id=ids[at - 1] if at else None,
        next_id=ids[at + 1] if at + 1 < len(ids) else None,
        next_draft_id=behind[0] if behind else None,
    )


def first_draft_id(run_id: int) -> int | None:
    """The first draft of a run that waits for review; None when there is none."""
    rows = Invoice.objects.filter(run=run_id, state=InvoiceState.DRAFT).order_by("client__name", "pk")
    return rows.values_list("pk", flat=True).first()
