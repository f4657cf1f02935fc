"""What is read in Invoice Ninja before and after an invoice is written: is it there, is it ours, is it what was sealed.

Everything here only reads; what only a person can decide is raised as NeedsPerson with its sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from billing_console.errors import NotFound
from billing_console.states import Reason
from invoicing import deviations, old_copies, snapshots, twins
from invoicing.creating_compare import (
    Differences,
    as_it_was,
    content_differences,
    describe,
    differences,
    facts_of,
    figures_of,
    task_ids,
    wanted,
)
from invoicing.models import Invoice
from sync import task_readings, whose
from sync.claims import Missing, NeedsPerson, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import DRAFT, NinjaId, NinjaInvoice, NinjaTask
from sync.models import RemoteRecord

DELETED_THERE, DIFFERS_THERE, GONE_THERE = "deleted_there", "differs_there", "gone_there"


def find_invoice(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaInvoice | None:
    """The living invoice that is ours. One that a person deleted is asked about once; tried again, it is made anew.

    Raises Missing for one that Invoice Ninja made and does not show, OldCopy where it shows an older state than before.
    """
    known = [_by_id(remote, ninja)] if remote.remote_id else []
    if not known or known[0].is_deleted or remote.reason == twins.FOUND_TWICE:
        known += ninja.find_invoices(remote.our_key)
    living = {row.id: row for row in known if not row.is_deleted}
    if sentence := twins.notice(remote, list(living.values())):
        raise NeedsPerson(twins.FOUND_TWICE, sentence)
    if not living and known and remote.reason not in (DELETED_THERE, DIFFERS_THERE):
        raise NeedsPerson(
            DELETED_THERE,
            _(
                "Somebody deleted invoice %(number)s in Invoice Ninja. Restore it there and try again; "
                "if you only try again, it is made anew."
            )
            % {"number": known[0].number},
        )
    return next(iter(living.values()), None)


def _by_id(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaInvoice:
    try:
        return old_copies.read_invoice(remote, ninja)
    except NotFound:
        raise Missing(
            GONE_THERE,
            _(
                "Invoice %(number)s was in Invoice Ninja and is not there any more: it was erased with its client, or "
                "an older backup was restored there. Restore it there and try again, or cancel it here."
            )
            % {"number": remote.seen.get("number") or remote.remote_id},
        ) from None


def find_made(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaInvoice:
    """What was just made, by our key: where a worker that slept has made it too, both are there. Raises NeedsPerson.

    By its id where the list does not show it: a copy that is older than the POST may have answered.
    """
    rows = ninja.find_invoices(remote.our_key)
    if sentence := twins.notice(remote, rows, was_just_made=True):
        raise NeedsPerson(twins.FOUND_TWICE, sentence)
    return next((row for row in rows if row.id == remote.remote_id), None) or _by_id(remote, ninja)


def is_to_change(found: NinjaInvoice, remote: RemoteRecord) -> bool:
    """Whether a PUT is due: a newer revision of what was proven there, or what the client's own settings replaced.

    Only a draft that nobody touched since is changed; raises NeedsPerson for one that was sent or edited meanwhile.
    """
    desired = wanted(remote)
    if not differences(found, desired):
        return False
    if over := desired.get("over"):
        # A person said to overwrite what they saw: that, and nothing that somebody typed since.
        if snapshots.theirs_of(found, desired["currency"]) != over:
            raise _differs(remote, found, differences(found, desired))
        return True
    if remote.synced_revision == 0:
        # On a POST the client's notes and a group's auto-bill win over ours; a PUT keeps what it is given.
        return found.status_id == DRAFT and not content_differences(found, desired)
    if found.status_id != DRAFT and "was" in desired:
        raise NeedsPerson(
            "sent_there",
            _(
                "Invoice %(number)s was sent in Invoice Ninja before its new date could be written there; "
                "the client has the old one (ours / there: %(differences)s). Correct it there, then try again."
            )
            % {"number": found.number, "differences": describe(differences(found, desired))},
        )
    if edited := differences(found, as_it_was(desired)):
        raise _differs(remote, found, edited)
    return True


def check_tasks_free(remote: RemoteRecord, ninja: InvoiceNinjaClient, besides: str = "") -> None:
    """Raises NeedsPerson when a task of ours is on an invoice other than `besides`, which would lose it, or deleted."""
    tasks = _our_tasks(remote, ninja)
    taken = sorted((task for task in tasks if task.invoice_id not in ("", besides)), key=lambda task: task.number)
    if taken:
        raise _taken(taken, ninja)
    deleted = sorted(task.number for task in tasks if task.is_deleted)
    if deleted:
        raise NeedsPerson(
            DELETED_THERE,
            _("Somebody deleted %(tasks)s in Invoice Ninja. Restore it there, then try again.")
            % {"tasks": ", ".join(deleted)},
        )


def _taken(tasks: Sequence[NinjaTask], ninja: InvoiceNinjaClient) -> NeedsPerson:
    """The question, which tells an invoice that bears our key from one that a person made; the first one speaks."""
    words = {"tasks": ", ".join(task.number for task in tasks)}
    invoice = ninja.invoice(tasks[0].invoice_id)
    if whose.key_of(invoice):
        words["invoice"] = invoice.number or invoice.id
        sentence = _(
            "%(tasks)s is already on invoice %(invoice)s in Invoice Ninja, which bears our key. Cancel the one that is "
            "wrong; if the console does not know %(invoice)s, a backup older than it was restored. Then try again."
        )
        return NeedsPerson(Reason.ON_UNKNOWN_INVOICE, sentence % words)
    sentence = _(
        "%(tasks)s is already on an invoice in Invoice Ninja that the console did not make. "
        "Take it off that invoice there, then try again."
    )
    return NeedsPerson(Reason.INVOICED_BY_HAND, sentence % words)


def _our_tasks(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> list[NinjaTask]:
    """Our tasks as they are there, which their records note."""
    tasks = _read_tasks(remote, ninja)
    task_readings.note(tasks)
    return tasks


def _read_tasks(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> list[NinjaTask]:
    """One call each for a short invoice, one list of the client for a long one."""
    wanted = task_ids(remote.desired)
    if len(wanted) <= 3:
        return [ninja.task(NinjaId(task_id)) for task_id in sorted(wanted)]
    tasks = [task for task in ninja.tasks(client_id=remote.desired["client_id"]) if task.id in wanted]
    missing = wanted - {task.id for task in tasks}
    return tasks + [ninja.task(NinjaId(task_id)) for task_id in sorted(missing)]


def prove_invoice(found: NinjaInvoice, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    """The proof that the invoice there is what was sealed and has all its tasks. Raises NeedsPerson where it is not."""
    wrong = differences(found, wanted(remote))
    stolen: list[str] = []
    if not wrong:
        stolen = stolen_tasks(found, remote, ninja)
        if stolen:
            wrong = {_("tasks linked"): (_("all"), _("not %(tasks)s") % {"tasks": ", ".join(sorted(stolen))})}
    if wrong:
        # The id is kept: the invoice exists, whatever a person decides about it.
        RemoteRecord.objects.filter(pk=remote.pk).update(remote_id=found.id)
        raise _differs(remote, found, wrong, stolen)
    return Proof(found.id, facts_of(found) | figures_of(found, remote.desired["currency"]))


def stolen_tasks(found: NinjaInvoice, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> list[str]:
    """The numbers of tasks of ours that do not name this invoice there."""
    return [task.number for task in _our_tasks(remote, ninja) if task.invoice_id != found.id]


def _differs(remote: RemoteRecord, found: NinjaInvoice, wrong: Differences, stolen: Sequence[str] = ()) -> NeedsPerson:
    """The question, with both sides kept for the page that answers it."""
    deviations.note(Invoice.objects.select_related("remote").get(remote=remote), found, stolen)
    return NeedsPerson(
        DIFFERS_THERE,
        _(
            "Invoice %(number)s in Invoice Ninja is not what was approved (ours / there: %(differences)s). "
            "Open the invoice here to take that over or to write ours again; or correct it there, then try again."
        )
        % {"number": found.number or found.id, "differences": describe(wrong)},
    )
