"""The invoice status back into Taiga, without losing anything that a person typed.

The values of an item are one dict with a version that is no lock: read it, change one key, PATCH the whole dict. The
answer's version = read version + 1 proves that nobody wrote in between; else what they wrote is read from the history
entry of our own PATCH, whose "before" is what we overwrote, and applied again (design: The remote writes).
"Not Billable" is a person's word: it is never overwritten, and the item is read again when it is met.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import NotFound, Rejected, UpstreamError
from billing_console.states import EntryState, RecordState
from mappings.models import Company, InvoicedWhen
from sync import attributes, doorbell, hooks, upstreams
from sync.attribute_names import configured_names, read_names
from sync.bounds import bounded_values
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import AttributeValues, TaigaId
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry, WorkItem
from sync.outbox import drain, lock_item
from sync.transitions import advance, record

INVOICED, PENDING_INVOICE = "Invoiced", "Pending Invoice"
MERGE_ATTEMPTS = 3
NO_ATTRIBUTE = "no_status_attribute"
_GONE = Proof(None, {"value": None, "is_ours": False})
_OURS = (EntryState.READY, EntryState.HELD, EntryState.CLAIMED, EntryState.INVOICED)


# --- what we want there -------------------------------------------------------------------------------------------


def request_status(item: WorkItem) -> RemoteRecord | None:
    """Want the item's Invoice Status in Taiga to say where its hours are. Runs in the caller's transaction.

    None, and nothing wanted, for an item of which nothing was ever pushed. Locks the item's status record.
    """
    value = status_of(item)
    remote = (
        RemoteRecord.objects.select_for_update()
        .filter(server=Server.TAIGA, kind=RecordKind.STATUS, our_key=item.key)
        .first()
    )
    desired = {"value": value} if value is not None else {"restore": True}
    if remote is None:
        if value is None:
            return None
        remote = RemoteRecord.objects.create(
            server=Server.TAIGA,
            kind=RecordKind.STATUS,
            our_key=item.key,
            item=item,
            desired=desired,
            correlation_id=item.correlation_id,
        )
        record(remote, "", RecordState.PENDING, why=_("its task is in Invoice Ninja"))
    elif remote.desired != desired:
        remote.desired, remote.revision = desired, remote.revision + 1
        remote.save(update_fields=["desired", "revision"])
        if remote.state in (RecordState.SYNCED, RecordState.ATTENTION, RecordState.DROPPED):
            advance(remote, RecordState.PENDING, why=_("the status changed"), not_before=None)
    transaction.on_commit(lambda: doorbell.ring("writeback"))
    return remote


def reassert_status(item: WorkItem) -> bool:
    """Want our status written once more: a stale page undid it, or there is an attribute for it now; True if so.

    The caller counts one re-assertion per change in Taiga, so that two of us never fight.
    """
    remote = RemoteRecord.objects.filter(
        Q(state=RecordState.SYNCED) | Q(state=RecordState.ATTENTION, reason=NO_ATTRIBUTE),
        server=Server.TAIGA,
        kind=RecordKind.STATUS,
        our_key=item.key,
    ).first()
    if remote is None:
        return False
    why = _("somebody undid the status") if remote.state == RecordState.SYNCED else _("it can be written now")
    if not advance(remote, RecordState.PENDING, why=why, not_before=None):
        return False
    transaction.on_commit(lambda: doorbell.ring("writeback"))
    return True


def status_of(item: WorkItem) -> str | None:
    """The word that Taiga should hold, by the rule set's `taiga_invoiced_when`; None: the item is not ours any more."""
    live = TimeEntry.objects.filter(item=item, state__in=_OURS, remote_task__remote_id__isnull=False).exclude(
        remote_task__desired__archived=True
    )
    when_of = dict(live.values_list("pk", "rule_set__taiga_invoiced_when"))
    if not when_of:
        return None
    later = {pk: when for pk, when in when_of.items() if when not in (None, InvoicedWhen.PUSHED)}
    entries = TimeEntry.objects.filter(pk__in=later) if later else ()
    return INVOICED if all(_is_invoiced(entry, later[entry.pk]) for entry in entries) else PENDING_INVOICE


def _is_invoiced(entry: TimeEntry, when: str) -> bool:
    stage = hooks.invoice_stage(entry)
    return stage == "sent" or (when == InvoicedWhen.APPROVED and stage == "approved")


# --- calling ------------------------------------------------------------------------------------------------------


