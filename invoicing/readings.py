"""Reading both servers as a whole for the reconciliation: Taiga's own lists, Invoice Ninja's invoices and payments.

A reading is a row that anybody may ask for; a worker (or `manage.py reconcile`) claims it, renews its lease while it
reads, and writes rows that nobody looks at before it has finished. It changes nothing on either server and nothing of
ours; a failed one leaves the one before in its place. Memory is bounded: every list is read and written in batches.
"""

from __future__ import annotations

import logging
import uuid
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock
from billing_console.batches import in_batches, read_in_batches
from billing_console.errors import ClaimLost, ConfigError, Forbidden, NotAllowed, NotFound, UpstreamError
from billing_console.money import ZERO
from invoicing import payments
from invoicing.forgotten import forgotten_keys
from invoicing.models import CountedInvoice, CountedItem, CountedLine, CountedPayment, Credit, Invoice, Reading
from invoicing.reading_rows import (
    VAIN,
    counted_invoice,
    counted_item,
    counted_line,
    counted_payment,
    shares_of,
    written_off_by,
)
from mappings.lookups import rule_set_for, zone_of
from mappings.models import Company, ProjectMapping
from sync import attribute_names, attributes, census, currencies, doorbell, gate, leases, stories, unpaid, upstreams
from sync.census import Counted
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaInvoice
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId
from sync.marks import BILLED_KINDS
from sync.models import Server, WorkItem

logger = logging.getLogger(__name__)

BATCH: Final = 500


def ask_for_one(user: User | None = None) -> bool:
    """Ask for a reading; False where one is asked for or running already."""
    try:
        with transaction.atomic():
            Reading.objects.create(by=user)
    except IntegrityError:  # the constraint: one at a time
        return False
    doorbell.ring("readings")
    return True


def latest() -> Reading | None:
    """The newest reading that has all its rows."""
    return Reading.objects.filter(finished_at__isnull=False, sentence="").order_by("-id").first()


def running() -> Reading | None:
    """The one that is asked for, or runs."""
    return Reading.objects.filter(finished_at__isnull=True).first()


def read_due() -> int:
    """Do the reading that is asked for, or whose worker died; returns 1 when it was done, 0 when there was none."""
    claimed = _claim()
    if claimed is None:
        return 0
    _read(claimed)
    return 1


def read_now(user: User | None = None) -> Reading:
    """Read both servers now, in this process; for a command. Returns the reading, also a failed one.

    Raises NotAllowed while another worker reads.
    """
    ask_for_one(user)
    claimed = _claim()
    if claimed is None:
        raise NotAllowed(_("Both servers are just being read by the worker. Try again in a minute."))
    _read(claimed)
    return Reading.objects.get(pk=claimed.pk)


# --- the claim ----------------------------------------------------------------------------------------------------


def _claim() -> Reading | None:
    reading = Reading.objects.filter(leases.is_free(), finished_at__isnull=True).first()
    if reading is None:
        return None
    claim, began = uuid.uuid4(), clock.now()
    rows = Reading.objects.filter(leases.is_free(), pk=reading.pk, finished_at__isnull=True)
    if not rows.update(claim_id=claim, lease_until=leases.end_of(), read_at=began):
        return None
    reading.claim_id, reading.read_at = claim, began
    return reading


def _begin(reading: Reading) -> None:
    """From here on: a row of ours that changes later may not be as it was read. Raises ClaimLost."""
    if not _ours(reading).update(began_at=timezone.now()):
        raise ClaimLost


def _renew(reading: Reading) -> None:
    """Still ours, for another lease; said between two batches. Raises ClaimLost."""
    if not _ours(reading).update(lease_until=leases.end_of()):
        raise ClaimLost


def _ours(reading: Reading) -> QuerySet[Reading]:
    return Reading.objects.filter(pk=reading.pk, claim_id=reading.claim_id, finished_at__isnull=True)


