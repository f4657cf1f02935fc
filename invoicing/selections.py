"""What a person had on screen when asked to confirm: invoice ids with their seal or revision, as one stored row."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import formats, shown
from billing_console.errors import NotAllowed
from invoicing.models import Decision, Deviation, Invoice, Selection

SEND, MARK = "send", "mark"


@dataclass(frozen=True)
class Chosen:
    """One row of a selection: the invoice as it is now, and the mark (seal or revision) that the person saw.

    `differs`: it was found changed in Invoice Ninja, and nobody decided about that yet.
    """

    invoice: Invoice
    mark: str
    differs: bool = False


def select(invoices: Iterable[Invoice], *, verb: str, user: User, mark: str) -> Selection:
    """Store which invoices a person chose for `verb`, each with the value of its column `mark` at this moment."""
    rows = [[invoice.pk, str(getattr(invoice, mark))] for invoice in invoices]
    if not rows:
        raise NotAllowed(_("Nothing was selected. Tick the rows first."))
    return Selection.objects.create(verb=verb, rows=rows, made_by=user)


def find(selection_uuid: uuid.UUID, *, verb: str, user: Any) -> Selection:
    """The person's own selection. Raises NotAllowed for an unknown one or somebody else's."""
    found = Selection.objects.filter(uuid=selection_uuid, verb=verb, made_by=user).first()
    if found is None:
        raise NotAllowed(_("This selection is not yours or is gone. Select the rows again."))
    return found


def chosen(selection: Selection) -> list[Chosen]:
    """The selected invoices in the order of their clients, as they are now: one query."""
    marks = {int(pk): mark for pk, mark in selection.rows}
    return [
        Chosen(invoice, marks[invoice.pk], differs=invoice.differs)  # type: ignore[attr-defined]
        for invoice in _invoices(marks)
    ]


def _invoices(marks: dict[int, str]) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(pk__in=marks).select_related("client", "remote", "run")
    waiting = Deviation.objects.filter(invoice=OuterRef("pk"), decision=Decision.OPEN)
    return rows.annotate(differs=Exists(waiting)).order_by("client__name", "pk")


def offer(going: Iterable[Chosen], also: Callable[[Chosen], str] = lambda row: "") -> dict[str, dict[str, str]]:
    """What a question shows of each row that it offers; `also` is what else is on screen of each.

    What stayed behind on screen stays behind, even if it could go a moment later.
    """
    return {str(row.invoice.pk): _words(row, also) for row in going}


def offered(
    rows: Iterable[Chosen], seen: Mapping[str, Any], also: Callable[[Chosen], str] = lambda row: ""
) -> tuple[list[Chosen], list[tuple[Chosen, str]]]:
    """Those of `rows` that the question offered: as they were on screen, and the others with what is another by now."""
    same: list[Chosen] = []
    other: list[tuple[Chosen, str]] = []
    for row in rows:
        if (before := seen.get(str(row.invoice.pk))) is not None:
            if sentence := shown.difference(before, _words(row, also)):
                other.append((row, sentence))
            else:
                same.append(row)
    return same, other


def _words(row: Chosen, also: Callable[[Chosen], str]) -> dict[str, str]:
    invoice = row.invoice
    return {
        _("Hours"): formats.hours(invoice.billed_hours),
        _("Before tax"): formats.money(invoice.net, invoice.currency),
        _("To pay"): formats.money(invoice.gross, invoice.currency),
        _("Invoice date"): formats.day(invoice.invoice_date),
        _("To"): also(row),
        "_seal": invoice.seal,
        "_revision": str(invoice.revision),
    }


def use(selection: Selection) -> bool:
    """Mark the selection as acted on; False when it was already, by a second click. One conditional UPDATE."""
    return Selection.objects.filter(pk=selection.pk, used_at__isnull=True).update(used_at=timezone.now()) == 1


def total(rows: Iterable[Chosen], column: str) -> str:
    """The sum of an amount column of the selected invoices, per currency, as it is shown to a person."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        currency = row.invoice.currency
        totals[currency] = totals.get(currency, Decimal(0)) + getattr(row.invoice, column)
    return " + ".join(formats.money(amount, currency) for currency, amount in sorted(totals.items()))
