"""What the command palette finds: a task by its reference or words, a client by its name, an invoice by its number,
by an amount on it, or by its PO number."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console.admin_base import SearchResult
from billing_console.amount_search import readings
from billing_console.formats import money, period
from invoicing.models import Invoice
from mappings.models import Client
from sync.models import TimeEntry, WorkItem

MOST = 8  # results of each kind
SHORTEST = 2  # letters; a reference may be one digit


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """At most eight time entries, invoices and clients each that fit `term` ("#45", "0042", "2,696.03"), newest first.

    Only what the person may see; one query for each kind, two for invoices.
    """
    term = term.strip()
    reference = term.removeprefix("#")
    is_reference = reference.isascii() and reference.isdigit() and len(reference) < 18
    if not is_reference and len(term) < SHORTEST:
        return []
    results: list[SearchResult] = []
    if request.user.has_perm("sync.view_timeentry"):
        results += _entries(term, int(reference) if is_reference else None)
    if not term.startswith("#"):
        if request.user.has_perm("invoicing.view_invoice"):
            results += _invoices(term)
        if request.user.has_perm("mappings.view_client"):
            results += _clients(term)
    return results


def _entries(term: str, reference: int | None) -> list[SearchResult]:
    wanted = Q(ref=reference) if reference is not None else Q(subject__icontains=term)
    fits = Q(item__in=WorkItem.objects.filter(wanted))
    rows = TimeEntry.objects.filter(fits).select_related("item", "project").order_by("-id")[:MOST]
    return [
        SearchResult(
            title=str(entry),
            description=" · ".join(str(part) for part in (entry.project, entry.get_state_display()) if part),
            link=reverse("admin:sync_timeentry_change", args=[entry.pk]),
            icon="schedule",
        )
        for entry in rows
    ]


def by_amount_or_po(text: str) -> Q:
    """Invoices by their amount (before tax, with tax, or open) or by the beginning of their PO number, in any case.

    An amount may be written in either decimal format; each condition has an index of its own. An empty Q for a text
    that is neither.
    """
    words = text.strip()
    if len(words) < SHORTEST:
        return Q()
    wanted = Q(po_number__istartswith=words)
    if amounts := readings(words):
        wanted |= Q(net__in=amounts) | Q(gross__in=amounts) | Q(balance__in=amounts)
    return wanted


def _invoices(term: str) -> list[SearchResult]:
    named = Q(number__icontains=term) | Q(client__in=Client.objects.filter(name__icontains=term))
    found: dict[int, Invoice] = {}
    for fits in (by_amount_or_po(term), named):
        if fits and len(found) < MOST:
            rows = Invoice.objects.filter(fits).select_related("client").order_by("-id")[:MOST]
            found |= {row.pk: row for row in rows if row.pk not in found}
    return [
        SearchResult(
            title=f"{invoice.number or _('Draft')} · {invoice.client}",
            description=" · ".join(
                (
                    period(invoice.period_start, invoice.period_end),
                    *_amounts(invoice),
                    *([_("PO %(number)s") % {"number": invoice.po_number}] if invoice.po_number else []),
                    str(invoice.get_state_display()),
                )
            ),
            link=reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            icon="receipt_long",
        )
        for invoice in found.values()
    ]


def _amounts(invoice: Invoice) -> list[str]:
    """Before tax, with tax, and open where that is another sum: whichever was looked for is seen."""
    sums = [_("%(net)s before tax"), _("%(gross)s with tax")]
    if invoice.balance and invoice.balance != invoice.gross:
        sums.append(_("%(open)s open"))
    words = {
        name: money(value, invoice.currency)
        for name, value in (("net", invoice.net), ("gross", invoice.gross), ("open", invoice.balance))
    }
    return [text % words for text in sums]


def _clients(term: str) -> list[SearchResult]:
    return [
        SearchResult(
            title=str(client),
            description=_("Client"),
            link=reverse("admin:mappings_client_change", args=[client.pk]),
            icon="apartment",
        )
        for client in Client.objects.filter(name__icontains=term)[:MOST]
    ]
