"""Credits in Invoice Ninja: made once, found again by our key, compared; each is one decided Difference, what a person
credits on an invoice (`invoice_credit`), or a rest that is written off (`writing_off`).

Invoice Ninja cannot search the private notes of credits, so the client's are listed and compared, before the POST and
after it. A credit is a draft there until it is used; nobody is mailed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock, money
from billing_console.errors import Forbidden, NotAllowed, NotFound, StaleRevision
from billing_console.reason import reason_of
from billing_console.states import DifferenceState, RecordState
from invoicing import content, credit_use, twin_writes, twins
from invoicing.creating_compare import describe
from invoicing.credit_left import Sums
from invoicing.credit_offer import Offer, offer
from invoicing.fees import net_of
from invoicing.models import Credit, CreditedPart, CreditUse, Invoice, InvoiceLine
from sync import doorbell, supplements, upstreams
from sync import entries as entry_service
from sync.claims import Claim, Handler, Missing, NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaCredit, NinjaId
from sync.models import Difference, RecordKind, RemoteRecord, Server
from sync.outbox import drain
from sync.outcomes import keep_id
from sync.transitions import advance, record

PRODUCT_LINE = "1"  # a line that bills no task: it must not take one over


# --- what we want there ---------------------------------------------------------------------------------------------


def request_credit(
    difference: Difference, *, mark: str, gross: str, user: User, note: str, is_to_use: bool = False, billed: str = ""
) -> Credit:
    """Decide a Difference by a credit, and want it in Invoice Ninja; with `is_to_use` set against its invoice, too.

    Where somebody in Taiga named another client, the next cycle bills that one. `mark`, `gross` and `billed` (what the
    other client is billed, before tax) are what the person saw, the note is required. Raises NotAllowed where there
    can be none, StaleRevision when it comes to something else by now, IllegalTransition on a second click.
    """
    reason = reason_of(note)
    with transaction.atomic():
        entry_service.lock_and_load([difference.item_id])
        row = supplements.lock_open(difference, mark)
        billed_on = InvoiceLine.objects.filter(entry__item=row.item_id, is_voided=False).values("invoice")
        for invoice in Invoice.objects.filter(pk__in=billed_on).order_by("pk"):
            content.lock_invoice(invoice.pk)  # what is left to credit of it is everybody's
        offered, why_not = offer(row)
        if offered is None:
            raise NotAllowed(why_not)
        if str(offered.gross) != gross:
            raise StaleRevision
        credit = _make(row, offered, user, reason, is_to_use=is_to_use)
        credited: Any = {"reason": reason, "credited_at": timezone.now()}
        advance(row, DifferenceState.CREDITED, why=reason, user=user, **credited)
        entry = supplements.bill_after_credit(row, user=user, note=reason)
        if billed != (str(entry.amount) if entry is not None else ""):
            raise StaleRevision
        transaction.on_commit(lambda: doorbell.ring("invoices"))
    return credit


def _make(difference: Difference, offered: Offer, user: User, reason: str, *, is_to_use: bool) -> Credit:
    invoice = offered.invoice
    credit = make(invoice, offered, user=user, reason=reason, difference=difference)
    if is_to_use and offered.usable > 0:
        credit_use.plan(credit, invoice, amount=offered.usable, user=user)
    return credit


def make(invoice: Invoice, sums: Sums | Offer, *, user: User, reason: str, **what: Any) -> Credit:
    """A credit of these lines, taxed as the invoice and dated today in its zone, wanted in Invoice Ninja.

    `what` says what it is of: a `difference`, or a `meaning`. In the caller's transaction, which holds the invoice.
    """
    credit = Credit(
        invoice=invoice,
        lines=[
            {"notes": line.notes, "hours": str(line.hours), "rate": str(line.rate), "amount": str(line.amount)}
            for line in sums.lines
        ],
        currency=invoice.currency,
        net=sums.net,
        tax_name=invoice.tax_name,
        tax_rate=invoice.tax_rate,
        tax=sums.tax,
        gross=sums.gross,
        credit_date=clock.today(invoice.timezone),
        reason=reason,
        made_by=user,
        **what,
    )
    want(credit, user=user)
    CreditedPart.objects.bulk_create(
        CreditedPart(credit=credit, line=line.line, hours=line.taken, amount=line.amount) for line in sums.lines
    )
    return credit


def want(credit: Credit, *, user: User) -> Credit:
    """Store the new credit and want it in Invoice Ninja, in the caller's transaction."""
    credit.remote = RemoteRecord.objects.create(
        server=Server.NINJA,
        kind=RecordKind.CREDIT,
        our_key=credit.key,
        desired=desired_credit(credit),
        correlation_id=credit.uuid,
    )
    record(credit.remote, "", RecordState.PENDING, why=credit.reason, user=user)
    credit.save()
    return credit


