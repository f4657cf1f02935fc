"""Credits of which something is left in Invoice Ninja, also those that somebody made there by hand.

Read with every poll: there are few, and a used one is not in the answer any more (recording 1254: sent ones with a
rest). Drafts of ours are known here anyway; drafts of theirs are not finished. Nothing is written there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing_console.errors import Forbidden, NotFound
from invoicing.models import Credit, OpenCredit
from mappings.models import Client
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaCredit, NinjaId
from sync.texts import clean_text

_KEY = re.compile(r"bc-([0-9a-f-]{36});")
_READ = ("client", "number", "date", "amount", "balance", "is_ours")


def read(ninja: InvoiceNinjaClient) -> None:
    """Ask for them and keep them. An account that may not see credits is offered none, which is no fault."""
    try:
        rows = ninja.open_credits()
    except Forbidden:
        rows = []
    listed = {row.id for row in rows}
    unlisted = OpenCredit.objects.exclude(ninja_id__in=listed).values_list("ninja_id", flat=True)
    observe([*rows, *_asked(list(unlisted), ninja)])


def _asked(ids: Iterable[str], ninja: InvoiceNinjaClient) -> list[NinjaCredit]:
    """Those that the list does not show any more, by their ids: it may be an old copy's, or have changed while read."""
    found = []
    for credit_id in ids:
        try:
            found.append(ninja.credit(NinjaId(credit_id)))
        except (Forbidden, NotFound):
            continue
    return [row for row in found if row.archived_at is None]


def observe(rows: Iterable[NinjaCredit]) -> None:
    """Keep exactly these credits, the open ones of clients that we know; what has nothing left is forgotten."""
    listed = {row.id: row for row in rows if row.balance > 0 and not row.is_deleted}
    clients = dict(
        Client.objects.filter(ninja_id__in={row.client_id for row in listed.values()}).values_list("ninja_id", "pk")
    )
    keys = {row.id: _KEY.search(row.private_notes) for row in listed.values()}
    named = {found[1] for found in keys.values() if found}
    made = Credit.objects.filter(uuid__in=named).values_list("uuid", "remote__remote_id")
    ours = {str(uuid): there for uuid, there in made}
    known = {row.ninja_id: row for row in OpenCredit.objects.all()}
    now, changed = timezone.now(), []
    for row in listed.values():
        if row.client_id not in clients:
            continue
        key, before = keys[row.id], known.get(row.id)
        columns: dict[str, Any] = {
            "client_id": clients[row.client_id],
            "number": clean_text(row.number, 191),
            "date": row.date,
            "amount": row.amount,
            "balance": row.balance,
            "is_ours": bool(key and ours.get(key[1], "") in (row.id, None)),
        }
        if before is None or any(getattr(before, name) != value for name, value in columns.items()):
            changed.append(OpenCredit(ninja_id=row.id, seen_at=now, **columns))
    gone = [pk for pk in known if pk not in listed]
    if not changed and not gone:
        return
    with transaction.atomic():
        OpenCredit.objects.bulk_create(
            changed, update_conflicts=True, unique_fields=["ninja_id"], update_fields=[*_READ, "seen_at"]
        )
        OpenCredit.objects.filter(ninja_id__in=gone).delete()
