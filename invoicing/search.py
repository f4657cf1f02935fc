"""What the command palette finds: a task by its reference or words, an invoice by its number, a client by its name."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console.admin_base import SearchResult
from billing_console.formats import money, period
from invoicing.models import Invoice
from mappings.models import Client
from sync.models import TimeEntry, WorkItem

MOST = 8  # results of each kind
SHORTEST = 2  # letters; a reference may be one digit


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """At most eight time entries, invoices and clients each that fit `term` ("#45", "0042", "acme"), newest first.

    Only what the person may see; one query for each kind.
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


def _invoices(term: str) -> list[SearchResult]:
    fits = Q(number__icontains=term) | Q(client__in=Client.objects.filter(name__icontains=term))
    rows = Invoice.objects.filter(fits).select_related("client").order_by("-id")[:MOST]
    return [
        SearchResult(
            title=f"{invoice.number or _('Draft')} · {invoice.client}",
            description=" · ".join(
                (
                    period(invoice.period_start, invoice.period_end),
                    money(invoice.net, invoice.currency),
                    str(invoice.get_state_display()),
                )
            ),
            link=reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            icon="receipt_long",
        )
        for invoice in rows
    ]


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
