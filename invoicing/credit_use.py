"""A credit set against an invoice in Invoice Ninja: a payment without money, made once, and nobody is mailed.

It is chosen first, and begins once the credit is there and the invoice is sent: a credit on a draft would make it
"paid" before the client has it (recordings 1291 and 1292).

The server takes our key for the payment once (recordings 707 to 709, 1218), and would refuse a second use itself; what
became of a lost answer is read from the payments, which name both the credit and the invoice.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock, formats, money
from billing_console.errors import NotAllowed, Rejected
from billing_console.states import InvoiceState, RecordState
from invoicing import content
from invoicing.models import Credit, CreditUse, Invoice, OpenCredit
from sync import doorbell, upstreams
from sync.claims import Claim, Handler, Missing, NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaPayment
from sync.models import RecordKind, RemoteRecord, Server
from sync.outbox import drain
from sync.transitions import record

OWED = (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
LOOK_BACK = dt.timedelta(days=2)  # the server's clock may differ, and so may the day of its zone


def plan(
    credit: Credit | OpenCredit, invoice: Invoice, *, amount: Decimal, user: User | None, note: str = ""
) -> CreditUse:
    """Want at most `amount` (gross) of the credit set against the invoice, once both are there and it is sent.

    In the caller's transaction, which holds the invoice. Raises NotAllowed where it was chosen already.
    """
    whose: dict[str, Any] = {"ninja_id": credit.ninja_id} if isinstance(credit, OpenCredit) else {"credit": credit}
    if CreditUse.objects.filter(invoice=invoice, is_dropped=False, **whose).exists():
        raise NotAllowed(_("This credit was set against the invoice already. Nothing was done again."))
    use = CreditUse.objects.create(**whose, number=credit.number, invoice=invoice, amount=amount, chosen_by=user)
    words = {"amount": formats.money(amount, invoice.currency), "number": credit.number or _("a new credit")}
    why = _("at most %(amount)s of %(number)s to be set against it") % words
    record(invoice, invoice.state, invoice.state, why=f"{why}: {note}" if note else why, user=user)
    transaction.on_commit(lambda: doorbell.ring("invoices"))
    return use


def request_use(credit: Credit, *, user: User | None = None) -> RemoteRecord:
    """Want the credit set against its own invoice at once, as far as that is owed. Locks the invoice.

    Raises NotAllowed when it is not in Invoice Ninja, was used already, or nothing is owed.
    """
    with transaction.atomic():
        invoice = content.lock_invoice(credit.invoice_id)
        row = Credit.objects.select_for_update(of=("self",)).select_related("remote").get(pk=credit.pk)
        row.invoice = invoice
        if why := why_not(row):
            raise NotAllowed(why)
        amount = min(row.rest, invoice.balance or Decimal(0))
        use = planned_of(row, invoice) or plan(row, invoice, amount=amount, user=user)
        return _request(use, invoice, row.remote.remote_id or "", row.rest, user)


def planned_of(credit: Credit, invoice: Invoice) -> CreditUse | None:
    """The use of the credit for this invoice that was chosen and did not begin, None where there is none."""
    return CreditUse.objects.filter(credit=credit, invoice=invoice, is_dropped=False, remote__isnull=True).first()


def request_planned(credit: Credit | None = None) -> int:
    """Begin every chosen use (of `credit`) whose credit is there and whose invoice is owed; returns how many."""
    rows = CreditUse.objects.filter(remote__isnull=True, is_dropped=False, invoice__state__in=OWED)
    rows = rows.filter(invoice__balance__gt=0).exclude(credit__is_given_up=True)
    rows = rows.filter(Q(credit__isnull=True) | Q(credit__remote__remote_id__isnull=False))
    count = 0
    for pk in rows.filter(**({"credit": credit} if credit else {})).order_by("pk").values_list("pk", flat=True)[:200]:
        with transaction.atomic():
            count += _request_one(pk)
    return count


def _request_one(pk: int) -> bool:
    use = CreditUse.objects.select_related("credit__remote").get(pk=pk)
    invoice = content.lock_invoice(use.invoice_id)
    use = CreditUse.objects.select_for_update(of=("self",)).select_related("credit__remote").get(pk=pk)
    if use.remote_id is not None or use.is_dropped or invoice.state not in OWED or not invoice.balance:
        return False
    if use.credit is not None:
        # What another use of the same credit takes at this moment is not known to be gone yet.
        remote = use.credit.remote
        if remote.state != RecordState.SYNCED or not remote.remote_id or not _may_begin(use):
            return False
        there, rest = remote.remote_id, use.credit.rest
    else:
        found = OpenCredit.objects.filter(ninja_id=use.ninja_id).first()
        if found is None or not _may_begin(use):
            return False
        there, rest = use.ninja_id, money.quantize(found.balance, invoice.currency)
    if rest <= 0:
        return False
    _request(use, invoice, there, rest, use.chosen_by)
    return True


def _may_begin(use: CreditUse) -> bool:
    same = {"credit": use.credit} if use.credit_id else {"ninja_id": use.ninja_id}
    begun = CreditUse.objects.filter(**same, remote__isnull=False, is_dropped=False)
    return not begun.exclude(remote__state__in=(RecordState.SYNCED, RecordState.ATTENTION)).exists()


def _request(use: CreditUse, invoice: Invoice, credit_id: str, rest: Decimal, user: User | None) -> RemoteRecord:
    desired = {
        "client_id": invoice.client.ninja_id,
        "credit_id": credit_id,
        "invoice_id": invoice.remote.remote_id if invoice.remote else "",
        "amount": str(min(use.amount, rest, invoice.balance or Decimal(0))),
        "date": clock.today(invoice.timezone).isoformat(),
    }
    remote = RemoteRecord.objects.create(
        server=Server.NINJA,
        kind=RecordKind.CREDIT_USE,
        our_key=f"bc-{use.uuid};used",
        desired=desired,
        correlation_id=use.uuid,
    )
    record(remote, "", RecordState.PENDING, why=_("to be set against the invoice"), user=user)
    CreditUse.objects.filter(pk=use.pk).update(remote=remote)
    transaction.on_commit(lambda: doorbell.ring("invoices"))
    return remote


def why_not(credit: Credit) -> str:
    """Why the credit cannot be set against its own invoice, "" where it can."""
    begun = [use for use in credit.uses.all() if use.invoice_id == credit.invoice_id and use.remote_id]
    if begun or credit.rest <= 0:
        return _("This credit was set against the invoice already. Nothing was done again.")
    if not credit.remote.remote_id or credit.is_given_up:
        return _("The credit is not in Invoice Ninja yet. Wait a moment, then do it again.")
    if credit.invoice.state not in OWED or not credit.invoice.balance:
        return _("Nothing is owed on the invoice. The credit stays open for the client's next one.")
    return ""


def write_due(limit: int = 200) -> int:
    """Use every credit that is due; returns how many records were handled. Safe in several workers."""
    request_planned()
    return drain(HANDLER, limit)


def write_use(claim: Claim) -> Proof:
    """Look for the payment, POST it where there is none, and read it back."""
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    found = _find(remote, ninja)
    if found is None:
        wanted = remote.desired
        part = Decimal(wanted["amount"])
        body = {
            "client_id": wanted["client_id"],
            "amount": 0,
            "date": wanted["date"],
            "credits": [{"credit_id": wanted["credit_id"], "amount": part}],
            "invoices": [{"invoice_id": wanted["invoice_id"], "amount": part}],
            "email_receipt": False,  # left out, the client is thanked for a payment of 0 (698 to 706, 718)
            "idempotency_key": remote.our_key,
        }
        refused: Rejected | None = None
        try:
            ninja.create_payment(body)
        except Rejected as error:
            if "idempotency_key" not in error.fields:
                raise NeedsPerson("use_refused", _refused(error)) from None
            refused = error  # it was made before: then it is found now
        found = _find(remote, ninja)
        if found is None and refused is not None:
            raise Missing("use_gone", _gone())
        if found is None:
            raise Missing(
                "not_there", _("Invoice Ninja accepted the use of the credit but shows no payment. Look at it there.")
            )
    return _prove(found, remote)


def look_up_use(remote: RemoteRecord) -> Proof:
    """What became of a use whose outcome is unknown. Raises NotThere when no payment names credit and invoice."""
    found = _find(remote, upstreams.ninja_client(correlation_id=remote.correlation_id))
    if found is None:
        raise NotThere
    return _prove(found, remote)


def _find(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaPayment | None:
    """The living payment that names both the credit and our invoice: no credit is set against one invoice twice."""
    wanted = remote.desired
    # Neither our clock that was ahead when the date was taken, nor theirs that is behind, hides it.
    present = clock.now() + min(ninja.skew or dt.timedelta(), dt.timedelta())
    since = min(dt.datetime.fromisoformat(wanted["date"]).replace(tzinfo=dt.UTC), present) - LOOK_BACK
    for payment in ninja.payments_updated_since(since):
        credits = {part.credit_id for part in payment.allocations}
        invoices = {part.invoice_id for part in payment.allocations}
        if not payment.is_deleted and wanted["credit_id"] in credits and wanted["invoice_id"] in invoices:
            return payment
    return None


def _prove(found: NinjaPayment, remote: RemoteRecord) -> Proof:
    wanted = remote.desired
    used = sum((part.amount for part in found.allocations if part.credit_id == wanted["credit_id"]), Decimal(0))
    if used != Decimal(wanted["amount"]):
        raise NeedsPerson(
            "differs_there",
            _("In Invoice Ninja %(there)s of the credit are used, not %(wanted)s. Correct it there, then try again.")
            % {"there": used, "wanted": wanted["amount"]},
        )
    return Proof(NinjaId(found.id), {"payment": found.number, "used": str(used)})


def _gone() -> str:
    return _(
        "Invoice Ninja made this use of the credit once, but shows its payment no more: somebody deleted it there. Set "
        "the credit against the invoice there by hand, then try again: it is found, and nothing is made twice."
    )


def _refused(error: Rejected) -> str:
    return _(
        "Invoice Ninja refused to use the credit: %(why)s It was used or changed there. Look at the credit and the "
        "invoice there, then try again; what is left of the credit stays open for the client's next invoice."
    ) % {"why": error.sentence}


def _after_sync(remote: RemoteRecord) -> None:
    used = Decimal(remote.seen["used"])
    use = CreditUse.objects.select_related("credit").get(remote=remote)
    CreditUse.objects.filter(pk=use.pk).update(used=used)
    if use.credit is not None:
        total = CreditUse.objects.filter(credit=use.credit, is_dropped=False).aggregate(total=Sum("used"))["total"]
        Credit.objects.filter(pk=use.credit.pk).update(used=total)
    else:
        OpenCredit.objects.filter(ninja_id=use.ninja_id).update(balance=F("balance") - used)


HANDLER = Handler(RecordKind.CREDIT_USE, write_use, look_up_use, _after_sync)