def write_due(limit: int = 200) -> int:
    """Write every due status, one after the other; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write_status(claim: Claim) -> Proof:
    """GET the values, PATCH the whole dict with one key changed, and prove it by the answer's version.

    An attribute that was deleted, or deleted and made anew, since the item was read has another id: asked for anew.
    """
    item = _item_of(claim.record)
    taiga = upstreams.taiga_client(
        item_id=item.pk,
        correlation_id=claim.record.correlation_id,
        attempt=claim.record.attempts,
        fence=claim.fence,
    )
    upstreams.check_pin(Server.TAIGA)
    try:
        return _write(claim.record, taiga, item)
    except Rejected as error:
        if "attributes_values" not in error.fields or not _has_another_attribute(taiga, item):
            raise
        return _write(claim.record, taiga, item)


def _write(remote: RemoteRecord, taiga: TaigaClient, item: WorkItem) -> Proof:
    read = _read(taiga, item)
    if read is None:
        return _GONE
    if item.status_attribute_id is None:
        _has_another_attribute(taiga, item)
    key = _status_key(item)
    # An earlier try of ours whose answer nobody read may have overwritten somebody.
    lost = _lost_unseen(taiga, item, read) if remote.attempts > 1 else {}
    wanted = _wanted(remote, item, lost.get(key, read.values.get(key)))
    target = {**read.values, **lost, key: wanted}
    if not lost and read.values.get(key) == wanted:
        return _proof(remote, item, read, wanted)
    _remember_original(item, read.values.get(key))
    for _attempt in range(MERGE_ATTEMPTS):
        answer = _patch(taiga, item, target, read)
        if answer.version == read.version + 1:
            return _proof(remote, item, answer, wanted)
        # Somebody wrote between our read and our PATCH, and we overwrote it: give their values back.
        lost = _overwritten(taiga, item, read, target)
        wanted = _wanted(remote, item, lost.get(key, wanted))
        merged = {**target, **lost, key: wanted}
        if merged == target:
            return _proof(remote, item, answer, wanted)
        target, read = merged, answer
    raise NeedsPerson(
        "status_contested",
        _('Somebody keeps changing #%(ref)s in Taiga while we write "%(wanted)s" (last seen: "%(seen)s"). Try again.')
        % {"ref": item.ref, "wanted": wanted, "seen": read.values.get(key)},
    )


def look_up_status(remote: RemoteRecord) -> Proof:
    """Whether Taiga holds the wanted status and nobody was overwritten for it.

    Raises NotThere when it does not: writing again is harmless, and gives back what was lost.
    """
    item = _item_of(remote)
    taiga = upstreams.taiga_client(item_id=item.pk, correlation_id=remote.correlation_id)
    read = _read(taiga, item)
    if read is None:
        return _GONE
    there = read.values.get(_status_key(item))
    wanted = _wanted(remote, item, there)
    if there != wanted or _lost_unseen(taiga, item, read):
        raise NotThere
    return _proof(remote, item, read, wanted)


def _read(taiga: TaigaClient, item: WorkItem) -> AttributeValues | None:
    """The item's values; None when Taiga has no such item (any more): then there is nothing to write."""
    taiga_id = TaigaId(item.taiga_id)
    try:
        return taiga.values(item.kind, taiga_id)
    except NotFound:
        try:
            taiga.item(item.kind, taiga_id)
        except NotFound:
            return None
        raise


def _patch(taiga: TaigaClient, item: WorkItem, target: dict[str, Any], read: AttributeValues) -> AttributeValues:
    try:
        return taiga.patch_values(item.kind, TaigaId(item.taiga_id), target, read.version)
    except UpstreamError as error:
        if not error.is_outcome_unknown:
            raise
        # A task without a story answers 500 although it is saved: only reading tells.
        after = taiga.values(item.kind, TaigaId(item.taiga_id))
        if after.values != target:
            raise
        return after


def _overwritten(taiga: TaigaClient, item: WorkItem, read: AttributeValues, target: dict[str, Any]) -> dict[str, Any]:
    """What others had set since `read`, by attribute id, when our PATCH of `target` replaced it.

    The newest entry of ours that ends in `target` holds everything as it was right before. Without one our PATCH
    changed nothing, so nothing was lost.
    """
    us = upstreams.service_user_id()
    for entry in taiga.history(item.kind, TaigaId(item.taiga_id)):
        if "custom_attributes" not in entry.diff or entry.user_id != us:
            continue
        before, after = (_by_id(side) for side in entry.diff["custom_attributes"])
        if after == {key: value for key, value in target.items() if value is not None}:
            known = read.values
            return {key: before.get(key) for key in before.keys() | known.keys() if before.get(key) != known.get(key)}
    return {}


