"""Approved invoices into Invoice Ninja: created once, found again by our key, compared three ways.

The key in the private notes is looked up before every POST, the first too: a double invoice is worse than a slow one
(design: The remote writes). Compared: our net lines with the server's rounded line totals, our tax with its total
taxes, net + tax with its amount; and every task must now name this invoice (billing-rules: Order of calculation).
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import money
from billing_console.errors import NotAllowed
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import claim as claims
from invoicing import cursors, deviations, old_copies, releasing, twin_writes, twins
from invoicing.creating_checks import check_tasks_free, find_invoice, find_made, is_to_change, prove_invoice
from invoicing.creating_compare import change_body, invoice_body, wanted
from invoicing.ending_writes import after_end, is_to_end, look_up_end, write_end
from invoicing.inviting_writes import after_inviting, is_to_invite, look_up_invitations, write_invitations
from invoicing.models import Invoice, InvoiceLine
from mappings.models import TaxDecision
from sync import doorbell, upstreams, writeback
from sync.claims import Claim, Handler, NotThere, Proof
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry, WorkItem
from sync.outbox import drain
from sync.outcomes import keep_id
from sync.transitions import advance, record

# --- what we want there -------------------------------------------------------------------------------------------


def request_invoice(invoice: Invoice) -> RemoteRecord:
    """Want the approved invoice in Invoice Ninja, as sealed. Runs in the transaction that approves it."""
    remote = invoice.remote
    if remote is None:
        remote = RemoteRecord.objects.create(
            server=Server.NINJA,
            kind=RecordKind.INVOICE,
            our_key=invoice.key,
            desired=desired_invoice(invoice),
            correlation_id=invoice.uuid,
        )
        record(remote, "", RecordState.PENDING, why=_("the draft was approved"))
        invoice.remote = remote
        invoice.save(update_fields=["remote"])
        transaction.on_commit(lambda: doorbell.ring("invoices"))
    else:
        want(remote, desired_invoice(invoice), why=_("the draft was approved again"))
    return remote


def want(remote: RemoteRecord, desired: dict[str, Any], *, why: str, user: User | None = None) -> None:
    """Want a new revision of an invoice whose record is dropped, synced, or waits for a person who now decided.

    Locks the record until the commit.

    Raises NotAllowed while it is being written.
    """
    revision = remote.revision + 1
    changes: dict[str, Any] = {"desired": desired, "revision": revision, "not_before": None}
    changes |= {"reason": "", "sentence": "", "attempts": 0}
    is_free = remote.state in (RecordState.DROPPED, RecordState.SYNCED, RecordState.ATTENTION)
    if not is_free or not advance(remote, RecordState.PENDING, why=why, user=user, **changes):
        raise NotAllowed(_("This invoice is just being written to Invoice Ninja. Wait a moment, then do it again."))
    transaction.on_commit(lambda: doorbell.ring("invoices"))


def desired_invoice(invoice: Invoice) -> dict[str, Any]:
    """The invoice as it must be there; amounts, hours and rates as text in the invoice's currency, dates ISO.

    The number is Invoice Ninja's own and never sent. Tax is sent at invoice level, because the same rate on each
    line would be rounded per line (billing-rules: Tax).
    """
    taxed = invoice.tax_decision == TaxDecision.TAX
    return {
        "client_id": invoice.client.ninja_id,
        "date": invoice.invoice_date.isoformat() if invoice.invoice_date else "",
        "due_date": invoice.due_date.isoformat() if invoice.due_date else "",
        "terms": invoice.terms,
        "footer": invoice.footer,
        "public_notes": invoice.public_notes,
        "private_notes": invoice.key,
        "po_number": invoice.po_number,
        "tax_name1": invoice.tax_name if taxed else "",
        "tax_rate1": str(invoice.tax_rate) if taxed else "0",
        "net": str(invoice.net),
        "tax": str(invoice.tax),
        "gross": str(invoice.gross),
        "currency": invoice.currency,
        "lines": [
            {
                "task_id": line.entry.remote_task.remote_id if line.entry and line.entry.remote_task else "",
                "product_key": invoice.product_key if line.entry else "",
                "notes": line.notes,
                "quantity": str(line.billed_hours),
                "cost": str(money.quantize(line.rate, invoice.currency)),
                "amount": str(line.amount),
            }
            for line in _live_lines(invoice)
        ],
    }


def _live_lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(invoice.lines.filter(is_voided=False).select_related("entry__remote_task").order_by("position", "id"))


# --- calling ------------------------------------------------------------------------------------------------------


def create_due(limit: int = 200) -> int:
    """Create every approved invoice that is due; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write_invoice(claim: Claim) -> Proof:
    """Create the claimed record's invoice, or change the one that is there, read it back and compare.

    1. look up by our key, before the first POST too; 2. our tasks must be free; 3. POST, or a complete PUT of what a
    newer revision wants; 4. listed by our key once more, or GET, and content and every task compared.
    """
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    if is_to_end(remote):
        return write_end(claim)
    if twins.is_to_end(remote):
        return twin_writes.write_end_of_invoice(remote, upstreams.ninja_client(fence=claim.fence))
    if is_to_invite(remote):
        return write_invitations(claim)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    found = find_invoice(remote, ninja)
    if found is None:
        check_tasks_free(remote, ninja)
        created = ninja.create_invoice(invoice_body(remote.desired))
        keep_id(claim, created.id)
        found = find_made(remote, ninja)
    if is_to_change(found, remote):
        check_tasks_free(remote, ninja, besides=found.id)
        ninja.update_invoice(found.id, change_body(wanted(remote), found))
        found = ninja.invoice(found.id)
    return prove_invoice(found, remote, ninja)


