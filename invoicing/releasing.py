"""Hours of an invoice that ended: billed again as they were, priced anew, or written off (billing-rules: Cancelled and
billed again).

The invoice keeps its lines to look at; each is voided and marked as set free. Their tasks in Invoice Ninja are taken
off the ended invoice by their own records, and nothing bills an entry before its task is proven free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, TextChoices
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.models import User
from billing_console import formats
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import DifferenceState, EntryState, InvoiceState
from invoicing import claim, content, copying
from invoicing.models import Became, Credit, Invoice, InvoiceLine, Payment
from invoicing.run import settle_run
from sync import attention, entries, push, stories, writeback
from sync.hooks import Question
from sync.models import Difference, TimeEntry, WorkItem
from sync.transitions import advance

ENDED = (InvoiceState.CANCELLED, InvoiceState.REVERSED)
_HELD = Q(entry__isnull=True) | Q(entry__state=EntryState.INVOICED)


class Again(TextChoices):
    """What becomes of the lines of an invoice that ended."""

    COPY = "copy", _lazy("Bill it again as it was")
    ANEW = "anew", _lazy("Price it anew")
    WRITE_OFF = "write-off", _lazy("Write it off")


def release(invoice: Invoice, *, user: User, note: str, again: str = Again.ANEW) -> int:
    """Decide what becomes of the lines of an ended invoice; `again` is an `Again`. Returns how many lines there were.

    The note is required. Raises NotAllowed where money came in, where a credit was given, and on a second click.
    """
    reason = reason_of(note)
    with transaction.atomic():
        lock_for_release(invoice)
        row = content.lock_invoice(invoice.pk)
        if why := why_not(row):
            raise NotAllowed(why)
        return free_lines(row, user=user, why=reason, again=again)


def why_not(invoice: Invoice) -> str:
    """Why the entries of this invoice cannot be set free, "" where they can: one sentence for a person."""
    if invoice.state not in ENDED:
        return _("%(invoice)s is “%(state)s”: only hours of a cancelled or deleted invoice are set free.") % {
            "invoice": invoice,
            "state": invoice.get_state_display(),
        }
    if invoice.attention_sentence:
        return invoice.attention_sentence
    if has_money(invoice):
        return _(
            "Money came in on %(number)s. Give it back in Invoice Ninja first; then its hours can be set free."
        ) % {"number": invoice.number}
    if sentence := credit_sentence(invoice):
        return sentence
    if not living_lines(invoice).exists():
        return _("The hours of %(number)s were set free already. Nothing was done again.") % {"number": invoice.number}
    return ""


def has_money(invoice: Invoice) -> bool:
    """Whether money came in on the invoice and stayed, as far as Invoice Ninja was read."""
    return invoice.paid_to_date > 0 or invoice.payments.filter(amount__gt=F("refunded"), is_deleted=False).exists()


def credit_sentence(invoice: Invoice) -> str:
    """What stands in the way of billing the hours anew where a part of them was credited; "" where none was."""
    credits = Credit.objects.filter(invoice=invoice, is_given_up=False)
    given = credits.aggregate(gross=Sum("gross"))["gross"]
    if given is None:
        return ""
    return _(
        "%(amount)s of %(number)s was credited. Billing its hours anew would give that back twice: "
        "correct what is left by further credits."
    ) % {"amount": formats.money(given, invoice.currency), "number": invoice.number}


def living_lines(invoice: Invoice) -> QuerySet[InvoiceLine]:
    """The lines that the ended invoice still holds: of entries, and those that were added by hand."""
    return InvoiceLine.objects.filter(_HELD, invoice=invoice, is_voided=False)


def lock_for_release(invoice: Invoice) -> None:
    """Lock items (with their stories and tasks) and entries in the order in which everybody takes them."""
    items = InvoiceLine.objects.filter(invoice=invoice, is_voided=False, entry__isnull=False)
    claim.lock_work(stories.with_family(list(items.values_list("entry__item_id", flat=True))))


def free_lines(invoice: Invoice, *, user: User | None, why: str, again: str = Again.ANEW) -> int:
    """Void the (locked) ended invoice's lines and do with them what `again` says; returns how many there were.

    A copy is a draft of its own with the same lines. Priced anew, the entries are ready as Taiga says now, and lines
    by hand wait for the client's next draft. Written off, the books keep what was on the invoice. In the caller's
    transaction, which holds items, entries and the invoice.
    """
    lines = list(living_lines(invoice).select_related("entry").order_by("position", "pk"))
    rows = InvoiceLine.objects.filter(pk__in=[line.pk for line in lines])
    rows.update(is_voided=True, void_reason=why, voided_by=user, voided_at=timezone.now(), freed_at=timezone.now())
    entry_ids = [line.entry_id for line in lines if line.entry_id is not None]
    _move_entries(entry_ids, EntryState.INVOICED, EntryState.READY, why, user)
    for entry in TimeEntry.objects.filter(pk__in=entry_ids).order_by("pk"):
        push.free_task(entry)
    items = {line.entry.item_id for line in lines if line.entry is not None}
    _close_differences(items, entry_ids, user)
    if again == Again.COPY:
        copying.copy(invoice, lines, user=user, why=why)
        _move_entries(entry_ids, EntryState.READY, EntryState.CLAIMED, why, user)
        entries.evaluate_many(items, user=user)
    elif again == Again.WRITE_OFF and user is not None:
        rows.filter(entry__isnull=True).update(became=Became.WRITTEN_OFF)
        _write_off(lines, user, why)
    else:
        rows.filter(entry__isnull=True).update(is_waiting=True)
        entries.evaluate_many(items, user=user)
    for item in WorkItem.objects.filter(pk__in=items).order_by("pk"):
        writeback.request_status(item)
    settle_run(invoice.run)
    return len(lines)


def _write_off(lines: list[InvoiceLine], user: User, why: str) -> None:
    """The entries are given away at the hours, rate and amount of their lines, not priced again first."""
    for line in lines:
        if line.entry is not None:
            said = {"billed_hours": line.billed_hours, "rate": line.rate, "amount": line.amount}
            TimeEntry.objects.filter(pk=line.entry.pk).update(**said)
            attention.write_off_entry(line.entry, user=user, note=why)


def _move_entries(entry_ids: Iterable[int], before: str, after: str, why: str, user: User | None) -> None:
    """These entries from one state to another, each with its Transition, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH moved AS (
                UPDATE sync_timeentry SET state = %(to)s, state_since = now()
                WHERE id = ANY(%(entries)s) AND state = %(from)s
                RETURNING id, correlation_id
            )
            INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, correlation_id, at)
            SELECT 'sync.timeentry', id, %(from)s, %(to)s, %(user)s, %(why)s, correlation_id, now() FROM moved
            """,
            {
                "to": str(after),
                "from": str(before),
                "entries": list(entry_ids),
                "user": user.pk if user else None,
                "why": why,
            },
        )


def _close_differences(items: set[int], entry_ids: list[int], user: User | None) -> None:
    """What changed since the billing is no Difference any more where the latest cycle is priced again."""
    later = TimeEntry.objects.filter(item=OuterRef("item"), cycle__gt=OuterRef("entry__cycle"))
    rows = Difference.objects.filter(item__in=items, state=DifferenceState.OPEN, entry__in=entry_ids)
    for difference in rows.exclude(Exists(later)):
        advance(difference, DifferenceState.CLOSED, why=_("its hours were set free and priced again"), user=user)


# --- what waits for a person ----------------------------------------------------------------------------------------


def waiting() -> QuerySet[Invoice]:
    """Ended invoices whose entries nobody decided about yet, with `lines_left`."""
    left = Q(lines__is_voided=False) & (Q(lines__entry__isnull=True) | Q(lines__entry__state=EntryState.INVOICED))
    rows = Invoice.objects.filter(state__in=ENDED).annotate(lines_left=Count("lines", filter=left))
    return rows.filter(lines_left__gt=0)


def blocked() -> QuerySet[Invoice]:
    """Invoices of which something is wrong that only a person can mend, a mail in doubt too."""
    return Invoice.objects.exclude(attention_sentence="")


def undecided() -> QuerySet[Invoice]:
    """Ended invoices whose entries may be set free or written off now, and nobody did, with `lines_left`."""
    kept = Payment.objects.filter(invoice=OuterRef("pk"), amount__gt=F("refunded"), is_deleted=False)
    return waiting().filter(attention_sentence="", paid_to_date__lte=0).exclude(Exists(kept))


def questions() -> list[Question]:
    """The question about each ended invoice whose hours nobody set free or wrote off, and each blocked one."""
    found = [
        Question(
            what=f"{invoice.client} {invoice.number}",
            sentence=invoice.attention_sentence,
            url=reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            verb=_("Decide") if invoice.state == InvoiceState.ATTENTION else _("Look at it"),
            amount=formats.money(invoice.net, invoice.currency),
            since=invoice.state_since,
        )
        for invoice in blocked().select_related("client").order_by("state_since")[:100]
    ]
    return (
        found
        + [
            Question(
                what=f"{invoice.client} {invoice.number}",
                sentence=ngettext(
                    "It ended in Invoice Ninja and still holds %(count)d entry: bill it anew, or write it off?",
                    "It ended in Invoice Ninja and still holds %(count)d entries: bill them anew, or write them off?",
                    invoice.lines_left,  # type: ignore[attr-defined]
                )
                % {"count": invoice.lines_left},  # type: ignore[attr-defined]
                url=reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
                verb=_("Decide"),
                amount=formats.money(invoice.net, invoice.currency),
                since=invoice.state_since,
            )
            for invoice in undecided().select_related("client").order_by("state_since")[:100]
        ]
    )


def left_invoices(entry: TimeEntry) -> set[str]:
    """Invoice Ninja's ids of the ended invoices that the entry was set free from."""
    rows = InvoiceLine.objects.filter(entry=entry, freed_at__isnull=False, invoice__remote__remote_id__isnull=False)
    found: Any = rows.values_list("invoice__remote__remote_id", flat=True)
    return set(found)
