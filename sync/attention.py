"""What a person does to an entry, a remote write or a delivery that waits: each act checks the state, leaves a trail,

and says in one sentence why it does nothing the second time. Rights are checked by the page that calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from billing_console.errors import IllegalTransition, NotAllowed
from billing_console.reason import reason_of
from billing_console.states import TAKEN, DeliveryState, EntryState, ItemKind, Reason, RecordState
from sync import attributes, doorbell, entries, pricing, push, reasons, stories, writeback
from sync.marks import mark_dirty
from sync.models import FoundBy, RemoteRecord, TimeEntry, WebhookDelivery, WorkItem
from sync.transitions import advance, record

if TYPE_CHECKING:
    from accounts.models import User

BRAKES = tuple(reason for reason in Reason if reason.startswith("brake_"))
CONFIRMABLE = (
    Reason.TOO_MANY_HOURS,
    Reason.FREE_OF_CHARGE,
    Reason.BILLED_ELSEWHERE,
    Reason.STORY_AND_TASK,
    Reason.SAID_OTHERWISE,
    *BRAKES,
)
RELEASABLE = (Reason.BY_PERSON, Reason.BILLED_ELSEWHERE, *entries.STICKY)
# Held, but billed without anybody's doing: with the next run, or once the item is closed again.
SETTLES_ITSELF = (Reason.NEXT_RUN, Reason.REOPENED)
# What still fails after so many tries is shown, though it is tried again by itself.
TRIES_SHOWN = 5
READINGS_SHOWN = 3
NEEDS_SOMEBODY = Q(held_by_person=True) | ~Q(reason__in=SETTLES_ITSELF)


def held() -> QuerySet[TimeEntry]:
    """The held entries that wait for a person."""
    return TimeEntry.objects.filter(NEEDS_SOMEBODY, state=EntryState.HELD)


def waiting_by_themselves() -> QuerySet[TimeEntry]:
    """The held entries that nobody has to do anything about."""
    return TimeEntry.objects.filter(~NEEDS_SOMEBODY, state=EntryState.HELD)


def stuck_writes() -> QuerySet[RemoteRecord]:
    """The remote writes that wait for a person, or that fail again and again."""
    is_failing = Q(state=RecordState.RETRY, attempts__gte=TRIES_SHOWN)
    return RemoteRecord.objects.filter(Q(state__in=(RecordState.IN_DOUBT, RecordState.ATTENTION)) | is_failing)


def unreadable_items() -> QuerySet[WorkItem]:
    """The items of Taiga that could not be read several times in a row: what they say is not billed meanwhile."""
    return WorkItem.objects.filter(is_dirty=True, read_attempts__gte=READINGS_SHOWN).exclude(error="")


def lock(pk: Any) -> TimeEntry | None:
    """The entry as it is now, locked together with its item, in the order that every evaluation locks them."""
    item = TimeEntry.objects.filter(pk=pk).values_list("item", flat=True).first()
    if item is None:
        return None
    family = WorkItem.objects.filter(pk__in=stories.with_family([item]))
    list(family.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    rows = TimeEntry.objects.select_for_update(of=("self",), no_key=True).select_related("item", "remote_task")
    return rows.filter(pk=pk).first()


def hold_entry(entry: TimeEntry, *, user: User, note: str) -> TimeEntry:
    """Hold an unclaimed entry until somebody releases it; the note is required.

    Raises NotAllowed without a note, IllegalTransition when it is not waiting or held by a person already.
    """
    note = reason_of(note)
    with transaction.atomic():
        row = _locked(entry)
        if row.state not in entries.WAITING or row.held_by_person:
            raise _refused(row, EntryState.HELD, _("This entry is %(state)s and cannot be held."))
        sentence = reasons.sentence(Reason.BY_PERSON, {**row.facts, "ref": row.item.ref})
        changes = {
            "reason": Reason.BY_PERSON,
            "reason_note": note,
            "reason_sentence": sentence,
            "held_by_person": True,
        }
        _move(row, EntryState.HELD, why=note, user=user, **changes)
    return row


def release_entry(entry: TimeEntry, *, user: User, note: str = "") -> TimeEntry:
    """Take back a person's hold, a put-off or the question "billed elsewhere?" (bill it here), and evaluate again.

    The entry becomes ready, or stays held for what is still wrong with it. Raises IllegalTransition when there is no
    hold of these kinds.
    """
    with transaction.atomic():
        row = _locked(entry)
        if not can_release(row):
            raise _refused(row, EntryState.READY, _("This entry is %(state)s and not held by a person."))
        changes: dict[str, Any] = {"held_by_person": False, "reason": Reason.BY_PERSON, "reason_note": ""}
        if row.reason == Reason.BILLED_ELSEWHERE:
            changes |= _with_token(row, pricing.BILL_HERE)
        if row.reason in TAKEN and row.remote_task is not None and _is_stuck(row.remote_task):
            _try_record(row.remote_task, user)  # held again if its task is still on that invoice
        _remember(row, user=user, why=note or _("released"), **changes)
        return entries.evaluate(row.item, user=user) or row


def can_release(entry: TimeEntry) -> bool:
    """Whether what holds the entry is a person's to take back; everything else is mended where it is wrong."""
    return entry.state == EntryState.HELD and (entry.held_by_person or entry.reason in RELEASABLE)


