"""The invoice status back into Taiga, without losing anything that a person typed.

The values of an item are one dict with a version that is no lock: read it, change one key, PATCH the whole dict. The
answer's version = read version + 1 proves that nobody wrote in between; else their changes are read from the history
and applied again (design: The remote writes).
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from billing_console.errors import UpstreamError
from billing_console.states import EntryState, RecordState
from mappings.models import InvoicedWhen
from sync import doorbell, hooks, upstreams
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import AttributeValues
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry, WorkItem
from sync.outbox import Claim, Handler, NeedsPerson, NotThere, Proof, drain
from sync.transitions import advance, record

INVOICED, PENDING_INVOICE = "Invoiced", "Pending Invoice"
MERGE_ATTEMPTS = 3
_OURS = (EntryState.READY, EntryState.HELD, EntryState.CLAIMED, EntryState.INVOICED)


# --- what we want there -------------------------------------------------------------------------------------------


def request_status(item: WorkItem) -> RemoteRecord | None:
    """Want the item's Invoice Status in Taiga to say where its hours are. Runs in the caller's transaction.

    None, and nothing wanted, for an item of which nothing was ever pushed. Locks the item's status record.
    """
    value = status_of(item)
    key = f"{item.kind}{item.taiga_id}"
    remote = (
        RemoteRecord.objects.select_for_update()
        .filter(server=Server.TAIGA, kind=RecordKind.STATUS, our_key=key)
        .first()
    )
    desired = {"value": value} if value is not None else {"restore": True}
    if remote is None:
        if value is None:
            return None
        remote = RemoteRecord.objects.create(
            server=Server.TAIGA,
            kind=RecordKind.STATUS,
            our_key=key,
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
    """Want our status written once more, because a stale page undid it; True when that was needed.

    The caller counts one re-assertion per change in Taiga, so that two of us never fight.
    """
    remote = RemoteRecord.objects.filter(
        server=Server.TAIGA, kind=RecordKind.STATUS, our_key=f"{item.kind}{item.taiga_id}", state=RecordState.SYNCED
    ).first()
    if remote is None or not advance(remote, RecordState.PENDING, why=_("somebody undid the status"), not_before=None):
        return False
    transaction.on_commit(lambda: doorbell.ring("writeback"))
    return True


def status_of(item: WorkItem) -> str | None:
    """The word that Taiga should hold, by the rule set's `taiga_invoiced_when`; None: the item is not ours any more."""
    live = list(
        TimeEntry.objects.filter(item=item, state__in=_OURS, remote_task__remote_id__isnull=False)
        .exclude(remote_task__desired__archived=True)
        .select_related("rule_set")
    )
    if not live:
        return None
    return INVOICED if all(_is_invoiced(entry) for entry in live) else PENDING_INVOICE


def _is_invoiced(entry: TimeEntry) -> bool:
    when = entry.rule_set.taiga_invoiced_when if entry.rule_set else InvoicedWhen.PUSHED
    if when == InvoicedWhen.PUSHED:
        return True
    stage = hooks.invoice_stage(entry)
    return stage == "sent" or (when == InvoicedWhen.APPROVED and stage == "approved")


# --- calling ------------------------------------------------------------------------------------------------------


def write_due(limit: int = 200) -> int:
    """Write every due status, one after the other; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write_status(claim: Claim) -> Proof:
    """GET the values, PATCH the whole dict with one key changed, and prove it by the answer's version."""
    item = _item_of(claim.record)
    taiga = upstreams.taiga_client(item=item, correlation_id=claim.record.correlation_id)
    upstreams.check_pin(Server.TAIGA)
    claim.before_call()
    read = taiga.values(item.kind, item.taiga_id)
    key, wanted = _remember_original(item, read), _wanted(claim.record)
    if read.values.get(key) == wanted:
        return _proof(item, read, wanted)
    target = {**read.values, key: wanted}
    for _attempt in range(MERGE_ATTEMPTS):
        answer = _patch(claim, taiga, item, target, read)
        if answer.version == read.version + 1:
            return _proof(item, answer, wanted)
        # Somebody wrote between our read and our PATCH, and we overwrote it: give their values back.
        target = {**target, **_changes_of_others(taiga, item, read, answer), key: wanted}
        read = answer
    raise NeedsPerson(
        "status_contested",
        _('Somebody keeps changing #%(ref)s in Taiga while we write "%(wanted)s" (last seen: "%(seen)s"). Try again.')
        % {"ref": item.ref, "wanted": wanted, "seen": read.values.get(key)},
    )


