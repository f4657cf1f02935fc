"""Two rows in Invoice Ninja under one key of ours: never are both ours, and one is ended before a client gets it.

A worker that froze while its bytes left writes what another has written meanwhile; no fence of ours can hold that
back. So whoever proves a thing lists it by its key, and every poll looks at what bears one of our keys and is not what
our books name. It is said at once, in one sentence, and a person ends the younger one by one button.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import NotAllowed
from billing_console.states import RecordState
from invoicing.models import Credit, Invoice, Twin
from sync import alarms, doorbell, whose
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaCredit, NinjaId, NinjaInvoice
from sync.models import RecordKind, RemoteRecord, Server
from sync.transitions import advance

logger = logging.getLogger(__name__)

FOUND_TWICE: Final = "found_twice"
WISH: Final = "twin"  # in what is wanted of a record: the other one is to end
PAGE_URL: Final = "admin:invoicing_twin_changelist"
LOOK_FOR: Final = dt.timedelta(days=30)  # after a lease that nobody settled: so long may its worker sleep, and be found
LOOK_FOR_INVOICES: Final = dt.timedelta(days=1)  # one that is made late is polled; this is for what an old copy hid
_MOST: Final = 100

Row = NinjaInvoice | NinjaCredit


class Both(NamedTuple):
    """Of several living rows under one key: the one that is ours, and the others."""

    kept: Row
    others: list[Row]


def lives(row: Row) -> bool:
    """Whether somebody could still be billed by it, or have it credited."""
    return not row.is_deleted and not (isinstance(row, NinjaInvoice) and row.status_id in (CANCELLED, REVERSED))


def tell_apart(rows: Iterable[Row], named: str | None) -> Both | None:
    """Which of the living rows is ours: the one that our books name, else the oldest. None where there is only one."""
    living = sorted((row for row in rows if lives(row)), key=_age)
    if len(living) < 2:
        return None
    kept = next((row for row in living if row.id == named), living[0])
    return Both(kept, [row for row in living if row is not kept])


def _age(row: Row) -> tuple[bool, dt.datetime, str]:
    made = row.created_at or dt.datetime.max.replace(tzinfo=dt.UTC)
    return row.created_at is None, made, row.number


# --- noticing -----------------------------------------------------------------------------------------------------


def notice(record: RemoteRecord, rows: Sequence[Row], *, was_just_made: bool = False) -> str:
    """Note what Invoice Ninja lists under the record's key, where it is more than one living row, and say so.

    Returns the sentence, "" where there is nothing to say. The id of the one that is kept stands on the record: the
    oldest, where the one that it names `was_just_made`.
    """
    both = tell_apart(rows, None if was_just_made else record.remote_id)
    if both is None:
        return ""
    if was_just_made or record.remote_id is None:
        unproven = RemoteRecord.objects.filter(pk=record.pk, synced_revision=0)
        unproven.update(remote_id=both.kept.id)
    for other in both.others:
        sentence = _sentence(record, both.kept, other)
        facts = {
            "kept_id": both.kept.id,
            "kept_number": both.kept.number,
            "other_number": other.number,
            "sentence": sentence,
        }
        Twin.objects.update_or_create(
            record=record,
            other_id=other.id,
            ended_at=None,
            defaults=facts,
            create_defaults=facts | {"found_at": timezone.now()},
        )
        alarms.raise_alarm(_alarm(record, other.id), sentence, url_name=PAGE_URL)
    return sentence


def _sentence(record: RemoteRecord, kept: Row, other: Row) -> str:
    words = {"kept": kept.number or kept.id, "other": other.number or other.id}
    if record.kind == RecordKind.CREDIT:
        return (
            _(
                "Invoice Ninja has two credits under one key of ours, %(kept)s and %(other)s: a worker that had slept "
                "made it again, or somebody copied it. End %(other)s under “Made twice”, before somebody uses it too."
            )
            % words
        )
    return (
        _(
            "Invoice Ninja has two invoices under one key of ours, %(kept)s and %(other)s: a worker that had slept "
            "made it again, or somebody copied it. End %(other)s under “Made twice”, before the client gets it too."
        )
        % words
    )


def _alarm(record: RemoteRecord, other_id: str) -> str:
    return f"twin-{record.pk}-{other_id}"


def notice_doubled(invoices: Iterable[NinjaInvoice], ninja: InvoiceNinjaClient) -> None:
    """With every poll: list by its key what changed there under a key of ours and is not what our books name.

    What is shown under the key of a record whose outcome is unknown is ours: its id is kept, so that no older copy of
    the server can say later that it is not there.
    """
    invoices = list(invoices)
    _keep_ids(invoices)
    for record in _doubled(invoices):
        notice(record, ninja.find_invoices(record.our_key))


def look_again(ninja: InvoiceNinjaClient) -> None:
    """With every poll: what may have been made once more, and whether what was found is over.

    Drafts of credits are in no list that is polled, and an invoice that an old copy hid was changed before the last
    poll: those whose worker once let its lease run out, or that were made again, are listed by their key.
    """
    lost = RemoteRecord.objects.filter(kind=RecordKind.CREDIT, lost_at__gt=timezone.now() - LOOK_FOR)
    for record in lost.exclude(state=RecordState.IN_FLIGHT).order_by("-lost_at")[:_MOST]:
        notice(record, credits_of(record, ninja))
    lost = RemoteRecord.objects.filter(kind=RecordKind.INVOICE, lost_at__gt=timezone.now() - LOOK_FOR_INVOICES)
    for record in lost.exclude(state=RecordState.IN_FLIGHT).exclude(remote_id=None).order_by("-lost_at")[:_MOST]:
        notice(record, ninja.find_invoices(record.our_key))
    for twin in open_twins().select_related("record")[:_MOST]:
        if not lives(there(twin, ninja)):
            _ended_by_hand(twin)


def _keep_ids(invoices: Iterable[NinjaInvoice]) -> None:
    ids = {key: row.id for row in invoices if lives(row) and (key := whose.key_of(row))}
    rows = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE, our_key__in=ids)
    doubtful = Q(state=RecordState.IN_DOUBT) | Q(state__in=(RecordState.PENDING, RecordState.RETRY), attempts__gt=0)
    for record in rows.filter(doubtful, remote_id__isnull=True):
        kept = RemoteRecord.objects.filter(doubtful, pk=record.pk, remote_id__isnull=True)
        kept.update(remote_id=ids[record.our_key])


def _doubled(invoices: Iterable[NinjaInvoice]) -> list[RemoteRecord]:
    """The records whose key a living row of these bears that is not the one that our books name."""
    keys = {row.id: whose.key_of(row) for row in invoices if lives(row)}
    wanted = [key for key in keys.values() if key]
    records = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE, our_key__in=wanted)
    ids: dict[str, set[str]] = {}
    for row_id, key in keys.items():
        ids.setdefault(key, set()).add(row_id)
    return [record for record in records if ids[record.our_key] - {record.remote_id} and record.remote_id]


def credits_of(record: RemoteRecord, ninja: InvoiceNinjaClient) -> list[NinjaCredit]:
    """The credits of the record's client that bear its key, deleted ones too; Invoice Ninja cannot search for it."""
    rows = ninja.credits(NinjaId(record.desired["client_id"]), status="active,archived,deleted")
    return [row for row in rows if record.our_key in row.private_notes]


