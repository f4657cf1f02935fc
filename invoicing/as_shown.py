"""What is on the screen of a draft, of one of its lines or of a run where a person may act on it, as label → words.

A line has words of its own: two people may write on different lines of one draft, and only the same line clashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from billing_console import formats
from invoicing.models import Invoice, InvoiceLine, InvoiceRun

if TYPE_CHECKING:
    from invoicing.preview import PreviewRow

Words = Mapping[str, Any]


def draft(invoice: Invoice) -> Words:
    """A whole draft: hours, money, and its revision, which grows with every change of content.

    Its state is left out: an act that finds it moved on says by whom.
    """
    return {
        _("Hours"): formats.hours(invoice.billed_hours),
        _("Before tax"): formats.money(invoice.net, invoice.currency),
        _("With tax"): formats.money(invoice.gross, invoice.currency),
        _("Taiga changed since"): invoice.stale_sentence if invoice.is_stale else "",
        "_revision": str(invoice.revision),
    }


def adding(invoice: Invoice) -> Words:
    """What matters of a draft to whoever adds a line to it."""
    return {_("Currency"): invoice.currency, _("Last day"): formats.day(invoice.period_end)}


def line(row: InvoiceLine) -> Words:
    """One line of a draft: its text, hours, rate and amount; what changed in Taiga since."""
    return {
        _("Text"): row.notes,
        _("Hours"): formats.number(row.billed_hours, 2),
        _("Rate"): formats.rate(row.rate, ""),
        _("Amount"): formats.amount(row.amount, row.invoice.currency),
        _("Changed in Taiga"): row.change_sentence,
        "_meaning": row.meaning,
        "_voided": row.is_voided,
    }


def run(row: InvoiceRun) -> Words:
    """A run: how far it is, and its drafts with their money."""
    drafts = row.invoices.order_by("pk").values_list("pk", "state", "revision", "net", "currency")
    sums: dict[str, Any] = {}
    for _pk, _state, _revision, net, currency in (found := list(drafts)):
        sums[currency] = sums.get(currency, 0) + net
    return {
        _("State"): row.get_state_display(),
        _("Invoices"): len(found),
        _("Before tax"): " + ".join(formats.money(amount, code) for code, amount in sorted(sums.items())),
        "_drafts": found,
    }


def previewed(rows: Sequence[PreviewRow]) -> Words:
    """What a run would bill, client by client."""
    return {str(row.client): formats.money(row.net, row.currency) for row in rows if row.net}
