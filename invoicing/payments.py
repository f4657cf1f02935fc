"""What Invoice Ninja says of our invoices since: sent by hand, partly paid, paid, cancelled; and what is overdue.

Polled by `updated_at` with overlap: always page 1, because pages shift under the reader (design: Catching what webhooks
never say); `cursors` says from where, and once a day `rereading` asks without believing any time. Amounts are gross, in
the invoice's currency. Overdue is our own rule: balance > 0 and today > due date.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock, formats
from billing_console.batches import in_batches
from billing_console.errors import ConfigError, ConsoleError, NotFound, UpstreamError, said_by
from billing_console.states import InvoiceState
from invoicing import (
    applied,
    bouncing,
    comparing,
    creating,
    cursors,
    deviations,
    old_copies,
    open_credits,
    receivers,
    twins,
    unapplied,
)
from invoicing.cursors import Position
from invoicing.ended_there import has_ended, rest_of
from invoicing.fees import fees_of
from invoicing.models import Invoice
from sync import gate, heartbeats, push, upstreams
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, PAID, PARTIAL, REVERSED, SENT, NinjaId, NinjaInvoice
from sync.models import RecordKind, RemoteRecord, Server
from sync.transitions import advance, can_advance

logger = logging.getLogger(__name__)

_NAMED = 5  # invoices that a sentence lists
BATCH = 500
INVOICES, PAYMENTS = "invoices", "payments"
OWED = (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
IN_OUR_HANDS = (InvoiceState.APPROVED, InvoiceState.SENDING, InvoiceState.ATTENTION)
HEARTBEAT = "payments"
STATE_BY_STATUS = {
    SENT: InvoiceState.SENT,
    PARTIAL: InvoiceState.PARTLY_PAID,
    PAID: InvoiceState.PAID,
    CANCELLED: InvoiceState.CANCELLED,
    REVERSED: InvoiceState.REVERSED,
}


class NotTakenOver(ConsoleError):
    """The console itself failed on some of the invoices that it read; all others were taken over.

    `since` is the earliest change among them (UTC), None where it is not known: nothing later counts as read. `count`
    is how many of our invoices were looked at.
    """

    def __init__(self, failed: Sequence[tuple[Invoice, NinjaInvoice]], count: int) -> None:
        self.count = count
        changes = [there.updated_at for _invoice, there in failed]
        known = [change for change in changes if change is not None]
        self.since = min(known) if len(known) == len(changes) else None
        super().__init__(
            _(
                "What Invoice Ninja says of %(invoices)s could not be taken over, because the console itself failed; "
                "its log says why. It is read again by itself."
            )
            % {"invoices": ", ".join(str(invoice) for invoice, _there in failed[:_NAMED])}
        )


def poll() -> int:
    """Read what changed in Invoice Ninja since the last poll; returns how many of our invoices were looked at.

    A failure, of a server or of our own, is a sentence beside the heartbeat "payments"; the next poll reads the
    same again. An invoice on which we fail keeps no other back, and the poll does not go on to what changed after it.
    """
    if why := gate.why_not_called(Server.NINJA):
        heartbeats.note_failure(HEARTBEAT, why)
        return 0
    try:
        upstreams.check_pin(Server.NINJA)
        ninja = upstreams.ninja_client()
        seen, faults = _poll_invoices(ninja)
        twins.look_again(ninja)
        _poll_payments(ninja)
        open_credits.read(ninja)
        faults += _catch_up(ninja)
        faults += _read_older_again(ninja)
        comparing.watch_currencies()
        comparing.compare_asked(ninja)
    except OperationalError:
        raise
    except Exception as error:
        if not isinstance(error, UpstreamError | ConfigError):
            logger.exception("what was paid could not be read")
        faults, seen = [said_by(error)], 0
    if faults:
        heartbeats.note_failure(HEARTBEAT, faults[0].sentence)
    else:
        heartbeats.note(HEARTBEAT)
    return seen


def _poll_invoices(ninja: InvoiceNinjaClient) -> tuple[int, list[ConsoleError]]:
    seen, faults = 0, list[NotTakenOver]()
    position = Position(INVOICES)
    for rows in in_batches(ninja.invoices_updated_since(position.since), BATCH):
        try:
            seen += observe_invoices(rows)
        except NotTakenOver as failure:
            seen += failure.count
            faults.append(failure)
        notice_foreign(rows)
        twins.notice_doubled(rows, ninja)
        position.note(rows)
    failed = [fault.since for fault in faults]
    if None not in failed:
        position.end(ninja.skew, before=min((since for since in failed if since), default=None))
    return seen, list(faults)


def _poll_payments(ninja: InvoiceNinjaClient) -> None:
    position = Position(PAYMENTS)
    for rows in in_batches(ninja.payments_updated_since(position.since), BATCH):
        applied.observe(rows)
        unapplied.observe(rows, ninja)
        position.note(rows)
    position.end(ninja.skew)


def observe_invoices(rows: Iterable[NinjaInvoice], *, after: Mapping[int, dt.datetime | None] | None = None) -> int:
    """Take over status, balance and what was paid of those rows that are ours; returns how many are.

    A reading that is older than what is known is an old copy's, and changes nothing. `after` says of invoices (by our
    id) which time of change was known when they were asked for: where that still stands, and nothing newer was shown
    for hours, the older one counts after all (`old_copies`). Raises NotTakenOver, after all others, for those on
    which the console itself failed.
    """
    by_id = {row.id: row for row in rows}
    ours = Invoice.objects.filter(remote__remote_id__in=by_id, remote__server=Server.NINJA).select_related("remote")
    count, failed = 0, []
    for invoice in ours:
        if invoice.remote and invoice.remote.remote_id:
            there = by_id[invoice.remote.remote_id]  # type: ignore[index]
            count += 1
            try:
                if observed := _observe(invoice, there, (after or {}).get(invoice.pk)):
                    deviations.compare(observed, there)
            except OperationalError:
                raise
            except Exception:  # whatever it was, it must be seen, and must keep nobody else back
                logger.exception("what Invoice Ninja says of %s could not be taken over", invoice)
                failed.append((invoice, there))
    if failed:
        raise NotTakenOver(failed, count)
    return count


def notice_foreign(rows: Iterable[NinjaInvoice]) -> int:
    """Let tasks of ours be looked at again that an invoice names which the console did not make; returns how many.

    A deleted one too: it may have set them free.
    """
    rows = [row for row in rows if any(line.task_id for line in row.lines)]
    known = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE)
    known = known.filter(our_key__in=[row.private_notes for row in rows])
    ours = dict(known.values_list("our_key", "remote_id"))
    foreign = [row for row in rows if ours.get(row.private_notes, "") not in (row.id, None)]
    why = _("an invoice in Invoice Ninja that the console did not make names it")
    return push.check_tasks({line.task_id for row in foreign for line in row.lines if line.task_id}, why)


def _observe(invoice: Invoice, there: NinjaInvoice, after: dt.datetime | None) -> Invoice | None:
    """The invoice with what was seen of it; None for a reading that is older than what is known."""
    with transaction.atomic():
        rows = Invoice.objects.select_for_update(of=("self",), no_key=True).select_related("client", "remote")
        locked = rows.get(pk=invoice.pk)
        known = locked.remote_updated_at
        is_newest = known == after and old_copies.is_believed(locked.older_seen_at)
        if cursors.is_older(there.updated_at, known) and not is_newest:
            old_copies.note(locked, there)
            return None  # an older reading never overwrites a newer one
        facts: dict[str, Any] = {
            # The server renames what is deleted; people know it by its first number.
            "number": locked.number if there.is_deleted else there.number or locked.number,
            "remote_status": there.status_id,
            "balance": there.balance,
            "paid_to_date": there.paid_to_date,
            "fees": fees_of(there, locked.currency).gross,
            "cancelled_rest": _rest(locked, there),
            "remote_updated_at": cursors.as_known(there.updated_at),
            "older_seen_at": None,
            "next_reminder_at": there.next_reminder_at,
            "reminded_on": [day.isoformat() if day else None for day in there.reminded_on],
            "last_mail_on": there.last_sent_on,
            "invitations": receivers.as_kept(there, locked.invitations),
        }
        if facts["cancelled_rest"] != locked.cancelled_rest:
            facts |= {"rest_cause": "", "changed_at": timezone.now()}
            locked.rest_cause = ""
        if (there.balance, there.paid_to_date) != (locked.balance, locked.paid_to_date):
            facts["changed_at"] = timezone.now()
        facts["bounce_sentence"] = bouncing.sentence_of(locked, facts["invitations"])
        to = _state_after(locked, there)
        if locked.state not in IN_OUR_HANDS:
            facts["attention_sentence"] = _what_to_decide(locked, there, to)
        if to and to != locked.state and can_advance(locked, to):
            sent_at: dict[str, Any] = {"sent_at": timezone.now()} if locked.state == InvoiceState.CREATED else {}
            advance(locked, to, why=_why(locked, there, to), **facts, **sent_at)
            creating.refresh_statuses(locked)
        else:
            Invoice.objects.filter(pk=locked.pk).update(**facts)
    return locked


def _state_after(invoice: Invoice, there: NinjaInvoice) -> str | None:
    """The state that the observation means, or None to leave it: while we send, sending decides."""
    if invoice.state in IN_OUR_HANDS or _lost_money(invoice, there):
        return None
    if has_ended(there.status_id, there):
        return InvoiceState.REVERSED if there.status_id == REVERSED else InvoiceState.CANCELLED
    if rest_of(there.status_id, there):
        return InvoiceState.PAID if invoice.rest_cause else InvoiceState.PARTLY_PAID
    if invoice.state == InvoiceState.CREATED and there.status_id == SENT and _may_be_sent_again(invoice):
        return None
    return STATE_BY_STATUS.get(there.status_id)


def _rest(invoice: Invoice, there: NinjaInvoice) -> Decimal:
    """What was cancelled of it after money came in; it stays cancelled when some of the money went back (1398)."""
    gap = there.amount - there.paid_to_date - there.balance
    return rest_of(there.status_id, there) or (invoice.cancelled_rest if gap == invoice.cancelled_rest else Decimal(0))


def _may_be_sent_again(invoice: Invoice) -> bool:
    """Our own call marked it as sent there, and a person said that the mail did not arrive."""
    return invoice.sendings.filter(is_called=True).exists()


def _lost_money(invoice: Invoice, there: NinjaInvoice) -> bool:
    """Reversed or deleted although money came in; deleting takes its payments along, so our rows count then."""
    if not has_ended(there.status_id, there) or invoice.state in (InvoiceState.CANCELLED, InvoiceState.REVERSED):
        return False
    return there.paid_to_date > 0 or there.is_deleted and invoice.payments.filter(amount__gt=F("refunded")).exists()


def _what_to_decide(invoice: Invoice, there: NinjaInvoice, to: str | None) -> str:
    number = {"number": invoice.number or there.number}
    if _lost_money(invoice, there):
        return (
            _(
                "Invoice %(number)s was reversed or deleted in Invoice Ninja although money came in. "
                "Restore it there, or give the money back there first."
            )
            % number
        )
    if rest_of(there.status_id, there) and not invoice.rest_cause:
        words = {"paid": formats.money(there.paid_to_date, invoice.currency)}
        rest = rest_of(there.status_id, there)
        return _(
            "Invoice %(number)s was cancelled in Invoice Ninja after %(paid)s came in: %(rest)s of it is owed by "
            "nobody any more, and nothing there undoes that. Say here that the rest is written off. Or, to bill it "
            "anew: give the money back there, then cancel it there once more."
        ) % {**number, **words, "rest": formats.money(rest, invoice.currency)}
    if to and to != invoice.state and not can_advance(invoice, to):
        return (
            _(
                "Invoice %(number)s lives again in Invoice Ninja after it was cancelled here. "
                "Cancel it there, or its work may be billed twice."
            )
            % number
        )
    return ""


def _why(invoice: Invoice, there: NinjaInvoice, to: str) -> str:
    if to in (InvoiceState.CANCELLED, InvoiceState.REVERSED):
        return _("seen in Invoice Ninja: deleted") if there.is_deleted else _("seen in Invoice Ninja: cancelled")
    if invoice.state == InvoiceState.CREATED:
        return _("seen in Invoice Ninja: sent by hand")
    return _("seen in Invoice Ninja: paid %(paid)s, open %(open)s %(currency)s") % {
        "paid": there.paid_to_date,
        "open": there.balance,
        "currency": invoice.currency,
    }


def _catch_up(ninja: InvoiceNinjaClient) -> list[ConsoleError]:
    """Read again what changed there while it was in our hands: that change was seen, and left to us, before."""
    faults: list[ConsoleError] = []
    behind = Q(remote_status="", state=InvoiceState.CREATED)
    for status, state in STATE_BY_STATUS.items():
        behind |= Q(remote_status=status) & ~Q(state=state)
    # What was cancelled after money came in has no state of its own here.
    rows = Invoice.objects.filter(behind, cancelled_rest=0, state__in=(InvoiceState.CREATED, *OWED, InvoiceState.PAID))
    for invoice in rows.filter(attention_sentence="", remote__remote_id__isnull=False).select_related("remote")[:100]:
        if not (invoice.remote_status == SENT and _may_be_sent_again(invoice)):
            try:
                read_again(invoice, ninja)
            except NotTakenOver as fault:
                faults.append(fault)
    return faults


def _read_older_again(ninja: InvoiceNinjaClient) -> list[ConsoleError]:
    """Ask once more for what was shown older than we know it, by its id: an old copy answered, or it is so by now."""
    faults: list[ConsoleError] = []
    for invoice in old_copies.unsettled():
        try:
            read_again(invoice, ninja)
        except NotFound:
            logger.warning("invoice %s is not shown by Invoice Ninja", invoice)
        except NotTakenOver as fault:
            faults.append(fault)
    old_copies.clear_when_over()
    return faults


def read_again(invoice: Invoice, ninja: InvoiceNinjaClient) -> None:
    """Ask for one invoice by its id and take it over. Raises NotTakenOver, UpstreamError."""
    there = ninja.invoice(NinjaId(invoice.remote.remote_id))  # type: ignore[union-attr, arg-type]
    observe_invoices([there], after={invoice.pk: invoice.remote_updated_at})


def overdue(invoices: QuerySet[Invoice] | None = None) -> QuerySet[Invoice]:
    """Invoices that are overdue by now: balance > 0 and today, in the invoice's zone, after the due date."""
    rows = Invoice.objects.all() if invoices is None else invoices
    zones = set(Invoice.objects.filter(state__in=OWED).values_list("timezone", flat=True).distinct())
    late = Q(pk__in=[])
    for zone in zones:
        late |= Q(timezone=zone, due_date__lt=clock.today(zone))
    return rows.filter(late, state__in=OWED, balance__gt=0)