def _read(reading: Reading) -> None:
    try:
        _throw_away(Q(reading=reading))  # what a worker that died had written
        payments.poll()  # what was paid since the last poll is no difference, and no change after the beginning
        _begin(reading)
        _read_ninja(reading)
        _read_taiga(reading)
    except ClaimLost:
        logger.warning("reading %s was lost before it was finished", reading.pk)
    except (UpstreamError, ConfigError, NotAllowed) as error:
        _ours(reading).update(finished_at=timezone.now(), sentence=error.sentence, lease_until=None)
        _throw_away(Q(reading=reading))
    else:
        _finish(reading)


def _finish(reading: Reading) -> None:
    with transaction.atomic():
        found = {
            "hidden_projects": reading.hidden_projects,
            "items": CountedItem.objects.filter(reading=reading).count(),
            "invoices": CountedInvoice.objects.filter(reading=reading).count(),
        }
        if not _ours(reading).update(finished_at=timezone.now(), sentence="", lease_until=None, **found):
            return
        _throw_away(Q(reading_id__lt=reading.pk))


def _throw_away(which: Q) -> None:
    """Delete rows of readings, lines before their invoices: four statements, however many rows there are."""
    for model in (CountedLine, CountedInvoice, CountedItem, CountedPayment):
        rows = model._default_manager.filter(which)
        rows._raw_delete(rows.db)


# --- Taiga --------------------------------------------------------------------------------------------------------


def _read_taiga(reading: Reading) -> None:
    """Every item of every mapped project, and of each other one of which the console has items (nobody pays for it).

    By its CSV; where the console may not have that, by its list, and the values one by one of what is closed or has an
    entry.
    """
    if not gate.may_call(Server.TAIGA):
        raise NotAllowed(_("Taiga does not answer just now. Try again when it is back."))
    upstreams.check_pin(Server.TAIGA)
    for mapping in ProjectMapping.objects.select_related("client").order_by("pk"):
        try:
            _read_project(reading, mapping.taiga_project_id, mapping)
        except (Forbidden, NotFound):
            if mapping.is_active:
                raise
            # A project that is no longer billed may be closed to us, or gone.
    for taiga_project_id in unpaid.project_ids():
        try:
            _read_project(reading, taiga_project_id, None)
        except (Forbidden, NotFound):
            reading.hidden_projects.append(taiga_project_id)


def _read_project(reading: Reading, taiga_project_id: int, mapping: ProjectMapping | None) -> None:
    zone = zone_of(rule_set_for(mapping.client if mapping else None))
    for kind in BILLED_KINDS:
        if stories.may_be_billed(kind, taiga_project_id):
            _read_kind(reading, taiga_project_id, mapping, kind, zone)


def _read_kind(reading: Reading, taiga_project_id: int, mapping: ProjectMapping | None, kind: str, zone: str) -> None:
    taiga = upstreams.taiga_client()
    for batch in in_batches(census.count(taiga_project_id, kind, taiga), BATCH):
        _renew(reading)
        ours = WorkItem.objects.filter(kind=kind, taiga_id__in=[row.taiga_id for row in batch])
        known = dict(ours.values_list("taiga_id", "pk"))
        # Of an open one only the hours of its earlier closings count.
        counting = set(ours.filter(entries__isnull=False).values_list("taiga_id", flat=True))
        rows = [
            _with_values(row, taiga_project_id, taiga, reading) if row.is_closed or row.taiga_id in counting else row
            for row in batch
        ]
        CountedItem.objects.bulk_create(
            [counted_item(reading, taiga_project_id, mapping, row, known.get(row.taiga_id), zone) for row in rows],
            ignore_conflicts=True,  # one that moved to another project while both were read
        )


def _with_values(row: Counted, taiga_project_id: int, taiga: TaigaClient, reading: Reading) -> Counted:
    """The row with its attribute values, which lists do not tell."""
    if row.attributes is not None:
        return row
    _renew(reading)
    values = taiga.values(row.kind, TaigaId(row.taiga_id)).values
    names = attribute_names.names_for(row.kind, taiga_project_id, values, taiga)
    found = attributes.find_attributes(names, values, attribute_names.configured_names(Company.current())).raw
    return Counted(**{**vars(row), "attributes": found})