def desired_credit(credit: Credit) -> dict[str, Any]:
    """The credit as it must be there; amounts, hours and rates as text in its currency, the date ISO."""
    return {
        "client_id": credit.invoice.client.ninja_id,
        "date": credit.credit_date.isoformat(),
        # Printed for clients: not translated.
        "public_notes": f"{'Rest of' if credit.cause else 'Credit for'} invoice {credit.invoice.number}",
        "private_notes": credit.key,
        "tax_name1": credit.tax_name,
        "tax_rate1": str(credit.tax_rate),
        "net": str(credit.net),
        "tax": str(credit.tax),
        "gross": str(credit.gross),
        "currency": credit.currency,
        "lines": credit.lines,
    }


def give_up(credit: Credit, *, user: User, note: str) -> None:
    """Take back a credit that waits for a person and is not in Invoice Ninja; its Differences are open again, where it
    has some: what Taiga says now is asked, or agrees.

    Raises NotAllowed when it does not wait, or may be there.
    """
    reason = reason_of(note)
    with transaction.atomic():
        parts = CreditedPart.objects.filter(credit=credit, difference__isnull=False)
        taken = Difference.objects.filter(credited_parts__in=parts)
        items = set(taken.values_list("item_id", flat=True))
        entry_service.lock_and_load(items | ({credit.difference.item_id} if credit.difference else set()))
        row = Credit.objects.select_for_update(of=("self",)).select_related("difference").get(pk=credit.pk)
        remote = RemoteRecord.objects.select_for_update().get(pk=row.remote_id)
        if not can_give_up(row, remote):
            raise NotAllowed(
                _("This credit does not wait for a decision, or is in Invoice Ninja: it is not taken back.")
            )
        advance(remote, RecordState.PENDING, why=reason, user=user)
        advance(remote, RecordState.DROPPED, why=reason, user=user)
        Credit.objects.filter(pk=row.pk).update(is_given_up=True)
        CreditUse.objects.filter(credit=row, remote__isnull=True).update(is_dropped=True)
        if row.difference is not None:
            _open_again(row.difference, user, reason)
        for difference in taken.order_by("item_id", "-credited_at", "-pk"):
            _open_again(difference, user, reason, is_asked=False)


def can_give_up(credit: Credit, remote: RemoteRecord) -> bool:
    """Whether a person may take the credit back: it waits for one, and nothing of it is known there."""
    return remote.state == RecordState.ATTENTION and remote.remote_id is None and not credit.is_given_up


def _open_again(difference: Difference, user: User, reason: str, *, is_asked: bool = True) -> None:
    """The question stands again, with what Taiga says now; one that was asked meanwhile is a part of it.

    One that was never asked, because a person credited hours of a line, is over: Taiga's word counts as before.
    """
    for newer in Difference.objects.filter(item=difference.item_id, state=DifferenceState.OPEN):
        advance(newer, DifferenceState.CLOSED, why=_("asked together with the credit that was given up"), user=user)
    anew: Any = {"reason": "", "credited_at": None}
    advance(difference, DifferenceState.OPEN, why=reason, user=user, **anew)
    if not is_asked:
        advance(difference, DifferenceState.CLOSED, why=reason, user=user)
    entry_service.evaluate_many([difference.item_id], user=user)


# --- calling --------------------------------------------------------------------------------------------------------


def write_due(limit: int = 200) -> int:
    """Make every credit that is due, then use those that are to be used; returns how many records were handled."""
    return drain(HANDLER, limit) + credit_use.write_due(limit)


def write_credit(claim: Claim) -> Proof:
    """List the client's credits and look for ours; POST where it is not there; list again and compare."""
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    if twins.is_to_end(remote):
        twin_writes.write_end_of_credit(remote, ninja)
    found = find_credit(remote, ninja)
    if found is None:
        try:
            created = ninja.create_credit(credit_body(remote.desired))
        except Forbidden:
            raise NeedsPerson("no_credits", _no_right()) from None
        keep_id(claim, created.id)
        found = find_credit(remote, ninja) or ninja.credit(created.id)
    return _prove(found, remote)


