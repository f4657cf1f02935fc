"""Time entries into Invoice Ninja: one task per entry, found again by its number (design: The remote writes).

`request_task` and `withdraw_task` only write what we want, inside the caller's transaction; `push_due` calls.
The POST answer is only memory: what counts is the task read back afterwards. Updates are always complete, with
`time_log` and `number`: a missing one would be wiped or renumbered by the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.errors import NotFound, Rejected
from billing_console.states import TAKEN, EntryState, RecordState
from sync import discovery, doorbell, upstreams, whose, writeback
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaTask
from sync.clients.ninja_texts import line_text
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry, WorkItem
from sync.outbox import drain, lock_item
from sync.outcomes import keep_id
from sync.push_checks import ANOTHER_CONSOLE, check_client_alive, check_never_there, check_ours
from sync.push_compare import facts_of, is_archived, mismatches, task_body
from sync.push_freeing import is_left_behind, set_free
from sync.transitions import advance, record

# --- what we want there -------------------------------------------------------------------------------------------


def request_task(entry: TimeEntry) -> RemoteRecord:
    """Want the task of a ready entry in Invoice Ninja, as the entry is now. Runs in the caller's transaction.

    A new entry is saved by the caller, with the record; of any other the record is locked. An unchanged wish changes
    nothing, so it may be asked for as often as one likes.
    """
    desired = desired_task(entry)
    if entry.remote_task_id is None:
        remote = RemoteRecord.objects.create(
            server=Server.NINJA,
            kind=RecordKind.TASK,
            our_key=desired["number"],
            item=entry.item,
            desired=desired,
            correlation_id=entry.correlation_id,
        )
        record(remote, "", RecordState.PENDING, why=_("the entry is ready"))
        entry.remote_task = remote
        if entry.pk is not None:
            TimeEntry.objects.filter(pk=entry.pk).update(remote_task=remote)
    else:
        remote = _want(entry.remote_task_id, desired, _("the entry changed"))
    transaction.on_commit(lambda: doorbell.ring("push"))
    return remote


def withdraw_task(entry: TimeEntry) -> None:
    """Want the task of an entry that is no longer billed archived. Runs in the caller's transaction.

    What was surely never written is dropped; everything else is archived once its outcome is known.
    """
    if entry.remote_task_id is None:
        return
    remote = RemoteRecord.objects.select_for_update().get(pk=entry.remote_task_id)
    never_written = remote.remote_id is None and remote.attempts == 0
    if never_written and remote.state in (RecordState.PENDING, RecordState.RETRY):
        advance(remote, RecordState.DROPPED, why=_("the entry is no longer billed"))
    elif remote.state != RecordState.DROPPED:
        _want(remote.pk, {**remote.desired, "archived": True}, _("the entry is no longer billed"))
        transaction.on_commit(lambda: doorbell.ring("push"))


def free_task(entry: TimeEntry) -> None:
    """Want the task of an entry that was set free from an ended invoice on no invoice. In the caller's transaction.

    A revision of its own, so that nothing bills the entry again before its task is proven free.
    """
    if entry.remote_task_id is None:
        return
    remote = RemoteRecord.objects.select_for_update().get(pk=entry.remote_task_id)
    remote.revision += 1
    remote.save(update_fields=["revision"])
    if remote.state in (RecordState.SYNCED, RecordState.ATTENTION, RecordState.DROPPED):
        advance(remote, RecordState.PENDING, why=_("set free from its ended invoice"), not_before=None)
    transaction.on_commit(lambda: doorbell.ring("push"))


def _want(remote_id: int, desired: dict[str, Any], why: str) -> RemoteRecord:
    remote = RemoteRecord.objects.select_for_update().get(pk=remote_id)
    if remote.desired != desired:
        remote.desired, remote.revision = desired, remote.revision + 1
        remote.save(update_fields=["desired", "revision"])
    elif remote.state != RecordState.DROPPED:
        return remote
    if remote.state in (RecordState.SYNCED, RecordState.ATTENTION, RecordState.DROPPED):
        advance(remote, RecordState.PENDING, why=why, not_before=None)
    return remote


def desired_task(entry: TimeEntry) -> dict[str, Any]:
    """The task as it must be in Invoice Ninja: hours as one segment that ends when the item was first closed.

    Seconds are unix time, the rate is per hour in the entry's currency, as text so that no digit is lost.
    """
    if entry.first_closed_at is None or entry.billed_hours is None or entry.rate is None or entry.client is None:
        raise ValueError(f"entry {entry.pk} is not priced")
    end = int(entry.first_closed_at.timestamp())
    return {
        "number": f"{settings.TASK_NUMBER_PREFIX}{entry.number}",
        "client_id": entry.client.ninja_id,
        "project_id": _ninja_project_id(entry),
        "description": describe(entry),
        "time_log": [end - int(entry.billed_hours * 3600), end],
        "rate": str(money.quantize(entry.rate, entry.currency)),
        "archived": False,
    }


def _ninja_project_id(entry: TimeEntry) -> str:
    project = entry.project.ninja_project if entry.project else None
    # An item may name another client than its project's: a project of the wrong client would move the task to it.
    return project.ninja_id if project and project.client_id == entry.client_id else ""


def describe(entry: TimeEntry) -> str:
    """The words of an entry on tasks and invoice lines: "Task #45: Implement payment gateway"."""
    return line_text(entry.item.kind, entry.item.ref, entry.item.subject)


# --- calling ------------------------------------------------------------------------------------------------------


def push_due(limit: int = 200) -> int:
    """Write every due task, one after the other; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write_task(claim: Claim) -> Proof:
    """Create, update or archive the claimed record's task and read it back.

    1. the client and its project must be alive in our list (at most 10 minutes old);
    2. look up by number unless this is the very first attempt of a task never seen;
    3. POST, or a complete PUT; 4. GET, and compare every field that we sent.
    """
    remote = claim.record
    ninja = upstreams.ninja_client(
        item_id=remote.item_id, correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence
    )
    upstreams.check_pin(Server.NINJA)
    discovery.ensure_fresh()
    if remote.reason == ANOTHER_CONSOLE:
        _number_anew(remote)
    known = _known_task(remote, ninja)
    if known is not None and remote.desired["archived"] and whose.is_anothers(known):
        known = None  # its number is another console's: there is none of ours to archive
    if known is None:
        if remote.desired["archived"]:
            return Proof(None, {})
        check_client_alive(remote, ninja)
        task_id = _create(claim, ninja)
    else:
        check_ours(known, remote, ninja)
        task_id = known.id
        if is_left_behind(known, remote):
            known = set_free(remote, ninja, known)
        if mismatches(known, remote.desired):
            _change(remote, ninja, known)
    return _proof(ninja.task(NinjaId(task_id)), remote, ninja)