def confirm_entry(entry: TimeEntry, *, user: User, note: str = "") -> TimeEntry:
    """Confirm what the console asks about: hours, a rate of 0, a story beside its task, a brake, billed elsewhere.

    All but the last are billed as they are; what was billed elsewhere is excluded. Another value asks again. Raises
    IllegalTransition when nothing is asked. Whether it is what the person saw, the page compares under the same lock.
    """
    with transaction.atomic():
        row = _locked(entry)
        if row.state != EntryState.HELD or row.reason not in CONFIRMABLE:
            raise _refused(row, EntryState.READY, _("This entry is %(state)s: there is nothing to confirm."))
        if row.reason == Reason.BILLED_ELSEWHERE:
            why = note or _("billed elsewhere, confirmed")
            _leave(row, EntryState.EXCLUDED, user=user, why=why, reason=Reason.BILLED_ELSEWHERE, reason_note=note)
            return row
        _remember(row, user=user, why=note or _("confirmed"), **_with_token(row, _asked_token(row)))
        return entries.evaluate(row.item, user=user) or row


def leave_to_tasks(entry: TimeEntry, *, user: User, note: str = "") -> TimeEntry:
    """Bill the tasks of a story and not the story, as long as one of them is billable; its own task is archived.

    When no task of it is billable any more the story is billed after all. Raises IllegalTransition when it does not
    wait for this decision.
    """
    with transaction.atomic():
        row = _locked(entry)
        if not can_leave_to_tasks(row):
            raise _refused(row, EntryState.VOID, _("This entry is %(state)s: there is nothing to decide."))
        _remember(row, user=user, why=note or _("the tasks only"), **_with_token(row, stories.TASKS_ONLY))
        return entries.evaluate(row.item, user=user) or row


def can_leave_to_tasks(entry: TimeEntry) -> bool:
    """Whether the entry is of a story that waits because its tasks are billable too."""
    is_asked = entry.state == EntryState.HELD and entry.reason == Reason.STORY_AND_TASK
    return is_asked and entry.item.kind == ItemKind.STORY


def can_include(entry: TimeEntry) -> bool:
    """Whether a person's no can be taken back: an exclusion, a write-off, or a story left to its tasks."""
    is_left = entry.state == EntryState.VOID and stories.TASKS_ONLY in entries.confirmed_tokens(entry)
    return is_left or entry.state in entries.FINAL


def exclude_entry(entry: TimeEntry, *, user: User, note: str) -> TimeEntry:
    """Never bill this entry: billed elsewhere, or a person's final no. The note is required.

    Its task in Invoice Ninja is archived. Raises NotAllowed without a note, IllegalTransition when it is claimed.
    """
    note = reason_of(note)
    with transaction.atomic():
        row = _locked(entry)
        _leave(row, EntryState.EXCLUDED, user=user, why=note, reason="", reason_note=note)
    return row


def write_off_entry(entry: TimeEntry, *, user: User, note: str) -> TimeEntry:
    """Give the hours away: listed with their amount as written off, never billed. The note is required.

    Raises NotAllowed without a note, IllegalTransition when it is claimed.
    """
    note = reason_of(note)
    with transaction.atomic():
        row = _locked(entry)
        _leave(row, EntryState.WRITTEN_OFF, user=user, why=note, reason="", reason_note=note)
    return row


def include_entry(entry: TimeEntry, *, user: User, note: str = "") -> TimeEntry:
    """Take back an exclusion, a write-off or "the tasks only", and evaluate again. Else raises IllegalTransition."""
    with transaction.atomic():
        row = _locked(entry)
        if not can_include(row):
            raise _refused(row, EntryState.HELD, _("This entry is %(state)s and not excluded."))
        changes: dict[str, Any] = {"reason": Reason.BY_PERSON, "reason_note": "", "held_by_person": False}
        if row.reason == Reason.BILLED_ELSEWHERE:
            changes |= _with_token(row, pricing.BILL_HERE)
        if row.state == EntryState.VOID:
            tokens = sorted(entries.confirmed_tokens(row) - {stories.TASKS_ONLY})
            changes |= {"is_confirmed": bool(tokens), "confirmed_value": " ".join(tokens)}
        _move(row, EntryState.HELD, why=note or _("included again"), user=user, **changes)
        return entries.evaluate(row.item, user=user) or row


def try_again(row: RemoteRecord | TimeEntry | WorkItem, *, user: User) -> None:
    """Do at once what would be done later, or what a person was asked about: a remote write, or reading an item.

    For an entry: read its item again and try its task again. Raises IllegalTransition when there is nothing to try.
    """
    with transaction.atomic():
        if isinstance(row, TimeEntry):
            _read_again(row.item)
            if row.remote_task is not None and _is_stuck(row.remote_task):
                _try_record(row.remote_task, user)
        elif isinstance(row, WorkItem):
            _read_again(row)
        else:
            _try_record(row, user)