def look_up_credit(remote: RemoteRecord) -> Proof:
    """What became of a write whose outcome is unknown. Raises NotThere when the client has no credit of our key."""
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id)
    if twins.is_to_end(remote) and not twin_writes.is_credit_ended(remote, ninja):
        raise NotThere
    found = find_credit(remote, ninja)
    if found is None:
        raise NotThere
    return _prove(found, remote)


def find_credit(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaCredit | None:
    """Our credit among the client's. One that a person deleted is asked about; raises NeedsPerson."""
    ours = twins.credits_of(remote, ninja)
    living = [row for row in ours if not row.is_deleted]
    if sentence := twins.notice(remote, living):
        raise NeedsPerson(twins.FOUND_TWICE, sentence)
    if ours and not living:
        raise NeedsPerson(
            "deleted_there",
            _("Somebody deleted credit %(number)s in Invoice Ninja. Restore it there, then try again.")
            % {"number": ours[0].number},
        )
    if not living and remote.remote_id:
        return _by_id(remote, ninja)
    return living[0] if living else None


def _by_id(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaCredit:
    """The credit that Invoice Ninja made and that its list does not show: an older copy of the list, or it is gone."""
    try:
        return ninja.credit(NinjaId(remote.remote_id or ""))
    except NotFound:
        raise Missing(
            "not_there",
            _("Invoice Ninja made the credit, but does not show it any more. Look at the client's credits there."),
        ) from None


def credit_body(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The request body, complete; no line names a task, which would move it off its invoice."""
    keys = ("client_id", "date", "public_notes", "private_notes", "tax_name1")
    return {
        **{key: desired[key] for key in keys},
        "tax_rate1": Decimal(desired["tax_rate1"]),
        "line_items": [
            {
                "type_id": PRODUCT_LINE,
                "product_key": "",
                "notes": line["notes"],
                "quantity": Decimal(line["hours"]),
                "cost": Decimal(line["rate"]),
            }
            for line in desired["lines"]
        ],
    }


def _prove(found: NinjaCredit, remote: RemoteRecord) -> Proof:
    wrong = _differences(found, remote.desired)
    if wrong:
        RemoteRecord.objects.filter(pk=remote.pk).update(remote_id=found.id)
        raise NeedsPerson(
            "differs_there",
            _(
                "Credit %(number)s in Invoice Ninja is not what was decided (ours / there: %(differences)s). "
                "Correct it there, then try again."
            )
            % {"number": found.number, "differences": describe(wrong)},
        )
    seen = {
        "number": found.number,
        "status_id": found.status_id,
        "amount": str(found.amount),
        "balance": str(found.balance),
        "total_taxes": str(found.total_taxes),
    }
    return Proof(found.id, seen)


def _differences(found: NinjaCredit, desired: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Where the credit there is not as decided: what → (ours, theirs). Lines that its use added are not compared."""
    currency, net = desired["currency"], Decimal(desired["net"])

    def exact(value: Any) -> str:
        return str(money.exact(Decimal(value), currency))

    theirs = found.lines[: len(desired["lines"])]
    pairs = {
        _("client"): (desired["client_id"], str(found.client_id)),
        _("date"): (desired["date"], found.date.isoformat() if found.date else ""),
        _("tax"): (exact(money.tax_amount(net, Decimal(desired["tax_rate1"]))), exact(found.total_taxes)),
        _("total"): (exact(desired["gross"]), exact(found.amount)),
        _("net"): (exact(net), exact(net_of(theirs, currency))),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _no_right() -> str:
    return _(
        "This account of Invoice Ninja may not make credits. Switch on the module Credits in its settings and give our "
        "user the right to create them, then try again; or give the credit up here and decide anew."
    )


# --- after the proof ------------------------------------------------------------------------------------------------


def _after_sync(remote: RemoteRecord) -> None:
    if twins.is_to_end(remote):
        twins.after_end(remote)
    credit = Credit.objects.select_related("remote").get(remote=remote)
    credit.invoice = content.lock_invoice(credit.invoice_id)
    Credit.objects.filter(pk=credit.pk).update(number=remote.seen["number"])
    credit.number = remote.seen["number"]
    credit_use.request_planned(credit)


HANDLER = Handler(RecordKind.CREDIT, write_credit, look_up_credit, _after_sync, makes_another=True)
