"""Once a day what is open is read again by its id, and every payment, whatever position a poll has come to.

What changes is found by times of change (`payments`). A clock that was wrong, there or here, an old copy of the server
that answered once, a change that was committed late: each may hide one for good. This reading finds it. Nothing is
written there; amounts are gross, in the invoice's currency.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from django.db import OperationalError
from django.utils.translation import gettext as _

from billing_console.batches import in_batches
from billing_console.errors import ConfigError, ConsoleError, NotFound, UpstreamError, said_by
from billing_console.states import InvoiceState
from invoicing import applied, payments, unapplied
from invoicing.models import Invoice
from sync import gate, heartbeats, upstreams
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaPayment
from sync.models import Heartbeat, Server

logger = logging.getLogger(__name__)

HEARTBEAT: Final = "open_invoices"
BEGAN: Final = "open_invoices_began"
EVERY: Final = timedelta(hours=24)
LONGEST: Final = timedelta(hours=1)
_OPEN: Final = (InvoiceState.CREATED, *payments.OWED)


def read_due() -> int:
    """Read again when a day has passed; returns how many invoices were read by their id.

    One worker is enough, so the others leave it alone for an hour. A failure, of a server or of our own, is a sentence
    beside the heartbeat "open_invoices", and the next round tries again.
    """
    if heartbeats.is_alive(HEARTBEAT, EVERY) or heartbeats.is_alive(BEGAN, LONGEST) or not gate.may_call(Server.NINJA):
        return 0
    heartbeats.note(BEGAN)
    try:
        count, faults = _read_all()
    except OperationalError:
        raise
    except Exception as error:
        if not isinstance(error, UpstreamError | ConfigError):
            logger.exception("what is open could not be read again")
        count, faults = 0, [said_by(error)]
    if faults:
        heartbeats.note_failure(HEARTBEAT, faults[0].sentence)
    if count or not faults:  # what failed of single ones is read with the next change, and tomorrow
        heartbeats.note(HEARTBEAT, _("%(count)d invoices read by their id") % {"count": count})
    Heartbeat.objects.filter(name=BEGAN).delete()
    return count


def _read_all() -> tuple[int, list[ConsoleError]]:
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client()
    # Payments first: they name the paid invoices that are to be read, too.
    all_of_them = in_batches(ninja.payments_updated_since(None), payments.BATCH)
    touched = {pk for rows in all_of_them for pk in _take(rows, ninja)}
    open_now = Invoice.objects.filter(state__in=_OPEN).values_list("pk", flat=True)
    return _read(sorted({*touched, *open_now}), ninja)


def _take(rows: list[NinjaPayment], ninja: InvoiceNinjaClient) -> set[int]:
    touched = applied.observe(rows)
    unapplied.observe(rows, ninja)
    return touched


def _read(ids: Iterable[int], ninja: InvoiceNinjaClient) -> tuple[int, list[ConsoleError]]:
    count, faults = 0, list[ConsoleError]()
    for pk in ids:
        # Read at this moment: what was known before the call is compared with what is known after it.
        invoice = Invoice.objects.select_related("remote").filter(pk=pk, remote__remote_id__isnull=False).first()
        if invoice is None:
            continue
        try:
            payments.read_again(invoice, ninja)
            count += 1
        except NotFound:  # the comparison of both servers names it
            logger.warning("invoice %s is not in Invoice Ninja any more", invoice)
        except payments.NotTakenOver as fault:
            faults.append(fault)
    return count, faults