# --- Invoice Ninja ------------------------------------------------------------------------------------------------


def _read_ninja(reading: Reading) -> None:
    if not gate.may_call(Server.NINJA):
        raise NotAllowed(_("Invoice Ninja does not answer just now. Try again when it is back."))
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client()
    # Oldest change first: one that changes meanwhile comes again, and its last row counts.
    for batch in in_batches(ninja.invoices_updated_since(None), BATCH):
        _renew(reading)
        _store_invoices(reading, batch, ninja)
    _add_payments(reading, ninja)


def _store_invoices(reading: Reading, rows: list[NinjaInvoice], ninja: InvoiceNinjaClient) -> None:
    newest = {row.id: row for row in rows}
    known = Invoice.objects.filter(remote__server=Server.NINJA, remote__remote_id__in=newest)
    ours = {invoice.remote.remote_id: invoice for invoice in known.select_related("remote") if invoice.remote}
    forgotten = forgotten_keys([row for row in newest.values() if row.id not in ours], ninja)
    with transaction.atomic():
        again = CountedInvoice.objects.filter(reading=reading, ninja_id__in=newest)
        CountedLine.objects.filter(invoice__in=again).delete()
        again.delete()
        made = CountedInvoice.objects.bulk_create(
            [counted_invoice(reading, row, ours.get(row.id), forgotten.get(row.id, "")) for row in newest.values()]
        )
        CountedLine.objects.bulk_create(
            [
                counted_line(reading, invoice, line, there, ours.get(invoice.ninja_id))
                for invoice in made
                for there in [newest[NinjaId(invoice.ninja_id)]]
                for line in there.lines
            ]
        )


def _add_payments(reading: Reading, ninja: InvoiceNinjaClient) -> None:
    """What every invoice was paid, by the payments and not by what the invoice says of itself."""
    paid: dict[NinjaId, dict[NinjaId, tuple[Decimal, Decimal]]] = {}
    lost: dict[NinjaId, dict[NinjaId, Decimal]] = {}
    write_offs = Credit.objects.exclude(cause="").filter(remote__remote_id__isnull=False)
    ids = {remote_id for remote_id in write_offs.values_list("remote__remote_id", flat=True) if remote_id}
    for batch in in_batches(ninja.payments_updated_since(None), BATCH):
        _renew(reading)
        newest = {row.id: row for row in batch}  # the last of several readings of one payment counts
        paid |= {row.id: shares_of(row) for row in newest.values()}
        lost |= {row.id: written_off_by(row, ids) for row in newest.values()}
        CountedPayment.objects.filter(reading=reading, ninja_id__in=newest).delete()
        CountedPayment.objects.bulk_create(
            counted_payment(reading, row, currencies.code_of_id(ninja, row.currency_id))
            for row in newest.values()
            if not row.is_deleted and row.status_id not in VAIN
        )
    sums: dict[NinjaId, tuple[Decimal, Decimal]] = {}
    for shares in paid.values():
        for invoice_id, (money, credit) in shares.items():
            before = sums.get(invoice_id, (ZERO, ZERO))
            sums[invoice_id] = before[0] + money, before[1] + credit
    written_off: dict[NinjaId, Decimal] = {}
    for parts in lost.values():
        for invoice_id, part in parts.items():
            written_off[invoice_id] = written_off.get(invoice_id, ZERO) + part
    for counted in read_in_batches(CountedInvoice.objects.filter(reading=reading, ninja_id__in=sums), BATCH):
        _renew(reading)
        for invoice in counted:
            invoice.paid, invoice.credited = sums[NinjaId(invoice.ninja_id)]
            invoice.written_off = written_off.get(NinjaId(invoice.ninja_id), ZERO)
        CountedInvoice.objects.bulk_update(counted, ["paid", "credited", "written_off"])
