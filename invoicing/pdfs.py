"""The PDF of every invoice that was sent, fetched once and kept with its hash; a clear note where none can be made.

Wanted is a row, found by looking for sent invoices without one. Fetching is a GET by a contact's invitation, which
changes nothing there: it is never done for a draft, and no draft becomes sent by it. Invoice Ninja without a PDF engine
is asked once in a while, not once for each invoice.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import stopping
from billing_console.errors import ConfigError, NoPdfEngine, NotAllowed, UpstreamError
from billing_console.states import InvoiceState
from invoicing.creating_compare import describe, differences, wanted
from invoicing.models import Invoice, InvoicePdf
from invoicing.sending_checks import other_currency
from sync import currencies, doorbell, gate, leases, upstreams, waits
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import DRAFT, NinjaId, NinjaInvoice
from sync.models import Server

logger = logging.getLogger(__name__)

SENT_STATES: Final = (InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)
MOST_BYTES: Final = 10 * 1024 * 1024
NO_ENGINE_WAIT: Final = timedelta(hours=6)
HOPELESS_WAIT: Final = timedelta(days=30)
BATCH: Final = 500


def fetch_due(limit: int = 200) -> int:
    """Want the PDFs that are missing, then fetch what is due; returns how many were fetched. Safe in several workers.

    Stops at the first that the server cannot make: all others wait with the same sentence.
    """
    want_missing()
    done = fetched = 0
    while done < limit and not stopping.is_stopping() and gate.may_call(Server.NINJA) and (row := _claim_next()):
        done += 1
        try:
            fetched += _fetch(row)
        except NoPdfEngine as error:
            _wait_all(error.sentence)
            break
        except (UpstreamError, ConfigError) as error:
            _postpone(row, error.sentence, waits.wait_after(error, row.attempts))
    return fetched


def want_missing() -> int:
    """A row for each sent invoice that has none yet; returns how many."""
    rows = Invoice.objects.filter(state__in=SENT_STATES, pdf__isnull=True, remote__remote_id__isnull=False)
    ids = list(rows.order_by("pk").values_list("pk", "number")[:BATCH])
    InvoicePdf.objects.bulk_create(
        [InvoicePdf(invoice_id=pk, number=number) for pk, number in ids], ignore_conflicts=True
    )
    return len(ids)


def ask_again(invoice: Invoice) -> None:
    """A person wants what could not be fetched to be tried now. Raises NotAllowed when there is nothing to fetch."""
    if not _wanted().filter(invoice=invoice).update(not_before=None):
        raise NotAllowed(_("There is no PDF to fetch: it is here already, or the invoice is not sent."))
    transaction.on_commit(lambda: doorbell.ring("pdfs"))


def content_of(row: InvoicePdf) -> bytes:
    """The kept PDF. Raises NotAllowed where there is none (any more), or where it is not what was fetched."""
    if row.content is None or not row.sha256:
        raise NotAllowed(_("The PDF of this invoice is not kept here (any more). Download it in Invoice Ninja."))
    content = bytes(row.content)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise NotAllowed(_("The kept PDF is damaged: its hash is another one. Take it from a backup."))
    return content


def forget_old() -> int:
    """Throw contents away that were fetched before KEEP_PDFS_DAYS (0: never); hash, size and time stay."""
    if not settings.KEEP_PDFS_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.KEEP_PDFS_DAYS)
    return InvoicePdf.objects.filter(fetched_at__lt=before, content__isnull=False).update(content=None)


def _wanted() -> QuerySet[InvoicePdf]:
    return InvoicePdf.objects.filter(sha256="")


def _claim_next() -> InvoicePdf | None:
    now = timezone.now()
    with transaction.atomic():
        rows = _wanted().filter(Q(not_before__isnull=True) | Q(not_before__lte=now))
        row = rows.filter(leases.is_free()).select_for_update(skip_locked=True, of=("self",)).order_by("id").first()
        if row is not None:
            row.claim_id, row.attempts = uuid.uuid4(), row.attempts + 1
            InvoicePdf.objects.filter(pk=row.pk).update(
                claim_id=row.claim_id, attempts=row.attempts, lease_until=leases.end_of()
            )
        return row


def _fetch(row: InvoicePdf) -> bool:
    upstreams.check_pin(Server.NINJA)
    invoice = Invoice.objects.select_related("client", "remote").get(pk=row.invoice_id)
    if invoice.remote is None or invoice.remote.remote_id is None:
        raise ValueError(f"invoice {invoice.pk} is not in Invoice Ninja")
    ninja = upstreams.ninja_client(correlation_id=invoice.uuid, attempt=row.attempts)
    there = ninja.invoice(NinjaId(invoice.remote.remote_id))
    key = next((invitation.key for invitation in there.invitations if invitation.key), "")
    if there.status_id == DRAFT or there.is_deleted or not key:
        _postpone(row, _("The invoice is a draft, deleted or without a contact in Invoice Ninja."), NO_ENGINE_WAIT)
        return False
    content = ninja.invoice_pdf(key)
    if len(content) > MOST_BYTES:
        words = {"size": len(content) // 1024 // 1024, "most": MOST_BYTES // 1024 // 1024}
        _postpone(row, _("The PDF has %(size)d MB; at most %(most)d MB are kept.") % words, HOPELESS_WAIT)
        return False
    why = _why_not_as_sent(invoice, ninja, before=there)
    kept = _ours(row).update(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        fetched_at=timezone.now(),
        number=there.number,
        is_as_sent=not why,
        sentence=why,
        lease_until=None,
        not_before=None,
    )
    # The engine works: whoever waited because it did not is due.
    _wanted().filter(needs_engine=True).update(needs_engine=False, not_before=None)
    return bool(kept)


def _why_not_as_sent(invoice: Invoice, ninja: InvoiceNinjaClient, *, before: NinjaInvoice) -> str:
    """Why what was just fetched cannot be what the client got; "" where it is the sealed invoice in its currency.

    Invoice Ninja draws the PDF anew each time, in the currency that the client has then (recordings 823 to 825), so the
    invoice is read `before` and after.
    """
    after = ninja.invoice(before.id)
    if why := other_currency(invoice, currencies.code_of(ninja, ninja.client(after.client_id))):
        return why
    if before.updated_at != after.updated_at:
        return _("The invoice was changed in Invoice Ninja while its PDF was fetched.")
    if invoice.remote and (wrong := differences(after, wanted(invoice.remote))):
        return _("It is not what was approved (ours / there: %(differences)s).") % {"differences": describe(wrong)}
    return ""


def _ours(row: InvoicePdf) -> QuerySet[InvoicePdf]:
    return _wanted().filter(pk=row.pk, claim_id=row.claim_id)


def _postpone(row: InvoicePdf, sentence: str, wait: timedelta) -> None:
    _ours(row).update(sentence=sentence, not_before=timezone.now() + wait, lease_until=None)


def _wait_all(sentence: str) -> None:
    logger.warning("no PDFs: %s", sentence)
    until = timezone.now() + NO_ENGINE_WAIT
    _wanted().update(sentence=sentence, not_before=until, lease_until=None, needs_engine=True)
