"""Taking a task off the invoice that ended and that a person set its entry free from.

Cancelling leaves the link in Invoice Ninja; only a complete PUT with an empty `invoice_id` takes it away. A link to any
other invoice is never touched here.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from billing_console.errors import Forbidden
from billing_console.states import EntryState
from sync import hooks
from sync.claims import NeedsPerson
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaTask
from sync.models import RemoteRecord, TimeEntry
from sync.push_compare import task_body


def is_left_behind(task: NinjaTask, remote: RemoteRecord) -> bool:
    """Whether the task still names an ended invoice that its entry was set free from, to be billed again or not.

    A copy of the ended invoice has claimed the entry already.
    """
    if not task.invoice_id or task.is_deleted:
        return False
    entry = TimeEntry.objects.filter(remote_task=remote).exclude(state=EntryState.INVOICED).first()
    return entry is not None and task.invoice_id in hooks.left_invoices(entry)


def set_free(remote: RemoteRecord, ninja: InvoiceNinjaClient, task: NinjaTask) -> NinjaTask:
    """PUT the task complete, on no invoice, and read it back.

    Raises NeedsPerson where the invoice lives again, which would lose its task, or the server locks the task.
    """
    invoice = ninja.invoice(task.invoice_id)
    if not (invoice.is_deleted or invoice.status_id in (CANCELLED, REVERSED)):
        raise NeedsPerson(
            "lives_again",
            _(
                "Invoice %(invoice)s, from which task %(number)s was set free, lives again in Invoice Ninja. "
                "Cancel or delete it there, then try again; or exclude the entry."
            )
            % {"invoice": invoice.number, "number": remote.our_key},
        )
    try:
        ninja.update_task(task.id, {**task_body(remote.desired), "invoice_id": ""})
    except Forbidden:
        raise NeedsPerson(
            "task_locked",
            _(
                "Invoice Ninja does not let task %(number)s be taken off its ended invoice. Switch off "
                "“Lock invoiced tasks” in its settings, or give our user the right to edit tasks, then try again."
            )
            % {"number": remote.our_key},
        ) from None
    return ninja.task(task.id)
