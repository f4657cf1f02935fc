"""What forbids to touch a task of ours in Invoice Ninja: its client is gone, or somebody deleted or invoiced it."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from billing_console.errors import NotFound
from billing_console.states import EntryState, Reason
from sync import discovery, hooks, reasons, whose
from sync.claims import Missing, NeedsPerson
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaInvoice, NinjaTask
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry
from sync.outbox import lock_item
from sync.transitions import advance

DELETED_THERE, ERASED_THERE, ANOTHER_CONSOLE = "deleted_there", "erased_there", "another_console"


def check_ours(task: NinjaTask, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> None:
    """Refuse to touch a task that another console made, that a person deleted, or that is on an invoice which this
    database does not know: raises NeedsPerson.

    One that we only want archived is as good as that in the last two cases. An entry that is taken is held, and the
    draft that has claimed it is told. Reads the invoice of a task that is taken.
    """
    if whose.is_anothers(task):
        raise NeedsPerson(
            ANOTHER_CONSOLE,
            _(
                "Task %(number)s in Invoice Ninja was made by another console that writes there under the same numbers "
                "(TASK_NUMBER_PREFIX is %(prefix)s). Nothing was changed. Stop one of the two, or give the newer one "
                "another prefix, then try again."
            )
            % {"number": remote.our_key, "prefix": settings.TASK_NUMBER_PREFIX},
        )
    if remote.desired["archived"]:
        return
    if task.is_deleted and remote.reason != DELETED_THERE:
        raise NeedsPerson(
            DELETED_THERE,
            _("Somebody deleted task %(number)s in Invoice Ninja. Try again to restore it, or exclude the entry.")
            % {"number": remote.our_key},
        )
    if task.invoice_id and not _is_our_invoice(task, remote):
        invoice = ninja.invoice(task.invoice_id)
        key = whose.key_of(invoice)
        if key and whose.is_known(invoice):
            return
        reason, sentence = _why_taken(invoice, key)
        sentence %= {"number": remote.our_key, "invoice": invoice.number or invoice.id}
        _hold(remote, reason, sentence)
        raise NeedsPerson(reason, sentence)


def _why_taken(invoice: NinjaInvoice, key: str) -> tuple[Reason, str]:
    if key:
        return Reason.ON_UNKNOWN_INVOICE, _(
            "Task %(number)s is already on invoice %(invoice)s in Invoice Ninja, which bears our key and which this "
            "database does not know: a backup older than it was restored. Restore a newer one; or exclude the entry; "
            "or cancel that invoice there and try again."
        )
    return Reason.INVOICED_BY_HAND, _(
        "Task %(number)s is already on an invoice in Invoice Ninja that the console did not make. "
        "Exclude the entry, or take the task off that invoice and try again."
    )


def check_never_there(remote: RemoteRecord) -> None:
    """Refuse to make a task anew that was there and is not found by its id or number any more: raises Missing.

    Trying again is a person's word that it may be made anew. One that we only want archived is as good as that.
    """
    if remote.remote_id and not remote.desired["archived"] and remote.reason != ERASED_THERE:
        raise Missing(
            ERASED_THERE,
            _(
                "Task %(number)s was in Invoice Ninja and is not there any more: it was erased with its client, or an "
                "older backup was restored there. Try again to make it anew, or exclude the entry."
            )
            % {"number": remote.our_key},
        )


def check_client_alive(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> None:
    """Refuse to make a task for a client that our list, as last read, has not or has deleted: raises NeedsPerson.

    One that the list lacks is asked for by its id: it may have changed while it was read, or be an old copy's.
    """
    client_id = remote.desired["client_id"]
    if not discovery.is_client_alive(client_id) and not _lives(client_id, ninja):
        raise NeedsPerson(
            Reason.UNKNOWN_CLIENT,
            _("Invoice Ninja has no living client %(client)s. Mend the project's mapping, then try again.")
            % {"client": remote.desired["client_id"]},
        )


def _lives(client_id: str, ninja: InvoiceNinjaClient) -> bool:
    try:
        return not ninja.client(NinjaId(client_id)).is_deleted
    except NotFound:
        return False


def _is_our_invoice(task: NinjaTask, remote: RemoteRecord) -> bool:
    ours = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE)
    if ours.filter(remote_id=task.invoice_id).exists():
        return True
    # Approved and on its way: it may be there although its outcome is not written yet.
    entry = TimeEntry.objects.filter(remote_task=remote, state=EntryState.CLAIMED).first()
    return entry is not None and hooks.invoice_stage(entry) not in ("", hooks.DRAFT)


def _hold(remote: RemoteRecord, reason: str, sentence: str) -> None:
    """Hold the entry, or tell the draft that has claimed it (with `sentence`) that it is stale."""
    with transaction.atomic():
        lock_item(remote)
        entry = (
            TimeEntry.objects.select_for_update(of=("self",), no_key=True)
            .select_related("item")
            .filter(remote_task=remote)
            .first()
        )
        if entry is not None and entry.state == EntryState.READY:
            words = reasons.sentence(reason, {**entry.facts, "ref": entry.item.ref})
            advance(entry, EntryState.HELD, why=words, reason=reason, reason_sentence=words)
        elif entry is not None and entry.state == EntryState.CLAIMED:
            hooks.claimed_entry_changed(entry, sentence)
