"""Every night: each task of ours is on at most one living invoice in Invoice Ninja. Reading only.

All invoices are paged through, oldest change first; a page is compared with our books and forgotten, so memory holds
only what does not fit. A task on an invoice that our books do not name is a suspicion; with a second living invoice it
is a finding: a row, and an alarm that names both. The alarm ends with the first look that finds it no more.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.batches import in_batches
from billing_console.errors import ConfigError, UpstreamError
from invoicing.models import DoubleBilling, InvoiceLine
from invoicing.run import DEAD
from sync import alarms, gate, heartbeats, upstreams, whose
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaInvoice
from sync.models import RecordKind, RemoteRecord, Server

logger = logging.getLogger(__name__)

HEARTBEAT: Final = "double_billing"
ALARM: Final = "double-billing-"
PAGE: Final = 500
PAGE_URL: Final = "admin:invoicing_doublebilling_changelist"


class There(NamedTuple):
    """One living invoice: its number (its id where it has none), its id there, and whether our books made it.

    `is_twin`: it bears a key of ours, and our books name another one under it (`twins`).
    """

    number: str
    id: str
    is_ours: bool
    is_twin: bool = False

    @property
    def words(self) -> str:
        """Its number with whose it is."""
        twin = _("made twice") if self.is_twin else _("by hand")
        return f"{self.number} ({_('ours') if self.is_ours else twin})"


def check() -> int:
    """Look through all invoices; returns how many tasks are on two of them. A failure is noted in the heartbeat."""
    if not gate.may_call(Server.NINJA):
        return 0
    try:
        upstreams.check_pin(Server.NINJA)
        ninja = upstreams.ninja_client()
        suspects = _suspects(in_batches(ninja.invoices_updated_since(None), PAGE))
        found = {task: there for task, there in suspects.items() if len(_confirmed(ninja, task, there)) > 1}
    except (UpstreamError, ConfigError) as error:
        heartbeats.note_failure(HEARTBEAT, error.sentence)
        return 0
    _note(found)
    heartbeats.note(HEARTBEAT, _("%(count)d tasks on two invoices") % {"count": len(found)})
    return len(found)


def _suspects(pages: Iterable[list[NinjaInvoice]]) -> dict[str, set[There]]:
    """Tasks of ours (by our key) on an invoice that our books do not name for them, with every such invoice."""
    found: dict[str, set[There]] = defaultdict(set)
    for page in pages:
        living = [row for row in page if _lives(row)]
        named = {line.task_id for row in living for line in row.lines if line.task_id}
        tasks = RemoteRecord.objects.filter(kind=RecordKind.TASK, remote_id__in=named)
        ours = {remote_id or "": key for remote_id, key in tasks.values_list("remote_id", "our_key")}
        invoices = _books(ours)
        for row in living:
            for task in {line.task_id for line in row.lines} & ours.keys():
                if invoices.get(task) != row.id:
                    found[ours[task]].add(There(row.number or row.id, row.id, whose.is_known(row)))
    return found


def _books(tasks: Iterable[str]) -> dict[str, str]:
    """By our books: on which invoice there each of these tasks stands."""
    lines = InvoiceLine.objects.filter(is_voided=False, entry__remote_task__remote_id__in=list(tasks))
    lines = lines.exclude(invoice__state__in=DEAD).filter(invoice__remote__remote_id__isnull=False)
    pairs = lines.values_list("entry__remote_task__remote_id", "invoice__remote__remote_id")
    return {task or "": invoice or "" for task, invoice in pairs}


def _confirmed(ninja: InvoiceNinjaClient, task: str, there: set[There]) -> set[There]:
    """Each suspect read once more (a list is never of one moment), and the invoice of our own books beside them."""
    remote_id = RemoteRecord.objects.values_list("remote_id", flat=True).get(kind=RecordKind.TASK, our_key=task)
    own = _books([remote_id or ""]).get(remote_id or "")
    ids = {one.id for one in there} | ({own} if own else set())
    rows = [ninja.invoice(invoice_id) for invoice_id in sorted(ids)]  # type: ignore[arg-type]
    ours = {one.id for one in there if one.is_ours} | {own}
    living = {
        There(row.number or row.id, row.id, row.id in ours, row.id not in ours and bool(whose.key_of(row)))
        for row in rows
        if _lives(row) and any(line.task_id == remote_id for line in row.lines)
    }
    there.clear()
    there.update(living)
    return there


def _lives(row: NinjaInvoice) -> bool:
    return not row.is_deleted and row.status_id not in (CANCELLED, REVERSED)


def _note(found: dict[str, set[There]]) -> None:
    now = timezone.now()
    records = {row.our_key: row for row in RemoteRecord.objects.filter(kind=RecordKind.TASK, our_key__in=found)}
    for task, there in sorted(found.items()):
        invoices = sorted(there, key=lambda one: (not one.is_ours, one.number))
        sentence = _(
            "%(task)s is on %(count)d invoices in Invoice Ninja: %(invoices)s. The client pays it twice; take it off "
            "the wrong one there, or cancel that."
        ) % {
            "task": task,
            "count": len(invoices),
            "invoices": ", ".join(one.words for one in invoices),
        }
        DoubleBilling.objects.update_or_create(
            record=records[task],
            ended_at=None,
            defaults={"invoices": [list(one[:3]) for one in invoices], "sentence": sentence, "seen_at": now},
            create_defaults={
                "record": records[task],
                "invoices": [list(one[:3]) for one in invoices],
                "sentence": sentence,
                "seen_at": now,
                "found_at": now,
            },
        )
        alarms.raise_alarm(f"{ALARM}{task}", sentence, url_name=PAGE_URL)
    for row in DoubleBilling.objects.filter(ended_at=None).exclude(record__our_key__in=found).select_related("record"):
        DoubleBilling.objects.filter(pk=row.pk).update(ended_at=now)
        alarms.clear(f"{ALARM}{row.record.our_key}")