def process_again(delivery: WebhookDelivery, *, user: User) -> None:
    """Process a delivery once more. Raises IllegalTransition while it is waiting or being processed."""
    with transaction.atomic():
        changes: dict[str, Any] = {"attempts": 0, "not_before": None, "error": ""}
        if not advance(delivery, DeliveryState.RECEIVED, why=_("process again"), user=user, **changes):
            raise IllegalTransition(
                "sync.webhookdelivery", delivery.pk, delivery.state, DeliveryState.RECEIVED, _moved_on()
            )
        transaction.on_commit(lambda: doorbell.ring("deliveries"))


# --- inside -----------------------------------------------------------------------------------------------------------


def _locked(entry: TimeEntry) -> TimeEntry:
    row = lock(entry.pk)
    if row is None:
        raise NotAllowed(_("This entry is gone."))
    return row


def _leave(row: TimeEntry, to: str, *, user: User, why: str, **changes: Any) -> None:
    """Move an unclaimed entry where nothing bills it, and take back what it left in Invoice Ninja and in Taiga."""
    if row.state not in entries.WAITING:
        raise _refused(row, to, _("This entry is %(state)s, so this is not possible (any more)."))
    _move(row, to, why=why, user=user, reason_sentence="", held_by_person=False, **changes)
    if row.remote_task_id is not None:
        push.withdraw_task(row)
        writeback.request_status(row.item)
    if row.item.story_taiga_id is not None or row.item.kind == ItemKind.STORY:
        entries.evaluate_many([row.item_id], user=user)  # its story, or its tasks, may be billed now


def _move(row: TimeEntry, to: str, *, why: str, user: User, **changes: Any) -> None:
    if row.state == to:
        _remember(row, user=user, why=why, **changes)
    elif not advance(row, to, why=why, user=user, **changes):
        raise IllegalTransition("sync.timeentry", row.pk, row.state, to, _moved_on())


def _remember(row: TimeEntry, *, user: User, why: str, **changes: Any) -> None:
    """Write a person's decision on a (locked) entry that stays in its state, with its trail."""
    TimeEntry.objects.filter(pk=row.pk).update(**changes)
    for name, value in changes.items():
        setattr(row, name, value)
    record(row, row.state, row.state, why=why, user=user)


def _with_token(row: TimeEntry, token: str) -> dict[str, Any]:
    tokens = sorted({*entries.confirmed_tokens(row), token})
    return {"is_confirmed": True, "confirmed_value": " ".join(tokens)}


def _asked_token(row: TimeEntry) -> str:
    if row.reason == Reason.FREE_OF_CHARGE:
        return pricing.FREE
    if row.reason == Reason.STORY_AND_TASK:
        return stories.BOTH
    if row.reason in BRAKES or row.reason == Reason.SAID_OTHERWISE:
        return str(row.facts["asked"])
    return pricing.confirm_hours_token(attributes.parse_hours(row.item.attributes.get(attributes.HOURS)))


def _read_again(item: WorkItem) -> None:
    mark_dirty(
        item.kind,
        item.taiga_id,
        found_by=FoundBy.PERSON,
        project_id=item.taiga_project_id,
        correlation_id=item.correlation_id,
    )


def _is_stuck(remote: RemoteRecord) -> bool:
    return remote.state in (RecordState.ATTENTION, RecordState.RETRY, RecordState.IN_DOUBT)


def _try_record(remote: RemoteRecord, user: User) -> None:
    if not _is_stuck(remote):
        raise IllegalTransition(
            "sync.remoterecord",
            remote.pk,
            remote.state,
            RecordState.PENDING,
            _("This write is %(state)s: there is nothing to try again.") % {"state": remote.get_state_display()},
        )
    # What is in doubt is never repeated blindly: it is looked up, once the server must be done with it.
    if remote.state != RecordState.IN_DOUBT and not advance(
        remote, RecordState.PENDING, why=_("try again"), user=user, not_before=None
    ):
        raise IllegalTransition("sync.remoterecord", remote.pk, remote.state, RecordState.PENDING, _moved_on())
    transaction.on_commit(lambda: doorbell.ring(_BELLS.get(remote.kind, "push")))


_BELLS = {
    "task": "push",
    "status": "writeback",
    "provision": "provision",
    "invoice": "invoices",
    "mark_sent": "marks",
    "credit": "invoices",
    "credit_use": "invoices",
}


def _refused(row: TimeEntry, to: str, sentence: str) -> IllegalTransition:
    state = row.get_state_display()
    return IllegalTransition("sync.timeentry", row.pk, row.state, to, sentence % {"state": state})


def _moved_on() -> str:
    return _("Somebody was faster: this has moved on. Reload the page.")