def _lost_unseen(taiga: TaigaClient, item: WorkItem, now: AttributeValues) -> dict[str, Any]:
    """What our last PATCH took from somebody and still stands as we left it, by attribute id.

    Ours means to change the status alone; whatever else it changed, a person had set since we read. A repair of ours
    follows an entry of ours and takes nothing. Of the status only a person's "Not Billable" counts.
    """
    us, key = upstreams.service_user_id(), _status_key(item)
    entries = (entry for entry in taiga.history(item.kind, TaigaId(item.taiga_id)) if "custom_attributes" in entry.diff)
    for entry in entries:
        if entry.user_id != us:
            continue
        before, after = (_by_id(side) for side in entry.diff["custom_attributes"])
        older = next(entries, None)
        if older is not None and older.user_id == us:
            return {}
        taken = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if attributes.parse_status(before.get(key)) != attributes.NOT_BILLABLE:
            taken.discard(key)
        return {name: before.get(name) for name in taken if now.values.get(name) == after.get(name)}
    return {}


def _by_id(rows: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {str(row["id"]): row["value"] for row in rows or [] if row.get("value") is not None}


def _item_of(remote: RemoteRecord) -> WorkItem:
    if remote.item is None:
        raise ValueError(f"status record {remote.pk} has no item")
    return remote.item


def _has_another_attribute(taiga: TaigaClient, item: WorkItem) -> bool:
    """Ask Taiga anew for the id of the status attribute and keep it on the item; whether it is another one."""
    if item.taiga_project_id is None:
        return False
    before = item.status_attribute_id
    names = read_names(item.kind, item.taiga_project_id, item.values, taiga)
    found = attributes.find_attributes(names, {}, configured_names(Company.current()))
    item.status_attribute_id = found.status_attribute_id
    WorkItem.objects.filter(pk=item.pk).update(status_attribute_id=item.status_attribute_id)
    return item.status_attribute_id != before


def _status_key(item: WorkItem) -> str:
    if item.status_attribute_id is None:
        raise NeedsPerson(
            NO_ATTRIBUTE,
            _('The project of #%(ref)s has no attribute "Invoice Status" in Taiga. Add it there, then try again.')
            % {"ref": item.ref},
        )
    return str(item.status_attribute_id)


def _wanted(remote: RemoteRecord, item: WorkItem, there: Any) -> Any:
    """The value to leave in Taiga where it now holds `there`.

    An item that is no longer ours gets its first value back only where our word stands: a person's stays.
    """
    if attributes.parse_status(there) == attributes.NOT_BILLABLE:
        return there
    if not remote.desired.get("restore"):
        return remote.desired["value"]
    is_ours = there == item.status_written or there in (INVOICED, PENDING_INVOICE)
    return item.status_before_ours["value"] if item.status_before_ours and is_ours else there


def _remember_original(item: WorkItem, there: Any) -> None:
    """Keep, before our first write, what a person had there."""
    if item.status_before_ours is None:
        item.status_before_ours = {"value": there}
        WorkItem.objects.filter(pk=item.pk, status_before_ours__isnull=True).update(
            status_before_ours=item.status_before_ours
        )


def _proof(remote: RemoteRecord, item: WorkItem, values: AttributeValues, wanted: Any) -> Proof:
    is_ours = not remote.desired.get("restore") and wanted == remote.desired["value"]
    seen = {"value": wanted, "version": values.version, "values": bounded_values(values.values), "is_ours": is_ours}
    return Proof(item.key, seen)


def _after_sync(remote: RemoteRecord) -> None:
    """Remember what we wrote, so that its webhook is recognised as our own echo and costs no call."""
    item = _item_of(remote)  # locked, and as it is now
    changed = ["status_written"]
    item.status_written = remote.seen["value"] if remote.seen["is_ours"] else ""
    version = remote.seen.get("version")  # none of an item that is gone
    if version is not None and (item.values_version is None or item.values_version <= version):
        item.values, item.values_version = remote.seen["values"], version
        changed += ["values", "values_version"]
    if not remote.desired.get("restore") and not remote.seen["is_ours"]:
        # A person said "Not Billable" or deleted it, and we have not read it yet: their word decides, not ours.
        item.is_dirty, item.dirty_at, item.not_before = True, timezone.now(), None
        changed += ["is_dirty", "dirty_at", "not_before"]
        transaction.on_commit(lambda: doorbell.ring("items"))
    item.save(update_fields=changed)


HANDLER = Handler(RecordKind.STATUS, write_status, look_up_status, _after_sync, lock_item)