def look_up_invoice(remote: RemoteRecord) -> Proof:
    """What became of a write whose outcome is unknown. Raises NotThere when it is to be written (again)."""
    if is_to_end(remote):
        return look_up_end(remote)
    if twins.is_to_end(remote):
        return twin_writes.look_up_end_of_invoice(remote, upstreams.ninja_client())
    if is_to_invite(remote):
        return look_up_invitations(remote)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts)
    found = find_invoice(remote, ninja)
    if found is None or is_to_change(found, remote):
        raise NotThere
    return prove_invoice(found, remote, ninja)


# --- after the proof ----------------------------------------------------------------------------------------------


def _lock_first(remote: RemoteRecord) -> None:
    """Items, entries, then the invoice: the order in which everybody takes them."""
    if is_to_end(remote):
        releasing.lock_for_release(Invoice.objects.get(remote=remote))
    items = InvoiceLine.objects.filter(invoice__remote=remote, is_voided=False).values_list("entry__item_id", flat=True)
    claims.lock_work(items)
    Invoice.objects.select_for_update(of=("self",), no_key=True).filter(remote=remote).first()


def _after_sync(remote: RemoteRecord) -> None:
    """The invoice is created, its entries are invoiced. Runs in the transaction that writes the proof.

    One that is further already was only changed: nothing follows, unless the change was its end.
    """
    if is_to_end(remote):
        after_end(remote)
        return
    if twins.is_to_end(remote):
        twins.after_end(remote)
    elif is_to_invite(remote):
        after_inviting(remote)
    invoice = Invoice.objects.get(remote=remote)
    deviations.end(invoice)
    if invoice.state != InvoiceState.APPROVED:
        old_copies.note_proof(invoice, remote)
        return
    seen = remote.seen
    advance(
        invoice,
        InvoiceState.CREATED,
        why=_("created in Invoice Ninja and equal to what was approved"),
        number=seen["number"],
        remote_status=seen["status_id"],
        balance=Decimal(seen["balance"]),
        remote_updated_at=cursors.as_known(_instant(seen["updated_at"])),
        invitations=[{"contact": contact} for contact in seen["invited"]],
    )
    _mark_invoiced(invoice)
    refresh_statuses(invoice)


def _instant(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _mark_invoiced(invoice: Invoice) -> None:
    """All entries of the invoice from claimed to invoiced, each with its Transition, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH moved AS (
                UPDATE sync_timeentry AS entry SET state = %(to)s, state_since = now()
                FROM invoicing_invoiceline AS line
                WHERE line.entry_id = entry.id AND line.invoice_id = %(invoice)s AND NOT line.is_voided
                  AND entry.state = %(from)s
                RETURNING entry.id, entry.correlation_id
            )
            INSERT INTO sync_transition (model, row_id, from_state, to_state, why, correlation_id, at)
            SELECT 'sync.timeentry', id, %(from)s, %(to)s, %(why)s, correlation_id, now() FROM moved
            """,
            {
                "to": EntryState.INVOICED.value,
                "from": EntryState.CLAIMED.value,
                "invoice": invoice.pk,
                "why": _("on invoice %(number)s") % {"number": invoice.number},
            },
        )


def refresh_statuses(invoice: Invoice) -> None:
    """Let Taiga's status follow the invoice where a rule set says "Invoiced" only on approval or sending."""
    items = WorkItem.objects.filter(
        entries__in=TimeEntry.objects.filter(lines__invoice=invoice, lines__is_voided=False).exclude(
            rule_set__taiga_invoiced_when="pushed"
        )
    )
    for item in items.distinct():
        writeback.request_status(item)


HANDLER = Handler(RecordKind.INVOICE, write_invoice, look_up_invoice, _after_sync, _lock_first, makes_another=True)