def _number_anew(remote: RemoteRecord) -> None:
    """A record that was refused, because another console uses its number, takes the prefix that is set now."""
    with transaction.atomic():
        entry = TimeEntry.objects.select_related("item").filter(remote_task=remote).first()
        row = RemoteRecord.objects.select_for_update().get(pk=remote.pk)
        number = f"{settings.TASK_NUMBER_PREFIX}{entry.number}" if entry else row.our_key
        if number != row.our_key:
            row.our_key, row.remote_id, row.desired = number, None, {**row.desired, "number": number}
            row.save(update_fields=["our_key", "remote_id", "desired"])
    remote.our_key, remote.remote_id, remote.desired = row.our_key, row.remote_id, row.desired


def look_up_task(remote: RemoteRecord) -> Proof:
    """What became of a write whose outcome is unknown. Raises NotThere, or NeedsPerson when only a person can know."""
    ninja = upstreams.ninja_client(item_id=remote.item_id, correlation_id=remote.correlation_id)
    task = _find(remote, ninja)
    if task is None or (remote.desired["archived"] and whose.is_anothers(task)):
        if remote.desired["archived"]:
            return Proof(None, {})
        raise NotThere
    check_ours(task, remote, ninja)
    if mismatches(task, remote.desired) or is_left_behind(task, remote):
        RemoteRecord.objects.filter(pk=remote.pk, remote_id__isnull=True).update(remote_id=task.id)
        raise NotThere  # it is there but not as wanted: the next write updates it
    return _proof(task, remote, ninja)


