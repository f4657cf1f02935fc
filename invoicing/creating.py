"""Approved invoices into Invoice Ninja: created once, found again by our key, compared three ways.

The key in the private notes is looked up before every POST, the first too: a double invoice is worse than a slow one
(design: The remote writes). Compared: our net lines with the server's rounded line totals, our tax with its total
taxes, net + tax with its amount; and every task must now name this invoice (billing-rules: Order of calculation).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.states import EntryState, InvoiceState, Reason, RecordState
from invoicing.models import Invoice, InvoiceLine
from mappings.models import TaxDecision
from sync import doorbell, upstreams, writeback
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaInvoice
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry, WorkItem
from sync.outbox import Claim, Handler, NeedsPerson, NotThere, Proof, drain
from sync.transitions import advance, record

TASK_LINE = "2"  # Invoice Ninja's type of a line that bills a task


# --- what we want there -------------------------------------------------------------------------------------------


def request_invoice(invoice: Invoice) -> RemoteRecord:
    """Want the approved invoice in Invoice Ninja, as sealed. Runs in the transaction that approves it."""
    remote = invoice.remote
    if remote is None:
        remote = RemoteRecord.objects.create(
            server=Server.NINJA, kind=RecordKind.INVOICE, our_key=invoice.key, desired=desired_invoice(invoice)
        )
        record(remote, "", RecordState.PENDING, why=_("the draft was approved"))
        invoice.remote = remote
        invoice.save(update_fields=["remote"])
    else:
        remote.desired, remote.revision = desired_invoice(invoice), F("revision") + 1
        remote.save(update_fields=["desired", "revision"])
        remote.refresh_from_db()
        advance(remote, RecordState.PENDING, why=_("the draft was approved again"))
    transaction.on_commit(lambda: doorbell.ring("invoices"))
    return remote


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
    """Look up by our key, check that our tasks are free, POST, GET and compare."""
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id)
    claim.before_call()
    found = _find(remote, ninja)
    if found is None:
        claim.before_call()
        _check_tasks_free(remote, ninja)
        claim.before_call(writes=True)
        found = ninja.create_invoice(body_of(remote.desired))
        claim.before_call()
        found = ninja.invoice(found.id)
    claim.before_call()
    return _proof(found, remote, ninja)


def look_up_invoice(remote: RemoteRecord) -> Proof:
    """What became of a POST whose outcome is unknown. Raises NotThere when no invoice carries our key."""
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id)
    found = _find(remote, ninja)
    if found is None:
        raise NotThere
    return _proof(found, remote, ninja)


def _find(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaInvoice | None:
    found = [ninja.invoice(remote.remote_id)] if remote.remote_id else ninja.find_invoices(remote.our_key)
    if len(found) > 1:
        raise NeedsPerson(
            "found_twice",
            _("Invoice Ninja has %(count)d invoices with our key %(key)s. Delete the wrong one, then try again.")
            % {"count": len(found), "key": remote.our_key},
        )
    if found and found[0].is_deleted:
        raise NeedsPerson(
            "deleted_there",
            _("Somebody deleted invoice %(number)s in Invoice Ninja. Restore it there, then try again.")
            % {"number": found[0].number},
        )
    return found[0] if found else None


def body_of(desired: dict[str, Any]) -> dict[str, Any]:
    """The request body: every text number as an exact Decimal, one task per line, nothing billed by itself."""
    keys = ("client_id", "date", "due_date", "terms", "footer", "public_notes", "private_notes", "tax_name1")
    return {
        **{key: desired[key] for key in keys},
        "tax_rate1": Decimal(desired["tax_rate1"]),
        "auto_bill_enabled": False,
        "line_items": [
            {
                "type_id": TASK_LINE,
                "task_id": line["task_id"],
                "product_key": line["product_key"],
                "notes": line["notes"],
                "quantity": Decimal(line["quantity"]),
                "cost": Decimal(line["cost"]),
            }
            for line in desired["lines"]
        ],
    }


def _check_tasks_free(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> None:
    taken = [
        task.number
        for task in _our_tasks(remote, ninja)
        if task.invoice_id  # no invoice carries our key yet, so whichever it is, it is not ours
    ]
    if taken:
        raise NeedsPerson(
            Reason.INVOICED_BY_HAND,
            _(
                "%(tasks)s is already on an invoice in Invoice Ninja that the console did not make. "
                "Withdraw the approval and exclude it, or take it off that invoice and try again."
            )
            % {"tasks": ", ".join(sorted(taken))},
        )


def _our_tasks(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> list[Any]:
    """Our tasks as they are there: one call each for a short invoice, one list of the client for a long one."""
    wanted = {line["task_id"] for line in remote.desired["lines"] if line["task_id"]}
    if len(wanted) <= 3:
        return [ninja.task(task_id) for task_id in sorted(wanted)]
    tasks = [task for task in ninja.tasks(client_id=remote.desired["client_id"]) if task.id in wanted]
    missing = wanted - {task.id for task in tasks}
    return tasks + [ninja.task(task_id) for task_id in sorted(missing)]


# --- comparing ----------------------------------------------------------------------------------------------------


def differences(found: NinjaInvoice, desired: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where the invoice there is not as sealed: what → (ours, theirs). Amounts are compared at currency precision."""
    currency = desired["currency"]

    def rounded(value: Any) -> str:
        return str(money.quantize(Decimal(value), currency))

    pairs = {
        _("client"): (desired["client_id"], found.client_id),
        _("invoice date"): (desired["date"], _iso(found.date)),
        _("due date"): (desired["due_date"], _iso(found.due_date)),
        _("lines"): (str(len(desired["lines"])), str(len(found.lines))),
        _("tax"): (rounded(desired["tax"]), rounded(found.total_taxes)),
        _("total"): (rounded(desired["gross"]), rounded(found.amount)),
        _("net"): (
            rounded(desired["net"]),
            str(money.total(money.quantize(line.line_total, currency) for line in found.lines)),
        ),
    }
    for position, (ours, theirs) in enumerate(zip(desired["lines"], found.lines, strict=False), 1):
        name = _("line %(position)d") % {"position": position}
        pairs[name] = (
            f"{ours['notes']} | {Decimal(ours['quantity']):.2f} × {rounded(ours['cost'])} | {ours['task_id']}",
            f"{theirs.notes} | {theirs.quantity:.2f} × {rounded(theirs.cost)} | {theirs.task_id}",
        )
        pairs[name + " " + _("amount")] = (rounded(ours["amount"]), rounded(theirs.line_total))
    return {name: (ours, theirs) for name, (ours, theirs) in pairs.items() if ours != theirs}


