"""Answers of Invoice Ninja that are older than what we have read of the same thing before.

A replica that lags, a cache, or a restored copy behind a load balancer answers now and then as the server was minutes
or a day ago. Nothing of ours goes backwards for it: no payment is taken back, nothing is compared, written or asked
about. It is said, read again by its id with every poll, and believed when nothing newer was shown for six hours: then
an older backup was restored there for good, or a time that we know was wrong. Times of change are the server's own, in
whole seconds, and only ever grow there (recordings 936, 1317 to 1319, 1332 to 1335).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import clock, formats
from billing_console.errors import UpstreamError
from invoicing import cursors
from invoicing.models import Invoice
from sync import alarms, heartbeats
from sync.clients.invoice_ninja import UPSTREAM, InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaInvoice, NinjaPayment
from sync.models import RemoteRecord

logger = logging.getLogger(__name__)

BELIEVED_AFTER: Final = dt.timedelta(hours=6)  # real time
ALARM: Final = "old-copy-invoice_ninja"
HEARTBEAT: Final = "old_copy"
_SAID_FOR: Final = dt.timedelta(hours=1)  # after the last one
_IN_FLIGHT: Final = dt.timedelta(minutes=2)  # an answer that another reader overtook is not an old copy's
AT_ONCE: Final = 20


class OldCopy(UpstreamError):
    """The answer is older than one that we have seen: nothing is concluded from it, the same is asked again later."""

    default_sentence = gettext_lazy(
        "%(upstream)s answered with an older state than one that we have seen: a replica that lags, a cache or a "
        "restored copy of it. Nothing was done; it is asked again by itself."
    )


def read_invoice(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaInvoice:
    """The invoice of a record, or of one that marks it, by its id; as new as we know it at least.

    Raises OldCopy, NotFound and other UpstreamErrors.
    """
    there = ninja.invoice(NinjaId(remote.remote_id or remote.desired.get("invoice_id", "")))
    check(Invoice.objects.filter(remote__our_key=remote.our_key).first(), there)
    return there


def check(invoice: Invoice | None, there: NinjaInvoice) -> None:
    """Raises OldCopy where `there` is older than what was read of the invoice before."""
    if invoice is not None and cursors.is_older(there.updated_at, invoice.remote_updated_at):
        note(invoice, there)
        raise OldCopy(UPSTREAM, "GET", f"/invoices/{there.id}", status=200)


def note_proof(invoice: Invoice, remote: RemoteRecord) -> None:
    """What was just proven of it there is known from now on. In the proof's transaction."""
    if text := remote.seen.get("updated_at"):
        proven = cursors.as_known(dt.datetime.fromisoformat(text))
        known = Q(remote_updated_at__isnull=True) | Q(remote_updated_at__lt=proven)
        Invoice.objects.filter(known, pk=invoice.pk).update(remote_updated_at=proven)


def is_believed(older_seen_at: dt.datetime | None) -> bool:
    """Whether an older state, first seen at that instant (real time) and nothing newer since, is the state by now."""
    return older_seen_at is not None and older_seen_at <= timezone.now() - BELIEVED_AFTER


def note(invoice: Invoice, there: NinjaInvoice) -> None:
    """Say that an older state was shown, and let the invoice be read by its id until that is settled."""
    known = invoice.remote_updated_at
    if known is None or known > clock.now() - _IN_FLIGHT:
        return
    Invoice.objects.filter(pk=invoice.pk, older_seen_at__isnull=True).update(older_seen_at=timezone.now())
    words = {
        "invoice": invoice,
        "theirs": formats.moment(there.updated_at, invoice.timezone),
        "known": formats.moment(known, invoice.timezone, has_zone=True),
    }
    say(
        _(
            "Invoice Ninja showed %(invoice)s as it was at %(theirs)s, although we have seen it as of %(known)s: a "
            "replica that lags, a cache or a restored copy of it answers now and then. Nothing was taken back for it, "
            "and it is read again by itself. Look at that server; if an older backup was restored there for good, what "
            "it holds counts here after six hours."
        )
        % words
    )


class Known(Protocol):
    """A row of ours of a payment there: when what we know was changed, and since when an older state is shown."""

    ninja_id: str
    remote_updated_at: dt.datetime | None
    older_seen_at: dt.datetime | None


def older_payments(rows: Iterable[NinjaPayment], known: QuerySet[Any]) -> set[str]:
    """Ids there of the payments of which `rows` show an older state than ours, which is not believed (yet).

    Read again by the nightly reading of all payments, whose second word counts.
    """
    times = {row.id: row.updated_at for row in rows}
    found: list[Known] = [row for row in known if cursors.is_older(times[row.ninja_id], row.remote_updated_at)]
    older = {row.ninja_id for row in found if not is_believed(row.older_seen_at)}
    if known.filter(ninja_id__in=older, older_seen_at__isnull=True).update(older_seen_at=timezone.now()):
        say(
            _(
                "Invoice Ninja showed %(count)d payments as they were before a change that we have seen: a replica "
                "that lags, a cache or a restored copy of it answers now and then. Nothing was taken back for it. Look "
                "at that server; if an older backup was restored there for good, what it holds counts here after the "
                "next nightly reading."
            )
            % {"count": len(older)}
        )
    return older


def say(sentence: str) -> None:
    """Until an hour has passed without another one."""
    logger.warning("%s", sentence)
    heartbeats.note(HEARTBEAT)
    alarms.raise_alarm(ALARM, sentence, url_name="admin:invoicing_invoice_changelist")


def unsettled() -> list[Invoice]:
    """Some of the invoices that were shown older and nothing newer since, by chance: each has its turn."""
    rows = Invoice.objects.filter(older_seen_at__isnull=False, remote__remote_id__isnull=False)
    return list(rows.select_related("remote").order_by("?")[:AT_ONCE])


def clear_when_over() -> None:
    """With every poll: nothing older was shown for an hour."""
    if not heartbeats.is_alive(HEARTBEAT, _SAID_FOR):
        alarms.clear(ALARM)
