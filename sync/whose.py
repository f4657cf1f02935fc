"""Whose a thing in Invoice Ninja is: this console's, another console's, or a person's. An id or a number never tells.

Every task of ours carries our mark in its fourth custom value, every invoice and credit our key in its private notes.
"""

from __future__ import annotations

import re
from typing import Final

from django.conf import settings
from django.db.models import Q

from sync.clients.ninja_rows import NinjaInvoice, NinjaTask
from sync.models import RecordKind, RemoteRecord, Server, UpstreamPin

_KEY: Final = re.compile(r"bc-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12};")
_MARK: Final = re.compile(r"console-[0-9a-f]{12}")


def own_mark() -> str:
    """What our tasks carry in Invoice Ninja; "" before the first contact."""
    rows = UpstreamPin.objects.filter(server=Server.NINJA)
    return rows.values_list("mark", flat=True).first() or ""


def mark_of(task: NinjaTask) -> str:
    """The mark of the console that made the task; "" where there is none, whatever a person keeps in that field."""
    value = task.custom_values[3]
    return value if _MARK.fullmatch(value) else ""


def is_anothers(task: NinjaTask) -> bool:
    """Whether another console made the task. One without a mark is older than marks, and goes by its number."""
    return mark_of(task) not in ("", own_mark())


def can_be_marked(task: NinjaTask) -> bool:
    """Whether our mark takes nothing away: a person may keep something of their own in that field."""
    return not task.custom_values[3].strip() or bool(mark_of(task))


def is_by_number_ours(task: NinjaTask) -> bool:
    """Whether the task bears our prefix and no other console's mark, even if this database does not know it."""
    return task.number.startswith(settings.TASK_NUMBER_PREFIX) and not is_anothers(task)


def key_of(invoice: NinjaInvoice) -> str:
    """The key of a console that made the invoice; "" for one that a person made."""
    found = _KEY.match(invoice.private_notes)
    return found[0] if found else ""


def is_known(invoice: NinjaInvoice) -> bool:
    """Whether this database made the invoice: it knows its key, and no other one there under that key as its own."""
    rows = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE, our_key=key_of(invoice))
    return rows.filter(Q(remote_id=invoice.id) | Q(remote_id__isnull=True)).exists()
