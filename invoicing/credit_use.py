"""A credit set against its invoice in Invoice Ninja: a payment without money, made once, and nobody is mailed.

The server takes our key for the payment once (recordings 707 to 709, 1218), and would refuse a second use itself; what
became of a lost answer is read from the payments, which name both the credit and the invoice.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock
from billing_console.errors import NotAllowed, Rejected
from billing_console.states import InvoiceState, RecordState
from invoicing import content
from invoicing.models import Credit
from sync import doorbell, upstreams
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaPayment
from sync.models import RecordKind, RemoteRecord, Server
from sync.outbox import drain
from sync.transitions import record

OWED = (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
LOOK_BACK = dt.timedelta(days=2)  # the server's clock may differ, and so may the day of its zone


def request_use(credit: Credit, *, user: User | None = None) -> RemoteRecord:
    """Want the credit set against its invoice, as far as that is owed. Locks the invoice.

    Raises NotAllowed when it is not in Invoice Ninja, was used already, or nothing is owed.
    """
    with transaction.atomic():
        invoice = content.lock_invoice(credit.invoice_id)
        row = Credit.objects.select_for_update(of=("self",)).select_related("remote").get(pk=credit.pk)
        row.invoice = invoice
        if why := why_not(row):
            raise NotAllowed(why)
        day = clock.today(invoice.timezone)
        desired = {
            "client_id": invoice.client.ninja_id,
            "credit_id": row.remote.remote_id,
            "invoice_id": invoice.remote.remote_id if invoice.remote else "",
            "amount": str(min(row.gross, invoice.balance or Decimal(0))),
            "date": day.isoformat(),
        }
        use = RemoteRecord.objects.create(
            server=Server.NINJA,
            kind=RecordKind.CREDIT_USE,
            our_key=f"{row.key}used",
            desired=desired,
            correlation_id=row.uuid,
        )
        record(use, "", RecordState.PENDING, why=_("to be set against the invoice"), user=user)
        Credit.objects.filter(pk=row.pk).update(use=use)
        transaction.on_commit(lambda: doorbell.ring("invoices"))
    return use


def why_not(credit: Credit) -> str:
    """Why the credit cannot be set against its invoice, "" where it can."""
    if credit.use_id is not None:
        return _("This credit was set against the invoice already. Nothing was done again.")
    if not credit.remote.remote_id or credit.is_given_up:
        return _("The credit is not in Invoice Ninja yet. Wait a moment, then do it again.")
    if credit.invoice.state not in OWED or not credit.invoice.balance:
        return _("Nothing is owed on the invoice. The credit stays open for the client's next one.")
    return ""


def write_due(limit: int = 200) -> int:
    """Use every credit that is due; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write_use(claim: Claim) -> Proof:
    """Look for the payment, POST it where there is none, and read it back."""
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts)
    claim.before_call()
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
        claim.before_call(writes=True)
        refused: Rejected | None = None
        try:
            ninja.create_payment(body)
        except Rejected as error:
            if "idempotency_key" not in error.fields:
                raise NeedsPerson("use_refused", _refused(error)) from None
            refused = error  # it was made before: then it is found now
        claim.before_call()
        found = _find(remote, ninja)
        if found is None and refused is not None:
            raise NeedsPerson("use_gone", _gone())
        if found is None:
            raise NeedsPerson(
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
    """The living payment that names both our credit and our invoice; the credit is ours alone, so there is one."""
    wanted = remote.desired
    since = dt.datetime.fromisoformat(wanted["date"]).replace(tzinfo=dt.UTC) - LOOK_BACK
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
    Credit.objects.filter(use=remote).update(used=Decimal(remote.seen["used"]))


HANDLER = Handler(RecordKind.CREDIT_USE, write_use, look_up_use, _after_sync)