def look_up_status(remote: RemoteRecord) -> Proof:
    """Whether Taiga holds the wanted status. Raises NotThere when it does not: writing again is harmless."""
    item = _item_of(remote)
    taiga = upstreams.taiga_client(item=item, correlation_id=remote.correlation_id)
    read = taiga.values(item.kind, item.taiga_id)
    wanted = _wanted(remote)
    if read.values.get(_status_key(item)) != wanted:
        raise NotThere
    return _proof(item, read, wanted)


def _patch(
    claim: Claim, taiga: TaigaClient, item: WorkItem, target: dict[str, Any], read: AttributeValues
) -> AttributeValues:
    claim.before_call(writes=True)
    try:
        return taiga.patch_values(item.kind, item.taiga_id, target, read.version)
    except UpstreamError as error:
        if not error.is_outcome_unknown:
            raise
        # A task without a story answers 500 although it is saved: only reading tells.
        claim.before_call()
        after = taiga.values(item.kind, item.taiga_id)
        if after.values != target:
            raise
        return after


def _changes_of_others(
    taiga: TaigaClient, item: WorkItem, read: AttributeValues, answer: AttributeValues
) -> dict[str, Any]:
    """Values that others set between `read` and `answer`, by attribute id; the oldest first, so the newest wins.

    The history holds one entry per write of the values; the newest is our own PATCH.
    """
    foreign = answer.version - read.version - 1
    changes: dict[str, Any] = {}
    newest_first = []
    for entry in taiga.history(item.kind, item.taiga_id):
        if "custom_attributes" not in entry.diff:
            continue
        newest_first.append(entry)
        if len(newest_first) == foreign + 1:
            break
    for entry in reversed(newest_first[1:]):
        before, after = entry.diff["custom_attributes"]
        old = {str(row["id"]): row.get("value") for row in before or []}
        new = {str(row["id"]): row.get("value") for row in after or []}
        changes.update({key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)})
    return changes


def _item_of(remote: RemoteRecord) -> WorkItem:
    if remote.item is None:
        raise ValueError(f"status record {remote.pk} has no item")
    return remote.item


def _status_key(item: WorkItem) -> str:
    if item.status_attribute_id is None:
        raise NeedsPerson(
            "no_status_attribute",
            _('The project of #%(ref)s has no attribute "Invoice Status" in Taiga. Add it there, then try again.')
            % {"ref": item.ref},
        )
    return str(item.status_attribute_id)


def _wanted(remote: RemoteRecord) -> Any:
    if remote.desired.get("restore"):
        original = _item_of(remote).status_before_ours
        return original["value"] if original else None
    return remote.desired["value"]


def _remember_original(item: WorkItem, read: AttributeValues) -> str:
    """Keep, before our first write, what a person had there; returns the attribute's id as Taiga keys it."""
    key = _status_key(item)
    if item.status_before_ours is None:
        item.status_before_ours = {"value": read.values.get(key)}
        WorkItem.objects.filter(pk=item.pk, status_before_ours__isnull=True).update(
            status_before_ours=item.status_before_ours
        )
    return key


def _proof(item: WorkItem, values: AttributeValues, wanted: Any) -> Proof:
    return Proof(str(item.taiga_id), {"value": wanted, "version": values.version, "values": values.values})


def _after_sync(remote: RemoteRecord) -> None:
    """Remember what we wrote, so that its webhook is recognised as our own echo and costs no call."""
    version, values = remote.seen["version"], remote.seen["values"]
    item = WorkItem.objects.select_for_update().get(pk=remote.item_id)
    if item.values_version is None or item.values_version <= version:
        item.values, item.values_version = values, version
    item.status_written = remote.seen["value"] or ""
    item.save(update_fields=["values", "values_version", "status_written"])


HANDLER = Handler(RecordKind.STATUS, write_status, look_up_status, _after_sync)