def _known_task(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaTask | None:
    first_try = remote.attempts == 1 and remote.remote_id is None and remote.revision == 1
    return None if first_try else _find(remote, ninja)


def _find(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> NinjaTask | None:
    """The task by its id, else by its number; None where there is none and it may be made (anew)."""
    if remote.remote_id:
        try:
            return ninja.task(NinjaId(remote.remote_id))
        except NotFound:
            pass  # erased there, or an older backup was restored there: our number tells
    found = ninja.find_tasks(remote.our_key)
    if not found:
        check_never_there(remote)
    return found[0] if found else None


def _create(claim: Claim, ninja: InvoiceNinjaClient) -> str:
    remote, desired = claim.record, claim.record.desired
    try:
        created = ninja.create_task(task_body(desired, whose.own_mark()))
        keep_id(claim, created.id)
    except Rejected as error:
        if "number" not in error.fields:
            raise
        # Our number is taken: an earlier write of ours came through unseen (or a backup was restored).
        found = _find(remote, ninja)
        if found is None:
            raise
        check_ours(found, remote, ninja)
        if mismatches(found, desired):
            _change(remote, ninja, found)
        return found.id
    if Decimal(desired["rate"]) == 0:
        # The server replaces a rate of 0 on create; only an update can set it.
        ninja.update_task(created.id, task_body(desired))
    return created.id


def _change(remote: RemoteRecord, ninja: InvoiceNinjaClient, task: NinjaTask) -> None:
    desired = remote.desired
    if task.is_deleted or (is_archived(task) and not desired["archived"]):
        ninja.restore_task(task.id)
    if desired["archived"]:
        ninja.archive_task(task.id)
        return
    ninja.update_task(task.id, task_body(desired, whose.own_mark() if whose.can_be_marked(task) else ""))


# --- judging -----------------------------------------------------------------------------------------------------


def _proof(task: NinjaTask, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    check_ours(task, remote, ninja)
    wrong = mismatches(task, remote.desired)
    if is_left_behind(task, remote):
        wrong["invoice"] = ("", task.invoice_id)
    if wrong:
        # The id is kept: the task exists, whatever a person decides about it.
        RemoteRecord.objects.filter(pk=remote.pk, remote_id__isnull=True).update(remote_id=task.id)
        listed = "; ".join(f"{name}: {wanted} / {there}" for name, (wanted, there) in wrong.items())
        raise NeedsPerson(
            "differs_there",
            _(
                "Invoice Ninja accepted task %(number)s but holds something else (wanted / there: %(differences)s). "
                "Mend the mapping or Invoice Ninja's settings, then try again."
            )
            % {"number": remote.our_key, "differences": listed},
        )
    return Proof(task.id, facts_of(task))


def _after_sync(remote: RemoteRecord) -> None:
    if remote.item is not None:
        writeback.request_status(remote.item)
        held = remote.item.entries.filter(state=EntryState.HELD, reason__in=TAKEN)
        if held.exists():  # it is on no foreign invoice any more
            WorkItem.objects.filter(pk=remote.item.pk).update(needs_evaluation=True)
            transaction.on_commit(lambda: doorbell.ring("items"))


def check_tasks(task_ids: Iterable[str], why: str) -> int:
    """Look again at these tasks of ours in Invoice Ninja (by its ids), because of `why`; returns how many are.

    For tasks that an invoice names which we did not make: the next push reads each and holds what is taken.
    """
    settled = Q(state=RecordState.SYNCED) | Q(state=RecordState.ATTENTION, reason__in=TAKEN)
    rows = RemoteRecord.objects.filter(settled, kind=RecordKind.TASK, remote_id__in=list(task_ids))
    count = sum(advance(row, RecordState.PENDING, why=why, not_before=None) for row in rows)
    if count:
        transaction.on_commit(lambda: doorbell.ring("push"))
    return count


HANDLER = Handler(RecordKind.TASK, write_task, look_up_task, _after_sync, lock_item)
