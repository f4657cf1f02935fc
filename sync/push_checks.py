"""What forbids to touch a task of ours in Invoice Ninja: its client is gone, or somebody deleted or invoiced it."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from billing_console.states import EntryState, Reason
from sync import discovery, hooks, reasons
from sync.claims import NeedsPerson
from sync.clients.ninja_rows import NinjaTask
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry
from sync.outbox import lock_item
from sync.transitions import advance

DELETED_THERE, ERASED_THERE = "deleted_there", "erased_there"


def check_ours(task: NinjaTask, remote: RemoteRecord) -> None:
    """Refuse to touch a task that a person deleted, or that is on an invoice we did not make: raises NeedsPerson.

    One that we only want archived is as good as that in either case. An entry that is taken is held, and the draft
    that has claimed it is told.
    """
    if remote.desired["archived"]:
        return
    if task.is_deleted and remote.reason != DELETED_THERE:
        raise NeedsPerson(
            DELETED_THERE,
            _("Somebody deleted task %(number)s in Invoice Ninja. Try again to restore it, or exclude the entry.")
            % {"number": remote.our_key},
        )
    if task.invoice_id and not _is_our_invoice(task, remote):
        sentence = _(
            "Task %(number)s is already on an invoice in Invoice Ninja that the console did not make. "
            "Exclude the entry, or take the task off that invoice and try again."
        ) % {"number": remote.our_key}
        _hold(remote, Reason.INVOICED_BY_HAND, sentence)
        raise NeedsPerson(Reason.INVOICED_BY_HAND, sentence)


def check_never_there(remote: RemoteRecord) -> None:
    """Refuse to make a task anew that was there and is not found by its id or number any more: raises NeedsPerson.

    Trying again is a person's word that it may be made anew. One that we only want archived is as good as that.
    """
    if remote.remote_id and not remote.desired["archived"] and remote.reason != ERASED_THERE:
        raise NeedsPerson(
            ERASED_THERE,
            _(
                "Task %(number)s was in Invoice Ninja and is not there any more: it was erased with its client, or an "
                "older backup was restored there. Try again to make it anew, or exclude the entry."
            )
            % {"number": remote.our_key},
        )


def check_client_alive(remote: RemoteRecord) -> None:
    """Refuse to make a task for a client that our list, as last read, has not or has deleted: raises NeedsPerson."""
    if not discovery.is_client_alive(remote.desired["client_id"]):
        raise NeedsPerson(
            Reason.UNKNOWN_CLIENT,
            _("Invoice Ninja has no living client %(client)s. Mend the project's mapping, then try again.")
            % {"client": remote.desired["client_id"]},
        )


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