def there(twin: Twin, ninja: InvoiceNinjaClient) -> Row:
    """The one to end, as it is in Invoice Ninja now."""
    if twin.record.kind == RecordKind.INVOICE:
        return ninja.invoice(NinjaId(twin.other_id))
    return ninja.credit(NinjaId(twin.other_id))


def open_twins() -> QuerySet[Twin]:
    """Those that are not over."""
    return Twin.objects.filter(ended_at__isnull=True)


def _ended_by_hand(twin: Twin) -> None:
    """Somebody ended it there: what the button does is done all the same, for ours may lack its tasks."""
    try:
        request_end(twin, user=None)
    except NotAllowed as why:
        logger.info("%s: %s", twin, why)  # it is at it, or another write is: the next poll looks again


# --- the button ---------------------------------------------------------------------------------------------------


def invoice_of(twin: Twin) -> Invoice:
    """Our invoice that it is about, or whose credit it is about."""
    if twin.record.kind == RecordKind.INVOICE:
        return Invoice.objects.get(remote=twin.record_id)
    return Credit.objects.select_related("invoice").get(remote=twin.record_id).invoice


def gross_of(twin: Twin) -> Decimal:
    """What the client would pay, or get back, twice: with tax, in the currency of the invoice."""
    return Decimal(twin.record.desired["gross"])


def request_end(twin: Twin, *, user: User | None) -> None:
    """Want the other one ended in Invoice Ninja, as a revision of the record. Locks both.

    Raises NotAllowed when it is over, or was asked for already.
    """
    with transaction.atomic():
        row = Twin.objects.select_for_update().get(pk=twin.pk)
        record = RemoteRecord.objects.select_for_update().get(pk=row.record_id)
        if why := why_not(row, record):
            raise NotAllowed(why)
        wish = {"id": row.other_id}
        changes: dict[str, Any] = {
            "desired": {**record.desired, WISH: wish},
            "revision": record.revision + 1,
            "remote_id": row.kept_id,
        }
        changes |= {"not_before": None, "reason": "", "sentence": "", "attempts": 0}
        why = _("%(number)s is to be ended there") % {"number": row.other_number or row.other_id}
        if not advance(record, RecordState.PENDING, why=why, user=user, **changes):
            raise NotAllowed(_busy())
        Twin.objects.filter(pk=row.pk).update(asked_at=timezone.now())
        transaction.on_commit(lambda: doorbell.ring("invoices"))


def may_be_asked(twin: Twin) -> bool:
    """Whether its list offers the end; `why_not` has the last word."""
    state = twin.record.state
    is_free = twin.asked_at is None and state == RecordState.SYNCED
    return twin.ended_at is None and (is_free or state == RecordState.ATTENTION)


def why_not(twin: Twin, record: RemoteRecord) -> str:
    """Why it cannot be ended now, "" where it can."""
    if twin.ended_at is not None:
        return _("%(number)s has ended in Invoice Ninja. Nothing was done again.") % {
            "number": twin.other_number or twin.other_id
        }
    if is_to_end(record) and record.state != RecordState.ATTENTION:
        return _("%(number)s is just being ended. Nothing was done again.") % {
            "number": twin.other_number or twin.other_id
        }
    return "" if record.state in (RecordState.SYNCED, RecordState.ATTENTION) else _busy()


def _busy() -> str:
    return _("This is just being written to Invoice Ninja. Wait a moment, then do it again.")


def is_to_end(record: RemoteRecord) -> bool:
    """Whether what is wanted of the record is that the other one under its key ends."""
    return bool(record.desired.get(WISH))


def after_end(record: RemoteRecord) -> None:
    """The end is proven. Runs in the transaction that writes the proof."""
    wish = record.desired[WISH]
    record.desired = {key: value for key, value in record.desired.items() if key != WISH}
    RemoteRecord.objects.filter(pk=record.pk).update(desired=record.desired)
    open_twins().filter(record=record, other_id=wish["id"]).update(ended_at=timezone.now())
    alarms.clear(_alarm(record, wish["id"]))
