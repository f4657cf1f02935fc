"""Living invoices in Invoice Ninja that bear our key and are unknown to this database: an older backup was restored.

What bears our key is ours and is asked about: a month does not balance while there is one.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from billing_console.errors import NotFound
from invoicing.identities import Leftover
from invoicing.models import CountedInvoice, Reading
from sync import whose
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaId, NinjaInvoice
from sync.links import ninja_invoice
from sync.models import RecordKind, RemoteRecord, Server


def forgotten_keys(rows: Iterable[NinjaInvoice], ninja: InvoiceNinjaClient) -> dict[NinjaId, str]:
    """Our key by the id there, of those among `rows` that live and are unknown here.

    Another console's bear such a key too: the task of a line tells whose it is, one call for each invoice. Raises
    UpstreamError.
    """
    living = [row for row in rows if not row.is_deleted and row.status_id not in (CANCELLED, REVERSED)]
    keys = {row.id: whose.key_of(row) for row in living}
    known = set(
        RemoteRecord.objects.filter(
            server=Server.NINJA, kind=RecordKind.INVOICE, our_key__in=[key for key in keys.values() if key]
        ).values_list("our_key", flat=True)
    )
    return {row.id: key for row in living if (key := keys[row.id]) and key not in known and _is_ours(row, ninja)}


def leftovers_of(reading: Reading) -> list[Leftover]:
    """A sentence for each that the reading found, of whatever period, and that is still unknown."""
    words = _(
        "invoice %(number)s in Invoice Ninja bears our key and is unknown here: a backup older than it was restored. "
        "Restore a newer one, or cancel the invoice there"
    )
    known = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE, our_key=OuterRef("forgotten_key"))
    rows = CountedInvoice.objects.filter(~Exists(known), reading=reading).exclude(forgotten_key="").order_by("pk")
    return [Leftover(words % {"number": row.number or row.ninja_id}, ninja_invoice(row.ninja_id)) for row in rows]


def _is_ours(row: NinjaInvoice, ninja: InvoiceNinjaClient) -> bool:
    """Whether a line bills a task of ours; one that bills no task at all is taken for ours, and asked about."""
    tasks = {line.task_id for line in row.lines if line.task_id}
    if not tasks or RemoteRecord.objects.filter(kind=RecordKind.TASK, remote_id__in=tasks).exists():
        return True
    try:
        return whose.is_by_number_ours(ninja.task(min(tasks)))
    except NotFound:
        return True
