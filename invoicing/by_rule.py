"""Approving and sending without a person, where the rule set says so, and only what has no warning.

Whatever a person touched stays with people: a draft that was edited, held or taken back is never approved by rule,
and an invoice that was mailed once, or might have been, is never mailed by rule.
"""

from __future__ import annotations

import logging

from django.db.models import Exists, OuterRef

from billing_console.errors import ConsoleError
from billing_console.states import InvoiceState
from invoicing import late_mails, oddities, receivers, review, sending
from invoicing.models import Decision, Deviation, Invoice, RunClient
from sync.models import RecordKind, RemoteRecord, Transition

logger = logging.getLogger(__name__)


def approve_clean(row: RunClient) -> int:
    """Approve the drafts that were just built for this client, if its rules send by themselves; returns how many."""
    if not row.rule_set.auto_send:
        return 0
    touched = Transition.objects.filter(model="invoicing.invoice", row_id=OuterRef("pk"), user__isnull=False)
    rows = Invoice.objects.filter(run=row.run_id, client=row.client_id, state=InvoiceState.DRAFT)
    drafts = list(rows.exclude(Exists(touched.exclude(from_state=""))).select_related("client"))
    odd = oddities.count_oddities(draft.pk for draft in drafts)
    approved = 0
    for draft in drafts:
        if not oddities.is_clean(draft, odd.get(draft.pk)):
            continue
        try:
            review.approve(draft, revision=draft.revision, user=None)
            approved += 1
        except ConsoleError as reason:
            logger.info("%s is not approved by rule: %s", draft, reason.sentence)
    return approved


def send_created() -> int:
    """Ask for every invoice to be mailed that was approved by rule and is in Invoice Ninja; returns how many.

    What would not reach exactly the contacts who want mail, or in another currency, or later than LATE_MAIL_DAYS after
    its approval, is left to a person.
    """
    rows = Invoice.objects.filter(
        state=InvoiceState.CREATED,
        approved_by__isnull=True,
        approved_at__isnull=False,
        rule_set__auto_send=True,
        sendings__isnull=True,
    )
    # What a person marked, or decided about, or must decide about, stays with people.
    marked = RemoteRecord.objects.filter(kind=RecordKind.MARK_SENT, correlation_id=OuterRef("uuid"))
    differed = Deviation.objects.filter(invoice=OuterRef("pk")).exclude(decision=Decision.GONE)
    rows = rows.exclude(Exists(marked)).exclude(Exists(differed))
    asked = 0
    for invoice in rows.select_related("client", "remote").order_by("pk")[:200]:
        if invoice.approved_at and late_mails.too_late(invoice.approved_at, invoice.timezone):
            continue  # it bears a date of days ago: a person gives it today's, or sends it as it is
        if receivers.known(invoice).why_not() or invoice.currency != invoice.client.currency:
            continue
        try:
            sending.request_sending(invoice, seal=invoice.seal, user=None)
            asked += 1
        except ConsoleError as reason:
            logger.info("%s is not sent by rule: %s", invoice, reason.sentence)
    return asked