def _iso(day: Any) -> str:
    return day.isoformat() if day else ""


def _proof(found: NinjaInvoice, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    wrong = differences(found, remote.desired)
    if not wrong:
        stolen = [task.number for task in _our_tasks(remote, ninja) if task.invoice_id != found.id]
        if stolen:
            wrong = {_("tasks linked"): (_("all"), _("not %(tasks)s") % {"tasks": ", ".join(sorted(stolen))})}
    if wrong:
        # The id is kept: the invoice exists, whatever a person decides about it.
        RemoteRecord.objects.filter(pk=remote.pk, remote_id__isnull=True).update(remote_id=found.id)
        listed = "; ".join(f"{name}: {ours} / {theirs}" for name, (ours, theirs) in wrong.items())
        raise NeedsPerson(
            "differs_there",
            _(
                "Invoice %(number)s in Invoice Ninja is not what was approved (ours / there: %(differences)s). "
                "Correct or delete it there, then try again."
            )
            % {"number": found.number or found.id, "differences": listed},
        )
    return Proof(
        found.id,
        {
            "number": found.number,
            "status_id": found.status_id,
            "amount": str(found.amount),
            "balance": str(found.balance),
            "total_taxes": str(found.total_taxes),
            "updated_at": found.updated_at.isoformat() if found.updated_at else None,
        },
    )


# --- after the proof ----------------------------------------------------------------------------------------------


def _after_sync(remote: RemoteRecord) -> None:
    """The invoice is created, its entries are invoiced. Runs in the transaction that writes the proof."""
    invoice = Invoice.objects.select_for_update(of=("self",)).get(remote=remote)
    if invoice.state != InvoiceState.APPROVED:
        return
    seen = remote.seen
    advance(
        invoice,
        InvoiceState.CREATED,
        why=_("created in Invoice Ninja and equal to what was approved"),
        number=seen["number"],
        remote_status=seen["status_id"],
        balance=Decimal(seen["balance"]),
        remote_updated_at=seen["updated_at"],
    )
    _mark_invoiced(invoice)
    refresh_statuses(invoice)


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


HANDLER = Handler(RecordKind.INVOICE, write_invoice, look_up_invoice, _after_sync)
