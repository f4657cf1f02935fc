"""What invoicing tells the steps before it: where a claimed entry stands, that its draft is stale, that rules changed.

Registered in `AppConfig.ready`. The callbacks run in the caller's transaction and call no server.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import models, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console.states import TAKEN, InvoiceState
from invoicing import content, payments
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import DEAD, UNAPPROVED
from mappings.lookups import rule_sets_for
from mappings.models import RuleSet, TaxDecision
from sync.hooks import DRAFT, Billed, Printed
from sync.models import Heartbeat, TimeEntry

NONE, APPROVED, SENT = "", "approved", "sent"
_SENT_STATES = (InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)
# What we say of an invoice and Invoice Ninja should say too; in between it is being written or sent.
_SETTLED = (InvoiceState.CREATED, *_SENT_STATES, InvoiceState.CANCELLED, InvoiceState.REVERSED)


def mark_draft_stale(entry: TimeEntry, sentence: str) -> str:
    """Taiga changed an item on an invoice: mark its line and its draft, and say "draft"; "" when it was approved.

    Locks the draft's row, so an approval at the same moment either sees the mark or comes first.
    """
    with transaction.atomic():
        line = InvoiceLine.objects.filter(entry=entry, is_voided=False).select_related("invoice").first()
        if line is None:
            return NONE
        invoice = content.lock_invoice(line.invoice_id)
        if invoice.state not in UNAPPROVED:
            return NONE
        InvoiceLine.objects.filter(pk=line.pk).update(change_sentence=sentence)
        _follow_lines(invoice)
    return DRAFT


def unmark_draft(entry: TimeEntry) -> None:
    """Taiga says again what a line of an unapproved draft says: take the mark off it. Locks the draft's row.

    A task that somebody else's invoice took stays marked: that is not for Taiga to take back.
    """
    marked = InvoiceLine.objects.filter(entry=entry, is_voided=False, invoice__state__in=UNAPPROVED)
    marked = marked.exclude(change_sentence="").exclude(entry__remote_task__reason__in=TAKEN)
    line = marked.first()
    if line is None:
        return
    with transaction.atomic():
        invoice = content.lock_invoice(line.invoice_id)
        if invoice.state in UNAPPROVED:
            InvoiceLine.objects.filter(pk=line.pk).update(change_sentence="")
            _follow_lines(invoice)


def _follow_lines(invoice: Invoice) -> None:
    """Let the (locked) draft be stale exactly when one of its lines is, and say because of what."""
    changed = InvoiceLine.objects.filter(invoice=invoice, is_voided=False).exclude(change_sentence="")
    sentences = changed.order_by("position", "pk").values_list("change_sentence", flat=True)[:10]
    words = _("Taiga changed since this draft was built: %(what)s") % {"what": " ".join(sentences)}
    Invoice.objects.filter(pk=invoice.pk).update(is_stale=bool(sentences), stale_sentence=words if sentences else "")


def invoice_stage(entry: TimeEntry) -> str:
    """How far the invoice of `entry` is: "" (none), "draft", "approved" or "sent" (paid included)."""
    rows = InvoiceLine.objects.filter(entry=entry, is_voided=False).exclude(invoice__state__in=DEAD)
    state = rows.values_list("invoice__state", flat=True).first()
    if state is None:
        return NONE
    if state in UNAPPROVED:
        return DRAFT
    return SENT if state in _SENT_STATES else APPROVED


def billed_of(entry: TimeEntry) -> Billed | None:
    """The living line of `entry` and where its invoice is; two queries.

    Invoice Ninja's word is in the words of our states, its draft is what we call created; it is as of the last poll
    that read all that changed there, or of our own later reading.
    """
    rows = InvoiceLine.objects.filter(entry=entry, is_voided=False)
    line = rows.select_related("invoice__client", "invoice__remote").first()
    if line is None:
        return None
    invoice, remote = line.invoice, line.invoice.remote
    is_there = remote is not None and bool(remote.remote_id)
    polled = Heartbeat.objects.filter(name=payments.HEARTBEAT).values_list("at", flat=True).first()
    readings = [at for at in (remote.seen_at if remote else None, polled) if at is not None]
    page = "review" if invoice.state in UNAPPROVED else "change"
    there = payments.STATE_BY_STATUS.get(invoice.remote_status, InvoiceState.CREATED)
    return Billed(
        name=_("invoice %(number)s") % {"number": invoice.number} if invoice.number else _("a draft here"),
        number=invoice.number,
        url=reverse(f"admin:invoicing_invoice_{page}", args=[invoice.pk]),
        state=str(invoice.get_state_display()),
        hours=line.billed_hours,
        rate=line.rate,
        remote_id=(remote.remote_id or "") if remote else "",
        there=str(there.label) if is_there else "",
        differs=is_there and invoice.state in _SETTLED and invoice.state != there,
        made_at=remote.seen_at if remote else None,
        read_at=max(readings) if is_there and readings else None,
    )


def printed_of(entry_ids: Collection[int]) -> dict[int, Printed]:
    """What the line of each entry says: the living one, else the last one if a person wrote over it; one query."""
    found: dict[int, Printed] = {}
    lines = InvoiceLine.objects.filter(entry__in=entry_ids).select_related("adjusted_by").order_by("is_voided", "-pk")
    for line in lines.defer("facts", "notes", "original_notes"):
        if line.entry_id in found or line.entry_id is None:
            continue
        found[line.entry_id] = Printed(
            hours=line.billed_hours,
            rate=line.rate,
            amount=line.amount,
            is_living=not line.is_voided,
            is_said=line.is_adjusted,
            first_hours=line.original_hours,
            first_rate=line.original_rate,
            waived=line.waived_hours,
            who=str(line.adjusted_by or ""),
            reason=line.adjust_reason,
        )
    return found


def apply_tax_decision(row: models.Model) -> None:
    """A rule set was saved: drafts that wait for a tax decision take it over, with new totals and a new revision."""
    if not isinstance(row, RuleSet) or row.tax_decision == TaxDecision.UNDECIDED:
        return
    with transaction.atomic():
        waiting = Invoice.objects.select_for_update(of=("self",), no_key=True).filter(
            state__in=UNAPPROVED, tax_decision=TaxDecision.UNDECIDED
        )
        if row.client_id is not None:
            waiting = waiting.filter(client=row.client_id)
        drafts = list(waiting.order_by("pk"))
        rule_sets = rule_sets_for({invoice.client_id for invoice in drafts})
        for invoice in drafts:
            content.apply_rules(invoice, rule_sets[invoice.client_id])
            content.retotal(invoice, *content.RULE_FIELDS)
